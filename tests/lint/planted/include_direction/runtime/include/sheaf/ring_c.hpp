#pragma once
#include <sheaf/ring_a.hpp>  // lint! closes a cycle of three
