#pragma once
/// @file
/// runtime_options::debug: what is probably a mistake, by name.

#include <sheaf/detail/sync.hpp>
#include <sheaf/detail/task_core.hpp>

#include "runtime_core.hpp"

namespace sheaf::detail {

/// `caller` starts a task whose coroutine has reference parameters. Silent without the option.
[[gnu::cold, gnu::noinline]] void report_borrowing(task_core& task, const char* caller) noexcept;

/// Times one step of a task on a worker, if the option is set.
class step_timer {
 public:
  step_timer(runtime_core& runtime, const task_core& task) noexcept : runtime_(runtime) {
    if (runtime.debug() && !task.blocking) began_ = sync::now();
  }
  step_timer(const step_timer&) = delete;
  step_timer& operator=(const step_timer&) = delete;
  /// The step is over, the task is still under running.
  void stop(task_core& task) const noexcept {
    if (began_ != 0) report_if_slow(task);
  }

 private:
  [[gnu::cold, gnu::noinline]] void report_if_slow(task_core& task) const noexcept;

  runtime_core& runtime_;
  sync::nanoseconds began_ = 0;
};

}  // namespace sheaf::detail
