#include <sheaf/wait.hpp>
#include "core.hpp"
#include "pool.hpp"  // lint! a private header of runtime/
