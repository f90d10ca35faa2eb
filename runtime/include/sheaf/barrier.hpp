#pragma once
/// @file
/// barrier: tasks wait until a number of them have come.
///
///   arrived --the last party comes--> released --resumed--> gone
///      |  \--on_cancel()--> gone
///      \--abort(), reset()--> released, of an era that is over: resumes with broken_barrier
///
///   B1  Everything is under lock_. A released task counts in draining_ until it has resumed.
///   B2  The barrier trips when nobody drains and as many as there are parties have arrived: who comes early for the next round waits
///       until the last one is over.
///   B3  abort() and reset() begin a new era; a wait that resumes in another era than it came in fails.

#include <coroutine>
#include <cstddef>
#include <cstdint>

#include <sheaf/detail/sync.hpp>
#include <sheaf/detail/wait_queue.hpp>

namespace sheaf {

class barrier;

/// Waits in the barrier's queue.
class [[nodiscard("co_await it, or nobody arrives")]] barrier_awaiter final : public detail::queued_awaiter {
 public:
  explicit barrier_awaiter(barrier& at) noexcept : at_(&at) {}
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) {
    return suspend(*awaiting.promise().task, awaiting);
  }
  std::size_t await_resume();
  /// On a plain thread with a current runtime. @throws no_runtime, would_deadlock
  std::size_t get() &&;

  detail::cancel_answer on_cancel(detail::task_core& self) noexcept override;
  detail::wait_reason reason() const noexcept override { return {"a barrier", nullptr}; }

 private:
  friend class barrier;
  bool suspend(detail::task_core& self, std::coroutine_handle<> handle);

  barrier* at_;
  std::size_t index_ = 0;
  std::uint64_t era_ = 0;
};

/// Once as many tasks wait as there are parties, all of them go on, and the barrier is ready for the next round.
///
/// @par Threads       any; abort() and reset() also from destructors, callbacks and plain threads
/// @par Lifetime      outlives its waiters
/// @par Cancellation  a cancelled waiter leaves, and another may fill its place; the others of a round that is complete go on without it
/// @throws nothing but what a member names
/// @par Cost          no allocation; a lock for a few pointer writes, twice per wait; one wake-up per waiter but the last to come
class barrier {
 public:
  /// @throws std::invalid_argument for less than one party
  explicit barrier(std::ptrdiff_t parties);
  barrier(const barrier&) = delete;
  barrier& operator=(const barrier&) = delete;

  /// `co_await b.wait();` gives one of 0 to parties() - 1, another one to each task of a round, in the order in which they came.
  /// @throws broken_barrier when it is aborted, or while waiting aborted or reset; cancelled
  [[nodiscard]] barrier_awaiter wait() noexcept { return barrier_awaiter(*this); }
  /// Makes it as new: waits begun before fail, later ones count.
  void reset() noexcept;
  /// Every wait fails, begun before or later, until reset().
  void abort() noexcept;

  [[nodiscard]] std::size_t parties() const noexcept { return parties_; }
  /// Tasks that have come and wait for others.
  [[nodiscard]] std::size_t waiting() const noexcept;
  /// It was aborted, and not reset since.
  [[nodiscard]] bool is_broken() const noexcept;

 private:
  friend class barrier_awaiter;

  /// B2, once enough have arrived and nobody drains. Under lock_.
  void trip(std::size_t from_queue, detail::grants& woken) noexcept;
  /// A released task has resumed. Under lock_.
  void leave(detail::grants& woken) noexcept;
  /// B3. Under lock_.
  void begin_era(detail::grants& woken) noexcept;

  mutable detail::sync::mutex lock_;
  const std::size_t parties_;
  std::size_t arrived_ = 0;   ///< in arrivals_
  std::size_t draining_ = 0;  ///< B1
  std::uint64_t era_ = 0;
  bool broken_ = false;
  detail::wait_queue arrivals_;
};

}  // namespace sheaf
