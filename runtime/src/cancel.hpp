#pragma once
/// @file
/// The two ways a task is asked to stop.

#include <sheaf/detail/task_core.hpp>

namespace sheaf::detail {

/// A task's own scope asks. The task is alive: the scope is open. True: the task may have cancel callbacks, and a reference was
/// taken for running them once the scope's word says `fired`.
[[nodiscard]] bool request_scope_cancel(task_core& task) noexcept;

/// A cancelled blocking call that still waits for a thread ends now, on a worker. The caller keeps the block alive.
void retire_queued_call(task_core& task, runtime_core& runtime) noexcept;

struct cancel_callbacks {
  /// Runs what is registered, on this thread, outside locks. The caller keeps the block alive.
  static void run(task_core& task) noexcept;
};

}  // namespace sheaf::detail
