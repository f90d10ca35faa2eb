#pragma once
/// @file
/// The two ways a task is asked to stop.

#include <sheaf/cancel_token.hpp>
#include <sheaf/detail/task_core.hpp>

#include "extras.hpp"

namespace sheaf::detail {

/// The callbacks that were registered when a request was recorded: the canceller owes each of them one run.
///
/// @par Threads   the cancelling thread
/// @par Lifetime  holds a reference to the task while it is not empty
class claimed_callbacks {
 public:
  claimed_callbacks() = default;
  claimed_callbacks(const claimed_callbacks&) = delete;
  claimed_callbacks& operator=(const claimed_callbacks&) = delete;
  ~claimed_callbacks() { run(); }
  /// All that are registered now. Under the lock of the extras; at most once.
  void claim(task_core& task, task_extras& extras) noexcept;
  /// On this thread, outside locks.
  void run() noexcept;

 private:
  task_core* task_ = nullptr;  ///< null: none were claimed
  cancel_callback_base* first_ = nullptr;
};

/// Records a request and claims the callbacks. The caller keeps the block alive.
[[nodiscard]] task_state::cancel record_request(task_core& task, bool from_scope, claimed_callbacks& callbacks) noexcept;

/// A task's own scope asks. The task is alive: the scope is open. The callbacks are to be run once the scope's word says `fired`.
void request_scope_cancel(task_core& task, claimed_callbacks& callbacks) noexcept;

/// A cancelled blocking call that still waits for a thread ends now, on a worker. The caller keeps the block alive.
void retire_queued_call(task_core& task, runtime_core& runtime) noexcept;

}  // namespace sheaf::detail
