#pragma once
#include <cstdint>
#include <sheaf/wait.hpp>  // lint! runtime reaches up
inline int brackets[] = {1, 2};  // [a;b]
  #  include "pool.hpp"  // lint! a public header includes a private one
