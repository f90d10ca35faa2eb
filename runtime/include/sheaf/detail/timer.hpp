#pragma once
/// @file
/// The entry of one deadline, embedded in whoever waits, so that arming allocates nothing.

#include <cstdint>

#include <sheaf/detail/sync.hpp>

namespace sheaf::detail {

/// A deadline in at most one timer_queue.
///
///   idle --arm()--> armed --disarm()--> idle          the queue will never fire it
///                     +----(due)------> idle, fire()  the queue never touches it again
///
/// @par Threads  armed by one thread at a time, and disarmed only after that; all fields but `shard` and `fire` are the queue's, under
///               its lock, until it has fired. Before it is armed `deadline` is its owner's, to keep a time in
struct timer {
  using function = void (*)(timer&) noexcept;
  /// Where an entry is linked; `never` is a deadline without end, linked nowhere.
  enum class place : std::uint8_t { idle, slot, due, never };

  explicit timer(function f) noexcept : fire(f) {}
  timer(const timer&) = delete;
  timer& operator=(const timer&) = delete;

  timer* prev = nullptr;
  timer* next = nullptr;
  sync::nanoseconds deadline = 0;
  const function fire;         ///< runs on the timer thread, or on the thread that moves manual time, outside the queue's lock
  std::uint32_t sequence = 0;  ///< orders equal deadlines that were set less than 2^31 entries apart
  std::uint16_t slot = 0;
  place linked = place::idle;
  std::uint8_t shard = 0;  ///< which part of the queue holds it; written by arm() only
};

static_assert(sizeof(timer) <= 40);

}  // namespace sheaf::detail
