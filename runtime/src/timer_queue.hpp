#pragma once
/// @file
/// The deadlines of one runtime, on the steady clock or on a manual one.
///
/// Entries lie in timing wheels, one behind each of a few locks ("shards"); a thread arms in the shard of its own number, so that
/// workers rarely meet. On a manual clock there is one shard and no thread: the clock asks next_deadline() and calls fire_due().
///
/// Steady clock: one timer thread, started by the first arm(). It sleeps on the word `rounds_` until the earliest deadline; entries
/// within k_grain of the last firing are taken together, so dense deadlines cost two wake-ups a millisecond at most. Nobody ticks.
///
/// Q1  An entry fires on or after its deadline, in (deadline, sequence) order within a shard; equal deadlines armed by different
///     threads have no order among them on the steady clock.
/// Q2  No lost wake-up. The thread reads rounds_, then visits every shard under its lock, fires what is due, leaves in `wake_before` up
///     to when it will sleep, and then waits for rounds_ to change. An arm() that precedes the visit is seen by it. One that follows
///     finds `wake_before`, and if it is earlier counts rounds_ up after the thread read it: the wait returns.
/// Q3  While the thread is awake `wake_before` is the past: arming then wakes nobody.

#include <cstddef>
#include <memory>
#include <optional>

#include <sheaf/detail/sync.hpp>
#include <sheaf/detail/timer.hpp>

#include "timer_wheel.hpp"

namespace sheaf::detail {

class manual_clock_core;

class timer_queue {
 public:
  struct options {
    manual_clock_core* clock = nullptr;                 ///< null: the steady clock
    void (*on_thread_start)(void*) noexcept = nullptr;  ///< on the timer thread, before it fires anything
    void* argument = nullptr;
  };

  explicit timer_queue(const options& chosen);
  timer_queue(const timer_queue&) = delete;
  timer_queue& operator=(const timer_queue&) = delete;
  ~timer_queue() { stop(); }

  [[nodiscard]] sync::nanoseconds now() const noexcept;

  /// `entry` is idle. k_forever never fires, but counts as armed.
  ///
  /// @par Threads  any
  /// @par Cost     one lock; a futex wake when the deadline is earlier than what the timer thread sleeps for. The first call starts
  ///               that thread, and ends the program when the system has none to give; start() before it throws instead
  void arm(timer& entry, sync::nanoseconds deadline) noexcept;

  /// True: it was armed, is idle again and will not fire. False: it was never armed, is firing, or has fired.
  ///
  /// @par Threads  any
  /// @par Cost     one lock
  bool disarm(timer& entry) noexcept;

  /// Starts the timer thread now. Nothing on a manual clock. @throws std::system_error
  void start();
  /// Ends and joins the timer thread; what is armed will not fire. May be called again. Not from within fire().
  void stop() noexcept;

  /// The earliest deadline, exactly; nullopt: none is armed.
  [[nodiscard]] std::optional<sync::nanoseconds> next_deadline() noexcept;
  /// Fires everything due by `now`, in order. One thread at a time. False: nothing was due.
  bool fire_due(sync::nanoseconds now) noexcept;

 private:
  friend class manual_clock_core;
  struct alignas(64) shard {
    sync::mutex lock;
    sync::nanoseconds wake_before = sync::k_forever;  ///< an arm() earlier than this wakes the thread
    timer_wheel wheel{0};
  };

  static void run_thread(void* self) noexcept;
  void run() noexcept;
  void notify() noexcept;
  bool fire_due_of_many(sync::nanoseconds now) noexcept;

  const options options_;
  std::size_t shard_count_;
  std::unique_ptr<shard[]> shards_;

  sync::atomic<std::uint32_t> rounds_{0};
  sync::atomic<bool> stopping_{false};
  sync::mutex thread_lock_;  ///< guards the two below
  bool stopped_ = false;
  sync::thread thread_;

  timer_queue* clock_next_ = nullptr;  ///< the manual clock's list, under its lock
  std::uint64_t clock_pass_ = 0;       ///< the clock's instant this queue was last asked about, under its lock
};

}  // namespace sheaf::detail
