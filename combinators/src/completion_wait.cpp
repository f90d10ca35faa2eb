#include <utility>

#include <sheaf/detail/clock_access.hpp>
#include <sheaf/detail/completion_core.hpp>

namespace sheaf::detail {

bool completion_wait::suspend(task_core& self, std::coroutine_handle<> handle, sync::nanoseconds deadline) noexcept {
  self_ = &self;
  const bool over = deadline != sync::k_forever && deadline <= runtime_now(self);
  completion_wait* granted = nullptr;
  completion_wait* late = nullptr;
  bool waits = true;
  {
    const sync::lock_guard guard(core_->lock_);
    if (over) core_->look(want_);
    if (want_ == completion_want::one && core_->has_item_for_first() && may_skip_suspension(self)) {
      item_ = core_->take_ready();
      result_ = result::granted;
      at_once_ = true;
      return false;
    }
    core_->enqueue(*this);
    begin_wait(self, *this, handle);
    granted = core_->match();
    waits = !leaves(granted);
    if (waits && over) {
      late = core_->expire(*this);
      waits = !leaves(late);
    }
    if (waits) {
      armed_ = !over && deadline != sync::k_forever;
    } else if (may_skip_suspension(self)) {
      at_once_ = true;
      if (want_ == completion_want::one) core_->taken(*this, false);  // no cancel can come between, and nobody waits behind this
    }
  }
  completion_core::wake_all(granted);
  completion_core::wake_all(late);
  if (at_once_) return false;
  if (!waits) {
    yield_in(self, *this, handle);
    return true;
  }
  // A grant may come at any time now, but this task is not resumed before its step has ended: the timer is still its own.
  if (armed_) arm_timer(self, timer_, deadline);
  return true;
}

bool completion_wait::leaves(completion_wait*& granted) noexcept {
  completion_wait** each = &granted;
  while (*each != nullptr && *each != this) each = &(*each)->next_;
  return std::exchange(*each, nullptr) != nullptr;
}

void completion_wait::expiry::fired(timer& base) noexcept {
  completion_wait& wait = *static_cast<expiry&>(base).wait;
  completion_wait* granted = nullptr;
  {
    const sync::lock_guard guard(wait.core_->lock_);
    if (wait.result_ == result::none) granted = wait.core_->expire(wait);
    wait.timer_done_ = true;  // unless it is among the granted, the wait may be gone once the lock is free
  }
  completion_core::wake_all(granted);
}

void completion_wait::finish() {
  if (armed_ && !disarm_timer(*self_, timer_)) {
    for (unsigned spins = 0;; ++spins) {  // it has fired or is about to: a lock and a few writes
      {
        const sync::lock_guard guard(core_->lock_);
        if (timer_done_) break;
      }
      sync::spin_wait(spins);
    }
  }
  const bool unsettled = want_ == completion_want::one && !at_once_ && (item_ != nullptr || timed_out());
  if (unsettled) core_->settle(*this, cancelled());
  if (cancelled()) throw_cancelled(*self_);
}

cancel_answer completion_wait::on_cancel(task_core&) noexcept {
  const sync::lock_guard guard(core_->lock_);
  if (result_ != result::none) return cancel_answer::stay;
  core_->dequeue(*this);
  result_ = result::left;  // for a timer that fires meanwhile
  return cancel_answer::give_up;
}

void completion_wait::add_targets(std::vector<const task_core*>& all) const {
  for (bool enough = false; !enough;) {
    const std::size_t room = core_->outstanding();
    all.reserve(all.size() + room);
    enough = core_->visit_outstanding(room, [&all](const task_core& each) { all.push_back(&each); });
  }
}

wait_reason completion_wait::reason() const noexcept {
  switch (want_) {
    case completion_want::one:
      return {"the next completion", nullptr};
    case completion_want::first_completed:
      return {"the first completion of a set", nullptr};
    case completion_want::first_exception:
      return {"the first exception of a set", nullptr};
    default:
      return {"all of a set", nullptr};
  }
}

}  // namespace sheaf::detail
