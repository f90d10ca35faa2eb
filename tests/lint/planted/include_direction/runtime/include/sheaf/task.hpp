#pragma once
#include <sheaf/detail/state.hpp>
#include <sheaf/version.hpp>
#include <vector>
