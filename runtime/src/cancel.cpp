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
  const auto recorded = record_request(task, false, callbacks, 0);
  if (recorded == task_state::cancel::already_done) return false;
  if (recorded == task_state::cancel::post) {
    runtime->post(task);
  } else if (task.blocking && (task.state.snapshot() & task_state::running) == 0) {
    retire_queued_call(task, *runtime);  // while it is queued, shutdown waits for it and for this visit
  }
  callbacks.run();
  return true;
}

void request_scope_cancel(task_core& task, std::uint64_t since, claimed_callbacks& callbacks) noexcept {
  const runtime_pin runtime(task, runtime_pin::incomplete);
  if (record_request(task, true, callbacks, since) == task_state::cancel::post) runtime->post(task);
}

task_state::cancel record_request(task_core& task, bool from_scope, claimed_callbacks& callbacks, std::uint64_t since) noexcept {
  const auto recorded = task.state.request_cancel(from_scope, task_state::callbacks_are::unlocked);
  if (recorded != task_state::cancel::lock_callbacks) return recorded;
  task_extras& extras = *find_extras(task);
  const sync::lock_guard guard(extras.lock);
  const auto under_lock = task.state.request_cancel(from_scope, task_state::callbacks_are::locked);
  if (under_lock != task_state::cancel::already_done) callbacks.claim(task, extras, since);
  return under_lock;
}

void pass_cancel_on(task_core& from, task_core& child) noexcept {
  try {
    request_cancel(child, cancel_reason_of(from));
  } catch (...) {  // no memory for the reason
    request_cancel(child, {});
  }
}

std::uint64_t callbacks_made(task_core& task) noexcept {
  task_extras* const extras = find_extras(task);
  if (extras == nullptr) return 0;
  const sync::lock_guard guard(extras->lock);
  return extras->callbacks_made;
}

cancelled cancelled_of(task_core& task) { return cancelled(cancel_reason_of(task)); }

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
    number_ = ++extras.callbacks_made;
    link(extras.callbacks);
  }
  task.state.mark_callbacks();
  // Registered, then looked; a canceller records, then looks for callbacks: at least one of the two sees the other.
  if (!task.state.cancel_pending() && (what != runs_at_once_if::requested || task.state.requests() == 0)) return;
  bool mine = false;  // else a canceller has come to it (C3)
  {
    const sync::lock_guard guard(extras.lock);
    mine = is_linked();
    if (mine) {
      unlink();
      claimed_by_ = nullptr;  // a canceller that has claimed it does not come to it any more
    }
  }
  if (mine) {
    invoke_(*this);
    done_.signal();
  }
  done_.wait();
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

void claimed_callbacks::claim(task_core& task, task_extras& extras, std::uint64_t since) noexcept {
  cancel_callback_base** end = &extras.callbacks;  // newest first
  for (; *end != nullptr && (*end)->number_ > since; end = &(*end)->next_) (*end)->claimed_by_ = &context();
  if (end == &extras.callbacks) return;
  first_ = std::exchange(extras.callbacks, *end);
  first_->slot_ = &first_;
  if (extras.callbacks != nullptr) extras.callbacks->slot_ = &extras.callbacks;
  *end = nullptr;
  task_ = &task;
  task.state.add_reference();
}

void claimed_callbacks::run() noexcept {
  if (task_ == nullptr) return;
  task_extras& extras = *find_extras(*task_);
  const instant_put_off put_off(context());
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
