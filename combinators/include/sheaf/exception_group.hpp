#pragma once
/// @file
/// exception_group: several failures at once.

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace sheaf {

/// What a task group throws: every failure, the children's in the order in which they happened, then the body's. A nested group's
/// error is one member.
///
/// @par Threads       not synchronised; rethrown on several threads it is only read
/// @par Lifetime      a value; copies share the errors
/// @par Cancellation  none: cancelled outcomes are no failures and are not in it
/// @throws std::bad_alloc from the constructor
/// @par Cost          one allocation for all copies
class exception_group : public std::runtime_error {
 public:
  exception_group(const std::string& what, std::vector<std::exception_ptr> errors);
  ~exception_group() override;
  [[nodiscard]] const std::vector<std::exception_ptr>& errors() const noexcept { return *errors_; }

 private:
  std::shared_ptr<const std::vector<std::exception_ptr>> errors_;  ///< shared: copying an exception must not throw
};

}  // namespace sheaf
