#pragma once
#include <sheaf/ring_c.hpp>
