#include <sheaf/mutex.hpp>

#include <functional>

#include <sheaf/detail/assert.hpp>
#include <sheaf/detail/gettable.hpp>
#include <sheaf/errors.hpp>

namespace sheaf {

using detail::sync::lock_guard;

// ---- guard -------------------------------------------------------------------------------------------------------------------

guard guard::adopt(mutex& locked) {
  if (!locked.is_locked()) throw invalid_state("guard::adopt: the mutex is not locked");
  return guard(locked);
}

void guard::unlock() {
  if (held_ == nullptr) throw invalid_state("guard::unlock: the guard holds no mutex");
  std::exchange(held_, nullptr)->unlock();
}

// ---- mutex -------------------------------------------------------------------------------------------------------------------

bool mutex::try_lock() noexcept {
  const lock_guard held(lock_);
  return !std::exchange(locked_, true);
}

void mutex::unlock() {
  if (!unlock_if_locked()) throw invalid_state("mutex::unlock: the mutex is not locked");
}

bool mutex::is_locked() const noexcept {
  const lock_guard held(lock_);
  return locked_;
}

bool mutex::unlock_if_locked() noexcept {
  detail::grants woken;
  const lock_guard held(lock_);
  if (!locked_) return false;
  hand_over(woken);
  return true;
}

void mutex::hand_over(detail::grants& woken) noexcept {
  if (waiters_.empty()) {
    locked_ = false;
  } else {
    woken.add(waiters_.pop());
  }
}

void mutex::admit(detail::queued_awaiter& waiter, detail::grants& woken) noexcept {
  if (std::exchange(locked_, true)) {
    waiters_.push(waiter);
  } else {
    woken.add(waiter);
  }
}

// ---- waiting -----------------------------------------------------------------------------------------------------------------

namespace detail {

bool mutex_awaiter::suspend(task_core& self, std::coroutine_handle<> handle) noexcept {
  lock_guard held(wanted_->lock_);
  if (wanted_->locked_) {
    enter(wanted_->waiters_, self, handle);
    return true;
  }
  SHEAF_ASSERT(wanted_->waiters_.empty());  // M1
  wanted_->locked_ = true;
  held.unlock();
  return pass(self, handle);
}

cancel_answer mutex_awaiter::on_cancel(task_core&) noexcept {
  const lock_guard held(wanted_->lock_);
  if (granted_) return cancel_answer::stay;
  wanted_->waiters_.remove(*this);
  return cancel_answer::give_up;
}

void mutex_awaiter::finish() {
  if (!cancelled()) return;
  if (granted_) wanted_->unlock_if_locked();  // M3
  throw_cancelled(*self_);
}

}  // namespace detail

/// The guard is the task's result: where the waiting thread gives up meanwhile, it unlocks.
void lock_awaiter::get() && { scoped_lock_awaiter(*wanted_).get().detach(); }
guard scoped_lock_awaiter::get() && { return detail::await_in_task<scoped_lock_awaiter>(std::ref(*wanted_)).get(); }

}  // namespace sheaf
