// lint!
