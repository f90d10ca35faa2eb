#include <sheaf/event.hpp>

#include <functional>

#include <sheaf/detail/gettable.hpp>

namespace sheaf {

namespace sync = detail::sync;
using sync::lock_guard;

void event::set() noexcept {
  detail::grants woken;
  const lock_guard held(lock_);
  // order: release publishes what came before set() to those who only look; peer: acquire in is_set().
  set_.store(true, sync::release);
  while (!waiters_.empty()) woken.add(waiters_.pop());
}

void event::clear() noexcept {
  const lock_guard held(lock_);
  set_.store(false, sync::relaxed);
}

bool event_awaiter::suspend(detail::task_core& self, std::coroutine_handle<> handle) noexcept {
  lock_guard held(awaited_->lock_);
  if (!awaited_->set_.load(sync::relaxed)) {
    enter(awaited_->waiters_, self, handle);
    return true;
  }
  held.unlock();
  return pass(self, handle);
}

detail::cancel_answer event_awaiter::on_cancel(detail::task_core&) noexcept {
  const lock_guard held(awaited_->lock_);
  if (granted_) return detail::cancel_answer::stay;
  awaited_->waiters_.remove(*this);
  return detail::cancel_answer::give_up;
}

bool event_awaiter::get() && { return detail::await_in_task<event_awaiter>(std::ref(*awaited_)).get(); }

}  // namespace sheaf
