#pragma once
/// @file
/// semaphore: a number of permits that tasks wait for, first come first served.
///
///   S1  The first who waits wants more than there is, so nobody is queued who could be admitted.
///   S2  A waiter that was granted permits and then resumes cancelled gives them back.
///   S3  There are never more permits than the bound, which only a bounded_semaphore has.

#include <coroutine>
#include <cstddef>
#include <utility>

#include <sheaf/detail/refusal.hpp>
#include <sheaf/detail/sync.hpp>
#include <sheaf/detail/wait_queue.hpp>

namespace sheaf {

class semaphore;
class bounded_semaphore;

/// Permits that were taken; gives them back when it goes.
///
/// @par Threads       not synchronised; may be given back on any thread
/// @par Lifetime      ends before the semaphore. As an argument of a task it goes when the task's work is over, before its outcome is seen
/// @par Cancellation  none
/// @throws nothing
/// @par Cost          giving back is semaphore::release()
class [[nodiscard("a dropped permit is given back at once")]] permit {
 public:
  permit() noexcept = default;
  permit(permit&& other) noexcept : from_(std::exchange(other.from_, nullptr)), count_(other.count_) {}
  permit& operator=(permit&& other) noexcept {
    std::swap(from_, other.from_);
    std::swap(count_, other.count_);
    return *this;
  }
  ~permit() { release(); }

  [[nodiscard]] explicit operator bool() const noexcept { return from_ != nullptr; }
  /// Gives the permits back now.
  void release() noexcept;
  /// Keeps the permits taken: the caller returns them with semaphore::release().
  void detach() noexcept { from_ = nullptr; }

 private:
  friend class semaphore;
  friend class semaphore_awaiter;
  permit(semaphore& from, std::size_t count) noexcept : from_(&from), count_(count) {}

  semaphore* from_ = nullptr;
  std::size_t count_ = 0;
};

/// Waits in the semaphore's queue.
class [[nodiscard("co_await it, or nothing is acquired")]] semaphore_awaiter final : public detail::queued_awaiter {
 public:
  semaphore_awaiter(semaphore& from, std::size_t count) noexcept : from_(&from), count_(count) {}
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    return suspend(*awaiting.promise().task, awaiting);
  }
  permit await_resume();
  /// On a plain thread with a current runtime. @throws no_runtime, would_deadlock
  permit get() &&;

  detail::cancel_answer on_cancel(detail::task_core& self) noexcept override;
  detail::wait_reason reason() const noexcept override { return {"a semaphore", nullptr}; }

 private:
  friend class semaphore;
  bool suspend(detail::task_core& self, std::coroutine_handle<> handle) noexcept;

  semaphore* from_;
  std::size_t count_;
};

/// FIFO among waiters: nobody overtakes, and a request for many permits at the head holds back the small ones behind it.
///
/// @par Threads       any; release() also from destructors, callbacks and plain threads
/// @par Lifetime      outlives its permits and waiters
/// @par Cancellation  a cancelled waiter leaves no trace; permits granted to it at the same moment go to the next one
/// @throws nothing but what a member names
/// @par Cost          no allocation; a lock for a few pointer writes; one wake-up per waiter admitted
class semaphore {
 public:
  /// @throws std::invalid_argument when `permits` is negative
  explicit semaphore(std::ptrdiff_t permits);
  semaphore(const semaphore&) = delete;
  semaphore& operator=(const semaphore&) = delete;

  /// `permit p = co_await s.acquire();` @throws std::invalid_argument for 0 permits
  [[nodiscard]] semaphore_awaiter acquire(std::size_t count = 1);
  /// An empty permit when they are not to be had at once.
  [[nodiscard]] permit try_acquire(std::size_t count = 1);
  /// Adds permits, also beyond the number it started with.
  void release(std::size_t count = 1) noexcept;
  /// To be had at once: none while somebody waits.
  [[nodiscard]] std::size_t available() const noexcept;

  template <class Never = void>
  semaphore_awaiter operator co_await() {
    static_assert(detail::always_false<Never>, "sheaf: a semaphore itself is not awaited; write co_await s.acquire()");
    return acquire();
  }

 private:
  friend class semaphore_awaiter;
  friend class bounded_semaphore;
  semaphore(std::ptrdiff_t permits, std::size_t bound);
  /// Grants to the head of the queue while permits last (S1). Under lock_.
  void grant(detail::grants& woken) noexcept;
  /// False: the bound would be exceeded.
  [[nodiscard]] bool try_release(std::size_t count) noexcept;

  mutable detail::sync::mutex lock_;
  const std::size_t bound_;
  std::size_t available_;       ///< under lock_
  detail::wait_queue waiters_;  ///< under lock_
};

inline void permit::release() noexcept {
  if (semaphore* const from = std::exchange(from_, nullptr)) from->release(count_);
}

}  // namespace sheaf
