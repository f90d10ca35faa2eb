#include "cancel.hpp"

#include <utility>

#include <sheaf/cancel_token.hpp>
#include <sheaf/detail/context.hpp>

#include "extras.hpp"
#include "runtime_core.hpp"

namespace sheaf::detail {

bool request_cancel(task_core& task, std::string_view reason) noexcept {
  if (task.state.is_complete()) return false;
  if (!reason.empty()) {
    try {
      task_extras& extras = extras_of(task);
      const sync::lock_guard guard(extras.lock);
      extras.reason = reason;
    } catch (...) {  // a reason is a courtesy: without memory the request goes without it
    }
  }
  const runtime_pin runtime(task);
  if (!runtime) return false;
  const auto outcome = task.state.request_cancel(false);
  if (outcome.result == task_state::cancel::already_done) return false;
  if (outcome.result == task_state::cancel::post) {
    runtime->post(task);
  } else if (task.blocking) {
    retire_queued_call(task, *runtime);
  }
  if (outcome.callbacks) cancel_callbacks::run(task);
  return true;
}

bool request_scope_cancel(task_core& task) noexcept {
  const runtime_pin runtime(task, runtime_pin::incomplete);
  task.state.add_reference();
  const auto outcome = task.state.request_cancel(true);
  if (outcome.result == task_state::cancel::post) runtime->post(task);
  if (outcome.callbacks) return true;
  static_cast<void>(task.state.drop_reference());  // the open scope keeps the task
  return false;
}

void pass_cancel_on(task_core& from, task_core& child) noexcept {
  try {
    request_cancel(child, cancel_reason_of(from));
  } catch (...) {  // no memory for the reason
    request_cancel(child, {});
  }
}

void throw_cancelled(task_core& task) { throw cancelled(cancel_reason_of(task)); }

// ---- callbacks ---------------------------------------------------------------------------------------------------------------

void cancel_callback_base::attach(task_core& task, runs_at_once_if what) {
  task_extras& extras = extras_of(task);
  {
    const sync::lock_guard guard(extras.lock);
    task_ = &task;
    task.state.add_reference();
    next_ = extras.callbacks;
    if (next_ != nullptr) next_->previous_ = this;
    extras.callbacks = this;
    linked_ = true;
  }
  task.state.mark_callbacks();
  // Registered, then looked; a canceller records, then looks for callbacks: at least one of the two sees the other.
  if (!task.state.cancel_pending() && (what != runs_at_once_if::requested || task.state.requests() == 0)) return;
  cancel_callbacks::run(task);
  bool running_elsewhere = false;  // a canceller was faster (C3)
  {
    const sync::lock_guard guard(extras.lock);
    running_elsewhere = running_on_ != nullptr;
  }
  if (running_elsewhere) done_.wait();
}

void cancel_callback_base::detach() noexcept {
  if (task_ == nullptr) return;
  task_extras& extras = *find_extras(*task_);
  bool running_elsewhere = false;
  {
    const sync::lock_guard guard(extras.lock);
    if (linked_) {
      if (next_ != nullptr) next_->previous_ = previous_;
      (previous_ != nullptr ? previous_->next_ : extras.callbacks) = next_;
      linked_ = false;
    } else if (running_on_ == &context()) {
      *gone_ = true;
    } else {
      running_elsewhere = true;
    }
  }
  if (running_elsewhere) done_.wait();
  drop_reference(*task_);
}

void cancel_callbacks::run(task_core& task) noexcept {
  task_extras* const extras = find_extras(task);
  if (extras == nullptr) return;
  for (;;) {
    bool gone = false;
    cancel_callback_base* callback = nullptr;
    {
      const sync::lock_guard guard(extras->lock);
      callback = extras->callbacks;
      if (callback == nullptr) return;
      extras->callbacks = callback->next_;
      if (callback->next_ != nullptr) callback->next_->previous_ = nullptr;
      callback->linked_ = false;
      callback->running_on_ = &context();
      callback->gone_ = &gone;
    }
    callback->invoke_(*callback);
    if (gone) continue;  // TRICKY: it destroyed its own registration (C2)
    {
      const sync::lock_guard guard(extras->lock);
      callback->running_on_ = nullptr;
    }
    callback->done_.signal();
  }
}

}  // namespace sheaf::detail
