#pragma once
/// @file
/// runtime_options::debug: what is probably a mistake, by name.

#include <sheaf/detail/sync.hpp>
#include <sheaf/detail/task_core.hpp>

#include "runtime_core.hpp"

namespace sheaf::detail {

/// Tells the user something by the way: without memory, or with stderr closed, it goes untold.
template <class Tell>
void as_a_courtesy(Tell tell) noexcept {
  try {
    tell();
  } catch (...) {
  }
}

/// `caller` starts a task whose coroutine has reference parameters. Silent without the option.
[[gnu::cold, gnu::noinline]] void report_borrowing(task_core& task, const char* caller) noexcept;

/// A step of a task on a worker has ended, and the task is still under running.
[[gnu::cold, gnu::noinline]] void report_if_slow(task_core& task, sync::nanoseconds began) noexcept;

}  // namespace sheaf::detail
