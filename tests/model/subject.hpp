#pragma once
/// @file
/// A program as the library runs it.

#include <cstddef>
#include <stdexcept>
#include <string>

#include "program.hpp"

namespace sheaf::model {

/// On a runtime of its own with manual time. @throws std::logic_error when a payload was lost or destroyed twice
[[nodiscard]] history run_on_library(const node& program, std::size_t workers);

}  // namespace sheaf::model
