// The umbrella header compiles with exactly the flags that the cases are compiled with.
#include <sheaf/sheaf.hpp>

int main() { return sheaf::version_major < 0 ? 1 : 0; }
