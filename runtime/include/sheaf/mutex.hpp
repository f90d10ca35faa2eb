#pragma once
/// @file
/// mutex: one task at a time, first come first served; guard: holds it for a scope.
///
///   M1  Somebody waits only while the mutex is locked.
///   M2  unlock() hands the mutex to the first who waits: it stays locked meanwhile, so nobody overtakes.
///   M3  A waiter that was handed the mutex and then resumes cancelled unlocks it.

#include <coroutine>
#include <utility>

#include <sheaf/detail/refusal.hpp>
#include <sheaf/detail/sync.hpp>
#include <sheaf/detail/wait_queue.hpp>

namespace sheaf {

class mutex;
class condition;
class condition_awaiter;
class scoped_lock_awaiter;

/// Holds a mutex; unlocks it when it goes.
///
/// @par Threads       not synchronised; may unlock on any thread
/// @par Lifetime      ends before the mutex. As an argument of a task it goes when the task's work is over, before its outcome is seen
/// @par Cancellation  none
/// @throws nothing but what a member names
/// @par Cost          mutex::unlock() at its end
class [[nodiscard("a dropped guard unlocks at once")]] guard {
 public:
  guard() noexcept = default;
  guard(guard&& other) noexcept : held_(std::exchange(other.held_, nullptr)) {}
  guard& operator=(guard&& other) noexcept {
    std::swap(held_, other.held_);
    return *this;
  }
  ~guard();

  /// Takes over a mutex that the caller has locked. @throws invalid_state when it is not locked
  static guard adopt(mutex& locked);

  [[nodiscard]] explicit operator bool() const noexcept { return held_ != nullptr; }
  /// Unlocks now. @throws invalid_state when it holds nothing, or when the mutex was unlocked behind its back
  void unlock();
  /// Leaves the mutex locked: the caller unlocks it with mutex::unlock().
  void detach() noexcept { held_ = nullptr; }

 private:
  friend class mutex;
  friend class scoped_lock_awaiter;
  friend class condition_awaiter;
  explicit guard(mutex& locked) noexcept : held_(&locked) {}

  mutex* held_ = nullptr;
};

namespace detail {

/// Waits in the mutex's queue.
class mutex_awaiter : public queued_awaiter {
 public:
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    return suspend(*awaiting.promise().task, awaiting);
  }
  cancel_answer on_cancel(task_core& self) noexcept final;
  wait_reason reason() const noexcept final { return {"a mutex", nullptr}; }

 protected:
  explicit mutex_awaiter(mutex& wanted) noexcept : wanted_(&wanted) {}
  ~mutex_awaiter() = default;
  /// From await_resume: the mutex is the task's, unless this throws `cancelled`.
  void finish();

  mutex* wanted_;

 private:
  bool suspend(task_core& self, std::coroutine_handle<> handle) noexcept;
};

}  // namespace detail

class [[nodiscard("co_await it, or nothing is locked")]] lock_awaiter final : public detail::mutex_awaiter {
 public:
  explicit lock_awaiter(mutex& wanted) noexcept : mutex_awaiter(wanted) {}
  void await_resume() { finish(); }
  /// On a plain thread with a current runtime. @throws no_runtime, would_deadlock
  void get() &&;
};

class [[nodiscard("co_await it, or nothing is locked")]] scoped_lock_awaiter final : public detail::mutex_awaiter {
 public:
  explicit scoped_lock_awaiter(mutex& wanted) noexcept : mutex_awaiter(wanted) {}
  guard await_resume() {
    finish();
    return guard(*wanted_);
  }
  /// On a plain thread with a current runtime. @throws no_runtime, would_deadlock
  guard get() &&;
};

/// Held across awaits by one task at a time; the others wait in its queue, first come first served, and block no thread. It has no
/// owner: whoever is handed the work may unlock it, on any thread. Not for std::lock_guard, which does not await.
///
/// @par Threads       any; unlock() also from destructors, callbacks and plain threads
/// @par Lifetime      outlives its guards and waiters
/// @par Cancellation  a cancelled waiter leaves no trace; a mutex handed to it at the same moment goes to the next one
/// @throws nothing but what a member names
/// @par Cost          no allocation, no suspension when it is free; a lock for a few pointer writes; one wake-up per waiter
class mutex {
 public:
  mutex() = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

  /// `co_await m.lock();`: to be unlocked with unlock().
  [[nodiscard]] lock_awaiter lock() noexcept { return lock_awaiter(*this); }
  /// `guard held = co_await m.scoped_lock();`
  [[nodiscard]] scoped_lock_awaiter scoped_lock() noexcept { return scoped_lock_awaiter(*this); }
  /// True: it was free, and is locked now.
  [[nodiscard]] bool try_lock() noexcept;
  /// An empty guard when it is not free.
  [[nodiscard]] guard try_scoped_lock() noexcept {
    if (try_lock()) return guard(*this);
    return {};
  }
  /// @throws invalid_state when it is not locked
  void unlock();
  [[nodiscard]] bool is_locked() const noexcept;

  template <class Never = void>
  lock_awaiter operator co_await() {
    static_assert(detail::always_false<Never>,
                  "sheaf: a mutex itself is not awaited; write co_await m.lock() or guard held = co_await m.scoped_lock()");
    return lock();
  }

 private:
  friend class guard;
  friend class condition;
  friend class condition_awaiter;
  friend class detail::mutex_awaiter;

  /// M2. It is locked. Under lock_.
  void hand_over(detail::grants& woken) noexcept;
  /// Locks it for `waiter`, now or when its turn comes. Under lock_.
  void admit(detail::queued_awaiter& waiter, detail::grants& woken) noexcept;
  /// False: it was not locked.
  bool unlock_if_locked() noexcept;

  mutable detail::sync::mutex lock_;
  bool locked_ = false;         ///< under lock_
  detail::wait_queue waiters_;  ///< under lock_
};

inline guard::~guard() {
  if (held_ != nullptr) held_->unlock_if_locked();
}

}  // namespace sheaf
