#pragma once
/// @file
/// What the functions of the library mean, as a plain sequential program says it.

#include <stdexcept>
#include <string>
#include <vector>

#include "program.hpp"

namespace sheaf::model {

class guide;

/// How the simulated tasks are told what the library tells by `cancelled` and its errors.
struct was_cancelled {};
struct other_was_cancelled {};
struct failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// For a program whose outcomes do not depend on the order at one instant.
[[nodiscard]] history run_by_the_rules(const node& program);
/// In the order that the guide gives, and as far as it wants.
[[nodiscard]] history run_by_the_rules(const node& program, guide& order);

}  // namespace sheaf::model
