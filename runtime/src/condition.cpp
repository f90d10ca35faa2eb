#include <sheaf/condition.hpp>

#include <limits>
#include <memory>
#include <string>
#include <utility>

#include <sheaf/detail/task_wait.hpp>
#include <sheaf/errors.hpp>
#include <sheaf/spawn.hpp>

namespace sheaf {

using detail::sync::lock_guard;

// ---- notifying ---------------------------------------------------------------------------------------------------------------

void condition::notify(std::size_t count) { notify_up_to(count, "condition::notify"); }
void condition::notify_all() { notify_up_to(std::numeric_limits<std::size_t>::max(), "condition::notify_all"); }

void condition::notify_up_to(std::size_t count, const char* call) {
  detail::grants woken;
  const lock_guard held(mutex_->lock_);
  if (!mutex_->locked_) throw invalid_state(std::string(call) + ": the mutex is not locked");
  for (; count != 0 && !waiters_.empty(); --count) notify_first(woken);
}

void condition::pass_on() noexcept {
  detail::grants woken;
  const lock_guard held(mutex_->lock_);
  if (!waiters_.empty()) notify_first(woken);
}

void condition::notify_first(detail::grants& woken) noexcept {
  auto& first = static_cast<condition_awaiter&>(waiters_.pop());
  first.notified_ = true;
  mutex_->admit(first, woken);
}

// ---- waiting -----------------------------------------------------------------------------------------------------------------

void condition_awaiter::suspend(detail::task_core& self, std::coroutine_handle<> handle) {
  mutex& mine = *awaited_->mutex_;
  detail::grants woken;
  const lock_guard held(mine.lock_);
  if (held_->held_ != &mine || !mine.locked_)
    throw invalid_state("condition::wait: the guard does not hold the condition's mutex");
  enter(awaited_->waiters_, self, handle);
  mine.hand_over(woken);
}

detail::cancel_answer condition_awaiter::on_cancel(detail::task_core&) noexcept {
  mutex& mine = *awaited_->mutex_;
  const lock_guard held(mine.lock_);
  if (granted_ || notified_ || leaving_) return detail::cancel_answer::stay;
  leaving_ = true;
  awaited_->waiters_.remove(*this);
  if (!mine.locked_) {
    mine.locked_ = true;
    return detail::cancel_answer::give_up;
  }
  mine.waiters_.push(*this);
  return detail::cancel_answer::stay;
}

void condition_awaiter::await_resume() {
  if (!cancelled()) return;
  if (notified_) awaited_->pass_on();
  detail::throw_cancelled(*self_);
}

// ---- on a plain thread -------------------------------------------------------------------------------------------------------

/// On its way from the task that waited to the thread it waited for: if that has given up meanwhile, it goes to the next waiter.
class condition::notification {
 public:
  explicit notification(condition& of) noexcept : of_(&of) {}
  notification(notification&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
  notification& operator=(notification&&) = delete;
  ~notification() {
    if (of_ != nullptr) of_->pass_on();
  }
  void arrived() noexcept { of_ = nullptr; }

 private:
  condition* of_;
};

coro<condition::notification> condition::wait_in_task(condition& self, std::shared_ptr<guard> held) {
  co_await self.wait(*held);
  co_return notification(self);
}

/// The guard is lent to the task that waits, and comes back with its end. A task that cannot end (would_deadlock) keeps it.
void condition_awaiter::get() && {
  const auto lent = std::make_shared<guard>(std::move(*held_));
  task<condition::notification> waiting;
  const auto take_back = [&]() noexcept {
    if (!waiting || waiting.done()) *held_ = std::move(*lent);
  };
  try {
    waiting = spawn(borrowed(condition::wait_in_task(*awaited_, lent)));
    detail::wait_sharing(detail::task_access::core(waiting));
  } catch (...) {
    take_back();
    throw;
  }
  take_back();
  std::move(waiting).get().arrived();
}

}  // namespace sheaf
