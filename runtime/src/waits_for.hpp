#pragma once
/// @file
/// Saying in words what tasks do: for dump(), for would_deadlock and for the shutdown notice.

#include <exception>
#include <string>

#include "live_tasks.hpp"

namespace sheaf::detail {

/// A line for each live task: name, state, age, what it waits for.
/// `now`: milliseconds since the runtime began.
[[nodiscard]] std::string dump_tasks(const live_tasks& live, std::uint32_t now);
/// ": parked: 'a' waits for task 'b'; ..." for the tasks of the runtime of `of`, which is not complete.
[[nodiscard]] std::string describe_parked_tasks(task_core& of);
/// what() of a std::exception, "cancelled", or "an exception of unknown type".
[[nodiscard]] std::string text_of(const std::exception_ptr& error);

}  // namespace sheaf::detail
