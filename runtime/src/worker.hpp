#pragma once
/// @file
/// A worker: a seat at the pool's table, with its queues. A thread sits in it (context().seat) and serves it; a thread that
/// blocks hands the seat, queues and all, to another (crew.hpp).
///
/// @par Threads  Owner: the thread in the seat. Thief: the thread in another seat of the same pool. Owner-only members are plain;
/// the hand-over orders one owner after the other.
///
/// Where an item waits, and in which order the owner looks:
///   newest      one item; at most k_newest_budget in a row, then `ready` has a turn
///   forks       newest first: children of a fork-join
///   ready       oldest first: everything else
///   injection   the pool's, from other threads; moved to the end of `ready` when that is empty, and every 64th turn
///   the others  up to half of a victim's `ready`, or its oldest fork, of many a batch, or its newest
/// A thief leaves few ready items, and the newest, to an owner that moves: a few short tasks are done sooner where their memory is, and
/// an owner that has not moved for a microsecond has found a long one.
/// Every 32nd turn `ready` goes first, and half-way between `forks` does, so neither starves.
///
/// I1  An item is in one queue at a time, and every queue named here can be emptied by any idle worker: nothing hides behind a
///     long computation.
/// I2  Whatever the owner or a thief publishes into a queue is followed by idle_set::notify(), or, while the worker searches, by
///     end_search() and its look (idle_set.hpp).

#include <sheaf/detail/sync.hpp>
#include <sheaf/work_item.hpp>

#include "deque.hpp"
#include "idle_set.hpp"
#include "injection_queue.hpp"

#include <cstdint>

namespace sheaf::detail {

class pool;

class alignas(k_cache_line) worker {
 public:
  worker(pool& owner, unsigned number, bool shared);
  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;

  [[nodiscard]] const pool& owner() const noexcept { return pool_; }

  /// Runs items until the calling thread has lost the seat or the pool stops. Role: owner.
  void serve() noexcept;

  // Role: owner. None of these fails; none of them wakes anybody.
  void push_ready(work_item& item) noexcept {
    if (!ready_.push(item)) [[unlikely]]
      inject(item);
  }
  void push_ready(work_chain chain) noexcept;
  void push_newest(work_item& item) noexcept;
  void push_fork(work_item& item) noexcept {
    if (!forks_.push(item)) [[unlikely]]
      make_room_and_push_fork(item);
  }
  [[nodiscard]] work_item* pop_fork() noexcept { return forks_.pop(); }

  /// Role: any worker, as its last look before sleeping.
  [[nodiscard]] bool has_work() const noexcept {
    // order: seq_cst: the sleeper's S2 (idle_set.hpp); peer: the exchange in push_newest().
    return !ready_.empty() || !forks_.empty() || newest_.load(sync::seq_cst) != nullptr;
  }

  /// This seat among the pool's, from 0.
  [[nodiscard]] unsigned number() const noexcept { return number_; }
  [[nodiscard]] std::uint64_t steals() const noexcept { return steals_.load(sync::relaxed); }
  [[nodiscard]] std::uint64_t parks() const noexcept { return parks_.load(sync::relaxed); }

 private:
  static constexpr std::uint64_t k_fair_turn = 16;       ///< every such turn `ready` or, alternately, `forks` goes first,
  static constexpr std::uint64_t k_injection_turns = 4;  ///< and every so many of those `injection` is moved to `ready`
  static constexpr unsigned k_newest_budget = 3;
  static constexpr std::size_t k_batch = 32;      ///< most items taken in one steal
  static constexpr std::size_t k_wide = 64;       ///< forks beyond which a thief takes a batch
  static constexpr unsigned k_search_rounds = 8;  ///< rounds of search before parking,
  static constexpr unsigned k_search_pause = 64;  ///< with this many pauses between two: each look takes a line from its owner
  static constexpr std::size_t k_few = 16;        ///< ready items that are not stolen from an owner that moves
  static constexpr unsigned k_grace = 64;         ///< pauses in which it must have begun a turn

  [[nodiscard]] work_item* next() noexcept;
  [[nodiscard]] work_item* next_fair(std::uint64_t fair_turn) noexcept;
  [[nodiscard]] work_item* next_newest() noexcept;
  [[nodiscard]] work_item* adopt_injected() noexcept;

  [[nodiscard]] work_item* find_elsewhere() noexcept;
  [[nodiscard]] work_item* search() noexcept;
  [[nodiscard]] work_item* steal_from(worker& victim) noexcept;
  void adopt_forks_of(worker& victim, std::size_t wanted) noexcept;
  [[nodiscard]] work_item* steal_newest_from(worker& victim) noexcept;

  /// Role: thief. The owner has not begun a turn for a while.
  [[nodiscard]] bool is_stuck() const noexcept;

  void inject(work_item& item) noexcept;
  void make_room_and_push_fork(work_item& item) noexcept;
  void count(sync::atomic<std::uint64_t>& counter) noexcept { counter.store(counter.load(sync::relaxed) + 1, sync::relaxed); }
  [[nodiscard]] std::uint64_t random() noexcept;

  deque<deque_use::fifo> ready_;
  deque<deque_use::lifo> forks_;
  alignas(k_cache_line) sync::atomic<work_item*> newest_{nullptr};
  sync::atomic<std::uint64_t> turns_{0};  ///< written by the owner; a thief sees by it whether the owner is stuck in one item

  alignas(k_cache_line) pool& pool_;
  const unsigned number_;
  const bool shared_;  ///< the pool has other workers
  // Owner only (the counters are read by metrics):
  unsigned newest_in_a_row_ = 0;
  std::uint64_t random_;
  sync::atomic<std::uint64_t> steals_{0};
  sync::atomic<std::uint64_t> parks_{0};

  alignas(k_cache_line) idle_set::sleeper sleeper_;
};

}  // namespace sheaf::detail
