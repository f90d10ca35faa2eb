#pragma once
/// @file
/// event: a flag that tasks wait for.
///
///   E1  `set_` changes under lock_; nobody is queued while it is true.
///   E2  set() takes all who wait out of the queue: a clear() that follows does not call them back.
///   E3  wait() takes the lock, also when the event is set: who has passed it may destroy the event, set() does not touch it any more.

#include <coroutine>

#include <sheaf/detail/sync.hpp>
#include <sheaf/detail/wait_queue.hpp>

namespace sheaf {

class event;

/// Waits in the event's queue.
class [[nodiscard("co_await it, or nothing is waited for")]] event_awaiter final : public detail::queued_awaiter {
 public:
  explicit event_awaiter(event& awaited) noexcept : awaited_(&awaited) {}
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    return suspend(*awaiting.promise().task, awaiting);
  }
  /// Always true, so that it reads as a condition.
  bool await_resume() const {
    if (cancelled()) detail::throw_cancelled(*self_);
    return true;
  }
  /// On a plain thread with a current runtime. @throws no_runtime, would_deadlock
  bool get() &&;

  detail::cancel_answer on_cancel(detail::task_core& self) noexcept override;
  detail::wait_reason reason() const noexcept override { return {"an event", nullptr}; }

 private:
  bool suspend(detail::task_core& self, std::coroutine_handle<> handle) noexcept;

  event* awaited_;
};

/// Once it is set, all who wait go on, and whoever comes passes at once until it is cleared.
///
/// @par Threads       any; set() also from destructors, callbacks and plain threads. What came before set() is seen after wait()
/// @par Lifetime      outlives its waiters; who has passed wait() may destroy it, who has but seen is_set() may not: set() may be about
///                    to return
/// @par Cancellation  a cancelled waiter leaves no trace
/// @throws nothing
/// @par Cost          no allocation; a lock for a few pointer writes, one wake-up per waiter; is_set() is one load
class event {
 public:
  event() = default;
  event(const event&) = delete;
  event& operator=(const event&) = delete;

  /// Lets everyone go on who waits now, also when clear() follows at once. A second time does nothing.
  void set() noexcept;
  void clear() noexcept;
  [[nodiscard]] bool is_set() const noexcept {
    // order: acquire sees what came before set(); peer: release in set().
    return set_.load(detail::sync::acquire);
  }
  /// `co_await e.wait();` gives true. @throws cancelled
  [[nodiscard]] event_awaiter wait() noexcept { return event_awaiter(*this); }

 private:
  friend class event_awaiter;

  detail::sync::mutex lock_;
  detail::sync::atomic<bool> set_{false};  ///< written under lock_
  detail::wait_queue waiters_;             ///< under lock_
};

}  // namespace sheaf
