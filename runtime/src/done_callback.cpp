#include <sheaf/detail/done_callback.hpp>

#include <sheaf/detail/start.hpp>
#include <sheaf/errors.hpp>

#include "runtime_core.hpp"

namespace sheaf::detail {

void start_done_callback(task_core& callback, done_callback_base& self) {
  const alive_runtime runtime(*self.target_);
  if (!runtime) {
    discard_unstarted(callback);
    throw runtime_closed("task::on_done");
  }
  self.self_ = &callback;
  callback.started = true;  // D2
  callback.awaiting = &self;
  start_task(callback, *runtime, {.passive = true}, "task::on_done");
  if (!add_waiter(*self.target_, self)) wake_behind(callback);
}

bool remove_done_callback(task_core& target, task_core& callback) noexcept {
  if (!callback.state.mark_decided()) return false;
  // It must not stay until the end of a long task. The node is in the list, or the list is closed and the node not looked at (D3).
  auto* const self = static_cast<done_callback_base*>(callback.awaiting);
  if (!target.state.is_complete() && target.waiters.remove(*self)) wake_behind(callback);
  return true;
}

bool done_callback_base::claim() const noexcept { return self_->state.mark_decided(); }

/// Behind what is runnable already, so that one worker calls them in the order of their registration.
void done_callback_base::target_ended(waiter_node& node, outcome_kind) noexcept {
  wake_behind(*static_cast<done_callback_base&>(node).self_);
}

void done_callback_base::report_failure() const noexcept { report_failed_callback(*self_->runtime, *target_); }

}  // namespace sheaf::detail
