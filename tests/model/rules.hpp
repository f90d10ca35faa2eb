#pragma once
/// @file
/// What the functions of the library mean, as a plain sequential program says it.

#include <stdexcept>
#include <string>
#include <vector>

#include "program.hpp"

namespace sheaf::model {

/// How the simulated tasks are told what the library tells by `cancelled` and its errors.
struct was_cancelled {};
struct other_was_cancelled {};
struct failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[nodiscard]] trace run_by_the_rules(const node& program);

}  // namespace sheaf::model
