#pragma once
/// @file
/// condition: tasks that hold a mutex wait, without it, until they are notified.
///
///   waiting --notify()--> notified --the mutex is handed to it--> resumed, holding the mutex
///      \--on_cancel()--> leaving --the mutex is handed to it--> resumed cancelled, holding the mutex
///
///   C1  The condition's queue is under the lock of its mutex. Notified and leaving waiters are in the mutex's own queue: nobody is woken
///       before it can have the mutex.
///   C2  Who waits has unlocked the mutex; it resumes with it locked again, however the wait ended.
///   C3  A notified waiter that resumes cancelled notifies the next one.

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

#include <sheaf/coro.hpp>
#include <sheaf/detail/gcc12.hpp>
#include <sheaf/detail/wait_queue.hpp>
#include <sheaf/mutex.hpp>

namespace sheaf {

class condition;

/// Waits in the condition's queue, then in the mutex's.
class [[nodiscard("co_await it, or nothing is waited for")]] condition_awaiter final : public detail::queued_awaiter {
 public:
  condition_awaiter(condition& awaited, guard& held) noexcept : awaited_(&awaited), held_(&held) {}
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> awaiting) {
    suspend(*awaiting.promise().task, awaiting);
  }
  void await_resume();
  /// On a plain thread with a current runtime. @throws no_runtime, would_deadlock: the guard is empty then unless the wait could be ended
  void get() &&;

  detail::cancel_answer on_cancel(detail::task_core& self) noexcept override;
  detail::wait_reason reason() const noexcept override { return {"a condition", nullptr}; }

 private:
  friend class condition;
  void suspend(detail::task_core& self, std::coroutine_handle<> handle);

  condition* awaited_;
  guard* held_;
  bool notified_ = false;  ///< under the mutex's lock
  bool leaving_ = false;   ///< likewise
};

/// Of a mutex: tasks that hold it wait for something that others change while they hold it.
///
/// @par Threads       any; a plain thread notifies while it holds the mutex: `guard held = m.scoped_lock().get()`
/// @par Lifetime      ends before the mutex, outlives its waiters
/// @par Cancellation  the mutex is held again when `cancelled` arrives; a notification given at the same moment goes to the next waiter
/// @throws nothing but what a member names
/// @par Cost          no allocation, and one wake-up per wait, once the mutex is there too; with a predicate one recycled frame
class condition {
 public:
  explicit condition(mutex& guarding) noexcept : mutex_(&guarding) {}
  condition(const condition&) = delete;
  condition& operator=(const condition&) = delete;

  /// `co_await c.wait(held);` unlocks, waits for a notification, locks again. @throws cancelled, with the mutex held; invalid_state
  /// when `held` does not hold this condition's mutex
  [[nodiscard]] condition_awaiter wait(guard& held) noexcept { return condition_awaiter(*this, held); }
  /// Until `predicate()`, which is called with the mutex held, gives something true; that is the result. True at once needs no mutex.
  /// @throws as wait(held); what the predicate throws
  template <std::invocable Predicate>
  [[nodiscard]] auto wait(guard& held, Predicate&& predicate)
      -> coro<std::decay_t<std::invoke_result_t<std::decay_t<Predicate>&>>> {
    detail::refuse_temporaries_of_gcc12<Predicate>();
    return wait_until_true(*this, held, std::decay_t<Predicate>(std::forward<Predicate>(predicate)));
  }

  /// Up to `count` waiters, those who came first. @throws invalid_state when the mutex is not locked
  void notify(std::size_t count = 1);
  /// @throws invalid_state when the mutex is not locked
  void notify_all();

 private:
  friend class condition_awaiter;
  class notification;

  template <class Predicate>
  static coro<std::decay_t<std::invoke_result_t<Predicate&>>> wait_until_true(condition& self, guard& held, Predicate predicate) {
    for (;;) {
      auto holds = predicate();
      if (holds) co_return std::move(holds);
      co_await self.wait(held);
    }
  }
  static coro<notification> wait_in_task(condition& self, std::shared_ptr<guard> held);

  void notify_up_to(std::size_t count, const char* call);
  /// C3. The mutex need not be locked.
  void pass_on() noexcept;
  /// The first waiter goes on to the mutex. There is one. Under the mutex's lock.
  void notify_first(detail::grants& woken) noexcept;

  mutex* mutex_;
  detail::wait_queue waiters_;  ///< C1
};

}  // namespace sheaf
