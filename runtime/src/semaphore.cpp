#include <sheaf/semaphore.hpp>

#include <algorithm>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>

#include <sheaf/bounded_semaphore.hpp>
#include <sheaf/detail/gettable.hpp>
#include <sheaf/errors.hpp>

namespace sheaf {

using detail::sync::lock_guard;

semaphore::semaphore(std::ptrdiff_t permits) : semaphore(permits, std::numeric_limits<std::size_t>::max()) {}

semaphore::semaphore(std::ptrdiff_t permits, std::size_t bound) : bound_(bound), available_(static_cast<std::size_t>(permits)) {
  if (permits < 0) throw std::invalid_argument("semaphore: " + std::to_string(permits) + " permits; at least 0");
}

semaphore_awaiter semaphore::acquire(std::size_t count) {
  if (count == 0) throw std::invalid_argument("semaphore::acquire(0): at least 1 permit");
  return {*this, count};
}

permit semaphore::try_acquire(std::size_t count) {
  if (count == 0) throw std::invalid_argument("semaphore::try_acquire(0): at least 1 permit");
  const lock_guard held(lock_);
  if (!waiters_.empty() || available_ < count) return {};
  available_ -= count;
  return {*this, count};
}

void semaphore::release(std::size_t count) noexcept {
  detail::grants woken;
  const lock_guard held(lock_);
  available_ += std::min(count, bound_ - available_);
  grant(woken);
}

bool semaphore::try_release(std::size_t count) noexcept {
  detail::grants woken;
  const lock_guard held(lock_);
  if (count > bound_ - available_) return false;
  available_ += count;
  grant(woken);
  return true;
}

std::size_t semaphore::available() const noexcept {
  const lock_guard held(lock_);
  return waiters_.empty() ? available_ : 0;
}

void semaphore::grant(detail::grants& woken) noexcept {
  while (!waiters_.empty()) {
    const std::size_t wanted = static_cast<semaphore_awaiter&>(waiters_.front()).count_;
    if (wanted > available_) return;
    available_ -= wanted;
    woken.add(waiters_.pop());
  }
}

// ---- waiting -----------------------------------------------------------------------------------------------------------------

bool semaphore_awaiter::suspend(detail::task_core& self, std::coroutine_handle<> handle) noexcept {
  lock_guard held(from_->lock_);
  if (!from_->waiters_.empty() || from_->available_ < count_) {
    enter(from_->waiters_, self, handle);
    return true;
  }
  from_->available_ -= count_;
  held.unlock();
  return pass(self, handle);
}

detail::cancel_answer semaphore_awaiter::on_cancel(detail::task_core&) noexcept {
  detail::grants woken;
  const lock_guard held(from_->lock_);
  if (granted_) return detail::cancel_answer::stay;
  from_->waiters_.remove(*this);
  from_->grant(woken);  // what it held back at the head
  return detail::cancel_answer::give_up;
}

permit semaphore_awaiter::await_resume() {
  if (!cancelled()) return {*from_, count_};
  if (granted_) from_->release(count_);  // S2
  detail::throw_cancelled(*self_);
}

permit semaphore_awaiter::get() && { return detail::await_in_task<semaphore_awaiter>(std::ref(*from_), count_).get(); }

// ---- with a bound ------------------------------------------------------------------------------------------------------------

bounded_semaphore::bounded_semaphore(std::ptrdiff_t permits) : permits_(permits, static_cast<std::size_t>(permits)) {}

void bounded_semaphore::require_within_bound(std::size_t count, const char* call) const {
  if (count <= permits_.bound_) return;
  throw std::invalid_argument("bounded_semaphore::" + std::string(call) + "(" + std::to_string(count) +
                              "): there are never more than " + std::to_string(permits_.bound_) + " permits");
}

void bounded_semaphore::release(std::size_t count) {
  if (permits_.try_release(count)) return;
  throw invalid_state("bounded_semaphore::release(" + std::to_string(count) + "): more than the " +
                      std::to_string(permits_.bound_) + " permits it began with");
}

}  // namespace sheaf
