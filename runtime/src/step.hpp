#pragma once
/// @file
/// Running tasks: the loop under every worker.

#include <sheaf/detail/task_core.hpp>

namespace sheaf::detail {

/// Runs a task that the caller has claimed, on this stack, up to its first suspension. Children it forks are queued, not run here.
void run_claimed(task_core& task, bool cancelled) noexcept;

/// Carries out on this stack what has come in for a task that nobody runs, a request, say. False: there is nothing.
[[nodiscard]] bool run_what_came_in(task_core& task) noexcept;

/// Lets go of a parked task taken by hold_parked(); what came in meanwhile is carried out on the task's runtime.
void release_held(task_core& task) noexcept;

/// Ends a blocking call for which no thread could be had, as cancelled, and drops its creator's handle.
void end_unposted(task_core& task) noexcept;

/// The same as run_claimed() for a task that its creator has not posted; `held`: its creator has its running.
void run_eagerly(task_core& task, bool held) noexcept;

}  // namespace sheaf::detail
