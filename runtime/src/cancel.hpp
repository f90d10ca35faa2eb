#pragma once
/// @file
/// The two ways a task is asked to stop.

#include <cstdint>

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
  /// Those registered now that came after the first `since`. Under the lock of the extras; at most once.
  void claim(task_core& task, task_extras& extras, std::uint64_t since) noexcept;
  /// On this thread, outside locks.
  void run() noexcept;

 private:
  task_core* task_ = nullptr;  ///< null: none were claimed
  cancel_callback_base* first_ = nullptr;
};

/// Records a request and claims the callbacks that came after the first `since`. The caller keeps the block alive.
[[nodiscard]] task_state::cancel record_request(task_core& task, bool from_scope, claimed_callbacks& callbacks,
                                                std::uint64_t since) noexcept;

/// How many callbacks have been registered with the task so far.
[[nodiscard]] std::uint64_t callbacks_made(task_core& task) noexcept;

/// A task's own scope asks. The task is alive: the scope is open. `since`: callbacks_made() when it was opened. The callbacks are to be
/// run once the scope's word says `fired`.
void request_scope_cancel(task_core& task, std::uint64_t since, claimed_callbacks& callbacks) noexcept;

/// A cancelled blocking call that still waits for a thread ends now, on a worker. The caller keeps the block alive.
void retire_queued_call(task_core& task, runtime_core& runtime) noexcept;

}  // namespace sheaf::detail
