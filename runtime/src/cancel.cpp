#include "cancel.hpp"

#include <utility>

#include <sheaf/detail/context.hpp>

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
  claimed_callbacks callbacks;
  const auto recorded = record_request(task, false, callbacks);
  if (recorded == task_state::cancel::already_done) return false;
  if (recorded == task_state::cancel::post) {
    runtime->post(task);
  } else if (task.blocking) {
    retire_queued_call(task, *runtime);
  }
  callbacks.run();
  return true;
}

void request_scope_cancel(task_core& task, claimed_callbacks& callbacks) noexcept {
  const runtime_pin runtime(task, runtime_pin::incomplete);
  if (record_request(task, true, callbacks) == task_state::cancel::post) runtime->post(task);
}

task_state::cancel record_request(task_core& task, bool from_scope, claimed_callbacks& callbacks) noexcept {
  const auto recorded = task.state.request_cancel(from_scope, task_state::callbacks_are::unlocked);
  if (recorded != task_state::cancel::lock_callbacks) return recorded;
  task_extras& extras = *find_extras(task);
  const sync::lock_guard guard(extras.lock);
  const auto under_lock = task.state.request_cancel(from_scope, task_state::callbacks_are::locked);
  if (under_lock != task_state::cancel::already_done) callbacks.claim(task, extras);
  return under_lock;
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

void cancel_callback_base::link(cancel_callback_base*& first) noexcept {
  next_ = first;
  if (next_ != nullptr) next_->slot_ = &next_;
  slot_ = &first;
  first = this;
}

void cancel_callback_base::unlink() noexcept {
  *slot_ = next_;
  if (next_ != nullptr) next_->slot_ = slot_;
  slot_ = nullptr;
}

void cancel_callback_base::attach(task_core& task, runs_at_once_if what) {
  task_extras& extras = extras_of(task);
  {
    const sync::lock_guard guard(extras.lock);
    task_ = &task;
    task.state.add_reference();
    link(extras.callbacks);
  }
  task.state.mark_callbacks();
  // Registered, then looked; a canceller records, then looks for callbacks: at least one of the two sees the other.
  if (!task.state.cancel_pending() && (what != runs_at_once_if::requested || task.state.requests() == 0)) return;
  claimed_callbacks mine;
  bool claimed_elsewhere = false;  // a canceller was faster (C3)
  {
    const sync::lock_guard guard(extras.lock);
    claimed_elsewhere = claimed_by_ != nullptr;
    mine.claim(task, extras);
  }
  mine.run();
  if (claimed_elsewhere) done_.wait();
}

void cancel_callback_base::detach() noexcept {
  if (task_ == nullptr) return;
  task_extras& extras = *find_extras(*task_);
  bool claimed_elsewhere = false;
  {
    const sync::lock_guard guard(extras.lock);
    if (is_linked() && (claimed_by_ == nullptr || claimed_by_ == &context())) {
      unlink();
    } else if (claimed_by_ == &context()) {
      *gone_ = true;
    } else {
      claimed_elsewhere = true;
    }
  }
  if (claimed_elsewhere) done_.wait();
  drop_reference(*task_);
}

void claimed_callbacks::claim(task_core& task, task_extras& extras) noexcept {
  if (extras.callbacks == nullptr) return;
  first_ = extras.callbacks;
  first_->slot_ = &first_;
  extras.callbacks = nullptr;
  for (cancel_callback_base* each = first_; each != nullptr; each = each->next_) each->claimed_by_ = &context();
  task_ = &task;
  task.state.add_reference();
}

void claimed_callbacks::run() noexcept {
  if (task_ == nullptr) return;
  task_extras& extras = *find_extras(*task_);
  for (;;) {
    bool gone = false;
    cancel_callback_base* callback = nullptr;
    {
      const sync::lock_guard guard(extras.lock);
      callback = first_;
      if (callback == nullptr) break;
      callback->unlink();
      callback->gone_ = &gone;
    }
    callback->invoke_(*callback);
    if (gone) continue;  // TRICKY: it destroyed its own registration (C2)
    {
      const sync::lock_guard guard(extras.lock);
      callback->claimed_by_ = nullptr;
    }
    callback->done_.signal();
  }
  drop_reference(*std::exchange(task_, nullptr));
}

}  // namespace sheaf::detail
