#include <sheaf/barrier.hpp>

#include <functional>
#include <stdexcept>
#include <string>

#include <sheaf/detail/assert.hpp>
#include <sheaf/detail/gettable.hpp>
#include <sheaf/errors.hpp>

namespace sheaf {

using detail::sync::lock_guard;

barrier::barrier(std::ptrdiff_t parties) : parties_(static_cast<std::size_t>(parties)) {
  if (parties < 1) throw std::invalid_argument("barrier: " + std::to_string(parties) + " parties; at least 1");
}

void barrier::reset() noexcept {
  detail::grants woken;
  const lock_guard held(lock_);
  broken_ = false;
  begin_era(woken);
}

void barrier::abort() noexcept {
  detail::grants woken;
  const lock_guard held(lock_);
  broken_ = true;
  begin_era(woken);
}

std::size_t barrier::waiting() const noexcept {
  const lock_guard held(lock_);
  return arrived_;
}

bool barrier::is_broken() const noexcept {
  const lock_guard held(lock_);
  return broken_;
}

void barrier::trip(std::size_t from_queue, detail::grants& woken) noexcept {
  SHEAF_ASSERT(draining_ == 0 && from_queue <= arrived_);
  draining_ = parties_;
  arrived_ -= from_queue;
  for (std::size_t index = 0; index < from_queue; ++index) {
    auto& first = static_cast<barrier_awaiter&>(arrivals_.pop());
    first.index_ = index;
    woken.add(first);
  }
}

void barrier::leave(detail::grants& woken) noexcept {
  SHEAF_ASSERT(draining_ != 0);
  if (--draining_ == 0 && arrived_ >= parties_) trip(parties_, woken);
}

void barrier::begin_era(detail::grants& woken) noexcept {
  ++era_;
  draining_ += arrived_;
  for (; arrived_ != 0; --arrived_) woken.add(arrivals_.pop());
}

// ---- waiting -----------------------------------------------------------------------------------------------------------------

bool barrier_awaiter::suspend(detail::task_core& self, std::coroutine_handle<> handle) {
  detail::grants woken;
  lock_guard held(at_->lock_);
  if (at_->broken_) throw broken_barrier("barrier::wait: the barrier was aborted");
  era_ = at_->era_;
  if (at_->draining_ != 0 || at_->arrived_ + 1 < at_->parties_) {
    enter(at_->arrivals_, self, handle);
    ++at_->arrived_;
    return true;
  }
  index_ = at_->parties_ - 1;
  at_->trip(index_, woken);
  held.unlock();
  return pass(self, handle);
}

detail::cancel_answer barrier_awaiter::on_cancel(detail::task_core&) noexcept {
  const lock_guard held(at_->lock_);
  if (granted_) return detail::cancel_answer::stay;
  at_->arrivals_.remove(*this);
  --at_->arrived_;
  return detail::cancel_answer::give_up;
}

std::size_t barrier_awaiter::await_resume() {
  bool failed = false;
  {
    detail::grants woken;
    const lock_guard held(at_->lock_);
    if (granted_) at_->leave(woken);
    failed = era_ != at_->era_;
  }
  if (cancelled()) detail::throw_cancelled(*self_);
  if (failed) throw broken_barrier("barrier::wait: the barrier was aborted or reset");
  return index_;
}

// ---- on a plain thread -------------------------------------------------------------------------------------------------------

std::size_t barrier_awaiter::get() && { return detail::await_in_task<barrier_awaiter>(std::ref(*at_)).get(); }

}  // namespace sheaf
