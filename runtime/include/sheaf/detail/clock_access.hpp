#pragma once
/// @file
/// Time as a task's runtime sees it, for awaiters with deadlines.

#include <sheaf/detail/sync.hpp>
#include <sheaf/detail/task_core.hpp>
#include <sheaf/detail/timer.hpp>

namespace sheaf::detail {

/// Now, on the clock of the task's runtime. The task is not complete.
[[nodiscard]] sync::nanoseconds runtime_now(const task_core& task) noexcept;
[[nodiscard]] sync::nanoseconds runtime_now(runtime_core& runtime) noexcept;
/// `entry` is idle. See timer_queue::arm().
void arm_timer(const task_core& task, timer& entry, sync::nanoseconds deadline) noexcept;
/// True: it will not fire. See timer_queue::disarm().
[[nodiscard]] bool disarm_timer(const task_core& task, timer& entry) noexcept;

}  // namespace sheaf::detail
