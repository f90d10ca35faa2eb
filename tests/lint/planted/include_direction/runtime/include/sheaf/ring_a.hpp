#pragma once
#include <sheaf/ring_b.hpp>
