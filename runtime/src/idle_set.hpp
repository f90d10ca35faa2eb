#pragma once
/// @file
/// Who searches, who sleeps, and whom a push wakes.
///
/// A worker with nothing of its own becomes a *searcher* (it looks into the other workers' queues, briefly spinning) and, having
/// found nothing, a *sleeper* (it waits on its futex word). A push wakes one sleeper, and only when nobody searches: a searcher
/// will find the item or answer for it.
///
///     BUSY --try_begin_search()--> SEARCHING --announce()--> ANNOUNCED --sleep()--> ASLEEP
///      ^                            |   ^  ^                     |                     |
///      +-------- end_search() ------+   |  +---- withdraw() -----+                     |
///                                       +------- woken: notify(), wake_all() ----------+
///     (a BUSY worker that may not search, because half of them do already, announces at once)
///
/// No push is missed: publish, then check, on both sides. All five are seq_cst, so they stand in one order:
///
///     pusher:   P1 publish the item (deque bottom_, newest slot, injection head_)     P2 load state_, in notify()
///     sleeper:  S1 add itself to state_, in announce()                                S2 look into every queue
///     searcher: W1 leave state_ with an item in hand, in end_search()                 W2 look into every queue, if the last
///
///   - P2 after S1: the pusher sees a sleeper. If it sees no searcher as well, it wakes one.
///   - P2 before S1: then P1 is before S2, and the sleeper sees the item (or somebody has taken it) and does not sleep.
///   - P2 saw a searcher: that one leaves later, by S1 and S2 or by W1 and W2, so its look comes after P1. It sees the item; as a
///     sleeper it does not sleep, as the last searcher it wakes the next. A searcher that was not the last leaves the duty to
///     those that remain, and the last of them does it.
///   - Whoever moves items from queue to queue hides them for a moment; so every publication, not only the first, is followed by
///     P2 or, for a searcher, by W1 and W2.
///
/// I1  state_ counts exactly: sleepers = length of the list, both changed under lock_; a woken worker counts as a searcher from
///     the moment it is taken off the list, so a burst of pushes wakes one worker, not all.
/// I2  A sleeper's word is set under lock_ as it leaves the list: no wake is left over for its next sleep.

#include <sheaf/detail/sync.hpp>

#include <cstdint>

namespace sheaf::detail {

class idle_set {
 public:
  /// A worker's place in the set.
  class sleeper {
    friend class idle_set;
    sync::atomic<std::uint32_t> woken_{0};
    // Under lock_:
    sleeper* next_ = nullptr;
    bool listed_ = false;
  };

  explicit idle_set(unsigned workers) noexcept : searchers_allowed_(workers > 1 ? workers / 2 : 1) {}
  idle_set(const idle_set&) = delete;
  idle_set& operator=(const idle_set&) = delete;

  /// After publishing an item with a seq_cst operation. Role: any thread.
  void notify() noexcept {
    // order: seq_cst: P2; peer: S1 in announce(), W1 in end_search().
    if (wants_wake(state_.load(sync::seq_cst))) wake_one(false);
  }

  /// BUSY -> SEARCHING, unless half of the workers do already. Role: worker.
  [[nodiscard]] bool try_begin_search() noexcept;

  /// SEARCHING -> BUSY. True: it was the last searcher, so it must look whether work is left (W2) and then call notify().
  [[nodiscard]] bool end_search() noexcept;

  /// BUSY or SEARCHING -> ANNOUNCED. The caller looks into every queue next (S2), then calls withdraw() or sleep().
  void announce(sleeper& self, bool was_searching) noexcept;

  /// ANNOUNCED -> SEARCHING, even beyond the half: it has seen work.
  void withdraw(sleeper& self) noexcept;

  /// ANNOUNCED -> ASLEEP -> SEARCHING, when somebody wakes it.
  void sleep(sleeper& self) noexcept;

  /// Wakes every sleeper. Role: the thread that stops the pool, after raising the flag that S2 looks at.
  void wake_all() noexcept;

  [[nodiscard]] std::uint64_t wakes() const noexcept { return wakes_.load(sync::relaxed); }

 private:
  static constexpr std::uint64_t k_searcher = 1, k_sleeper = std::uint64_t{1} << 32;
  static std::uint64_t searchers(std::uint64_t state) noexcept { return state & (k_sleeper - 1); }
  static bool wants_wake(std::uint64_t state) noexcept { return state >= k_sleeper && searchers(state) == 0; }

  bool wake_one(bool though_searched) noexcept;

  sync::atomic<std::uint64_t> state_{0};
  const std::uint64_t searchers_allowed_;
  sync::mutex lock_;
  sleeper* newest_ = nullptr;             ///< under lock_; last in, first out: the most recent sleeper is the warmest
  sync::atomic<std::uint64_t> wakes_{0};  ///< written under lock_
};

}  // namespace sheaf::detail
