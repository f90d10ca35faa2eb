one
two // lint!
