#pragma once
/// @file
/// bounded_semaphore: a semaphore that finds a release() too many.

#include <cstddef>

#include <sheaf/detail/refusal.hpp>
#include <sheaf/semaphore.hpp>

namespace sheaf {

/// A semaphore that never has more permits than it began with. A permit gives back what it took without throwing: if a release() too
/// many came before it, nobody has found out yet, and what it would add beyond the bound is dropped.
///
/// @par Threads       any; release() also from callbacks and plain threads
/// @par Lifetime      outlives its permits and waiters
/// @par Cancellation  a cancelled waiter leaves no trace; permits granted to it at the same moment go to the next one
/// @throws nothing but what a member names
/// @par Cost          as semaphore
class bounded_semaphore {
 public:
  /// @throws std::invalid_argument when `permits` is negative
  explicit bounded_semaphore(std::ptrdiff_t permits);

  /// `permit p = co_await s.acquire();` @throws std::invalid_argument for 0 permits, and for more than there ever are
  [[nodiscard]] semaphore_awaiter acquire(std::size_t count = 1) {
    require_within_bound(count, "acquire");
    return permits_.acquire(count);
  }
  /// An empty permit when they are not to be had at once. @throws as acquire()
  [[nodiscard]] permit try_acquire(std::size_t count = 1) {
    require_within_bound(count, "try_acquire");
    return permits_.try_acquire(count);
  }
  /// @throws invalid_state when there would be more permits than it began with; nothing has changed then
  void release(std::size_t count = 1);
  /// To be had at once: none while somebody waits.
  [[nodiscard]] std::size_t available() const noexcept { return permits_.available(); }

  template <class Never = void>
  semaphore_awaiter operator co_await() {
    static_assert(detail::always_false<Never>, "sheaf: a semaphore itself is not awaited; write co_await s.acquire()");
    return acquire();
  }

 private:
  void require_within_bound(std::size_t count, const char* call) const;

  semaphore permits_;
};

}  // namespace sheaf
