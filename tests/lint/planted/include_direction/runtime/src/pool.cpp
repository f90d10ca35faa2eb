#include "pool.hpp"
#include "../../combinators/src/core.hpp"  // lint! runtime reaches up by a path
#include "missing.hpp"  // lint! belongs to nobody
#include <sheaf/missing.hpp>  // lint! belongs to nobody
