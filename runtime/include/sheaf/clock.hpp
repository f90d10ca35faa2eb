#pragma once
/// @file
/// manual_clock: time that moves only when nothing else can happen, for tests that sleep an hour in microseconds.

#include <chrono>
#include <memory>
#include <utility>

#include <sheaf/detail/manual_clock_core.hpp>
#include <sheaf/time_limit.hpp>

namespace sheaf {

class manual_clock;

namespace detail {
[[nodiscard]] manual_clock_core& core_of(manual_clock& clock) noexcept;
}

/// A clock for `runtime_options::clock`, shared by as many runtimes as name it. It starts at zero.
///
/// Time moves to the next deadline only while some thread is inside run(), get() or advance(), no task is queued or running on any
/// runtime that shares the clock, and no blocking call is out (one that waits in get() or on the clock does not count). Timers fire
/// in exact deadline order, those of one runtime's equal deadlines in the order in which they were set; what they wake goes on after all
/// timers of the instant have fired, on one worker in their order (what fired before a cancel callback goes on with it). When nothing can
/// ever move, run() and get() throw would_deadlock.
///
/// @par Threads       any
/// @par Lifetime      outlives the runtimes that use it
/// @par Cancellation  a cancelled wait removes its deadline; time does not move for it
/// @throws nothing but what a member names; its constructor std::bad_alloc
/// @par Cost          one allocation; a move is a lock and a look at each runtime's next deadline; work on a runtime with a manual clock
///                    costs one shared addition more per queue entry
class manual_clock {
 public:
  class hold_guard;

  manual_clock() = default;
  manual_clock(const manual_clock&) = delete;
  manual_clock& operator=(const manual_clock&) = delete;

  /// Since the clock's own beginning.
  [[nodiscard]] std::chrono::nanoseconds now() const noexcept { return std::chrono::nanoseconds(core_->now()); }

  /// Moves time by `by`: every timer on the way fires at its own instant, and what it causes ends before time goes on. Returns when
  /// the end is reached and all is quiet.
  ///
  /// @par Threads       a plain thread
  /// @par Lifetime      returns before the clock goes
  /// @par Cancellation  none: it is not in a task
  /// @throws std::invalid_argument  negative or NaN
  /// @throws invalid_state          in a task, or on a thread of a runtime
  /// @par Cost          a lock per instant at which timers fire
  template <class Rep, class Period>
  void advance(std::chrono::duration<Rep, Period> by) {
    core_->advance(detail::to_nanoseconds(by));
  }

  /// While the guard lives, time moves by advance() only: for events that come from outside, or to step through time.
  [[nodiscard]] hold_guard hold() noexcept;

 private:
  friend detail::manual_clock_core& detail::core_of(manual_clock& clock) noexcept;
  const std::shared_ptr<detail::manual_clock_core> core_ = std::make_shared<detail::manual_clock_core>();
};

/// Holds a manual_clock for a scope.
///
/// @par Threads       released on any thread
/// @par Lifetime      ends before the clock
/// @par Cancellation  none
/// @throws nothing
/// @par Cost          a lock to take and to release
class [[nodiscard]] manual_clock::hold_guard {
 public:
  hold_guard(hold_guard&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
  hold_guard& operator=(hold_guard&& other) noexcept {
    hold_guard(std::move(other)).swap(*this);
    return *this;
  }
  ~hold_guard() {
    if (core_ != nullptr) core_->release();
  }
  void swap(hold_guard& other) noexcept { std::swap(core_, other.core_); }

 private:
  friend class manual_clock;
  explicit hold_guard(detail::manual_clock_core& core) noexcept : core_(&core) { core.hold(); }

  detail::manual_clock_core* core_;
};

inline manual_clock::hold_guard manual_clock::hold() noexcept { return hold_guard(*core_); }

inline detail::manual_clock_core& detail::core_of(manual_clock& clock) noexcept { return *clock.core_; }

}  // namespace sheaf
