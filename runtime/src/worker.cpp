/// @file
/// The worker's loop: its own queues, then everybody else's, then sleep.

#include "worker.hpp"

#include <sheaf/detail/context.hpp>

#include "pool.hpp"

#include <algorithm>
#include <utility>

namespace sheaf::detail {

worker::worker(pool& owner, unsigned number, bool shared)
    : ready_(shared),
      forks_(shared),
      pool_(owner),
      number_(number),
      shared_(shared),
      random_(0x9E3779B97F4A7C15u * (number + 1)) {}

void worker::serve() noexcept {
  // This function is no coroutine and its thread does not change, so the reference may be kept; items change what it refers to.
  thread_context& here = context();
  while (work_item* const item = next()) {
    item->run();
    if (here.seat != this) return;  // handed over while the item blocked: the seat is another thread's now
  }
}

// ---- the seat's own queues

inline work_item* worker::next() noexcept {
  const std::uint64_t turn = turns_.load(sync::relaxed) + 1;
  turns_.store(turn, sync::relaxed);
  work_item* item = nullptr;
  if (turn % k_fair_turn == 0 && (item = next_fair(turn / k_fair_turn)) != nullptr) return item;
  // A peek; only the owner fills it, so null stays null.
  if (newest_.load(sync::relaxed) != nullptr && (item = next_newest()) != nullptr) return item;
  newest_in_a_row_ = 0;
  if ((item = forks_.pop()) != nullptr) return item;
  if ((item = ready_.take()) != nullptr) return item;
  if ((item = adopt_injected()) != nullptr) return item;
  return find_elsewhere();
}

/// The turns on which the usual order does not hold: `ready` first and `forks` first, alternately.
work_item* worker::next_fair(std::uint64_t fair_turn) noexcept {
  if (fair_turn % 2 != 0) return forks_.pop();
  if (fair_turn % k_injection_turns == 0) {
    // To the end of `ready`, not before it: post_last() promises a place behind what is queued, and `ready` starves nobody.
    if (const work_chain chain = pool_.injection().drain(); chain.count != 0) {
      push_ready(chain);
      if (shared_) pool_.idle().notify();
    }
  }
  return ready_.take();
}

/// The newest item, or a ready one if the budget is spent.
work_item* worker::next_newest() noexcept {
  if (newest_in_a_row_ >= k_newest_budget) {
    newest_in_a_row_ = 0;
    if (work_item* const item = ready_.take()) return item;
  }
  ++newest_in_a_row_;
  // order: acquire sees the item; peer: release half of push_newest(), perhaps by an earlier owner.
  return newest_.exchange(nullptr, sync::acquire);
}

/// Takes all that was injected: the oldest to run, the rest into `ready`, where others can steal it.
work_item* worker::adopt_injected() noexcept {
  work_chain chain = pool_.injection().drain();
  if (chain.count == 0) return nullptr;
  work_item* const oldest = std::exchange(chain.first, chain.first->next);
  if (--chain.count != 0) {
    push_ready(chain);
    if (shared_) pool_.idle().notify();
  }
  return oldest;
}

void worker::inject(work_item& item) noexcept { pool_.injection().push(item); }

void worker::push_ready(work_chain chain) noexcept {
  chain.count -= ready_.push_chain(chain.first, chain.count);
  for (; chain.count != 0; --chain.count) inject(*std::exchange(chain.first, chain.first->next));
}

void worker::push_newest(work_item& item) noexcept {
  // order: release publishes the item, acquire sees the displaced one, which an earlier owner may have put there; peers: every
  //        exchange of newest_. seq_cst: P1 of idle_set.hpp; peer: has_work().
  if (work_item* const displaced = newest_.exchange(&item, sync::seq_cst)) push_ready(*displaced);
}

/// No memory for one more fork: the oldest goes to the injection queue instead of the newest, so pop_fork() still finds the forks
/// of the innermost fork-join, and whatever is gone is the oldest, as after a steal.
void worker::make_room_and_push_fork(work_item& item) noexcept {
  do {
    work_item* oldest = nullptr;
    if (forks_.steal(oldest) == steal_result::got) inject(*oldest);
  } while (!forks_.push(item));
}

// ---- everybody else's

/// Searches, then sleeps, until there is an item; null: the pool stops and nothing is left. The steps are those of idle_set.hpp.
work_item* worker::find_elsewhere() noexcept {
  idle_set& idle = pool_.idle();
  for (bool searching = idle.try_begin_search();; searching = true) {
    if (searching) {
      if (work_item* const found = search()) {
        if (idle.end_search() && pool_.has_work()) idle.notify();  // W1, W2
        return found;
      }
    }
    idle.announce(sleeper_, searching);      // S1
    const bool stopping = pool_.stopping();  // before the look, so what was posted before stop() is seen
    const bool work = pool_.has_work();      // S2
    if (work || stopping) {
      idle.withdraw(sleeper_);
      if (work) continue;
      if (idle.end_search() && pool_.has_work()) idle.notify();
      return nullptr;
    }
    count(parks_);
    idle.sleep(sleeper_);
  }
}

work_item* worker::search() noexcept {
  const unsigned seats = pool_.workers();
  for (unsigned round = 0; round < k_search_rounds; ++round) {
    if (work_item* const item = adopt_injected()) return item;
    const auto start = static_cast<unsigned>(random() % seats);
    for (unsigned i = 0; i < seats; ++i) {
      worker& victim = pool_.seat((start + i) % seats);
      if (&victim == this) continue;
      if (work_item* const item = steal_from(victim)) return item;
    }
    for (unsigned i = 0; i < k_search_pause; ++i) sync::spin_pause();
  }
  for (unsigned i = 0; i < seats; ++i) {
    worker& victim = pool_.seat(i);
    if (&victim == this) continue;
    if (work_item* const item = steal_newest_from(victim)) return item;
  }
  return nullptr;
}

work_item* worker::steal_from(worker& victim) noexcept {
  work_item* batch[k_batch];
  const std::size_t there = victim.ready_.size();
  // What is left there is not forgotten: has_work() keeps this thief awake.
  const bool leave = there != 0 && there <= k_few && victim.forks_.empty() && !victim.is_stuck();
  if (const std::size_t taken = leave ? 0 : victim.ready_.steal_half(batch, k_batch); taken != 0) {
    for (std::size_t i = 0; i < taken; ++i) prefetch(batch[i]);
    for (std::size_t i = 1 + ready_.push_array(batch + 1, taken - 1); i < taken; ++i) inject(*batch[i]);
    count(steals_);
    return batch[0];
  }
  work_item* fork = nullptr;
  if (victim.forks_.steal(fork) != steal_result::got) return nullptr;
  count(steals_);
  if (const std::size_t left = victim.forks_.size(); left >= k_wide) adopt_forks_of(victim, std::min(left / 2, k_batch));
  return fork;
}

/// So many forks come of a wide fork-join, whose children are alike, rather than of a deep one, whose oldest is half of the work.
void worker::adopt_forks_of(worker& victim, std::size_t wanted) noexcept {
  work_item* batch[k_batch];
  std::size_t taken = 0;
  while (taken < wanted && victim.forks_.steal(batch[taken]) == steal_result::got) prefetch(batch[taken++]);
  for (std::size_t i = 0; i < taken; ++i) push_fork(*batch[i]);
}

bool worker::is_stuck() const noexcept {
  const std::uint64_t turn = turns_.load(sync::relaxed);
  for (unsigned i = 0; i < k_grace; ++i) sync::spin_pause();  // without a look: it would slow the owner down
  return turns_.load(sync::relaxed) == turn;
}

/// Two tasks that wake each other should stay on one core, so a thief takes the newest item only when its owner seems stuck.
work_item* worker::steal_newest_from(worker& victim) noexcept {
  if (victim.newest_.load(sync::relaxed) == nullptr) return nullptr;
  if (!victim.is_stuck()) return nullptr;  // it will come round
  // order: acquire sees the item; peer: release half of push_newest().
  work_item* const item = victim.newest_.exchange(nullptr, sync::acquire);
  if (item != nullptr) count(steals_);
  return item;
}

std::uint64_t worker::random() noexcept {  // xorshift64
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return random_;
}

}  // namespace sheaf::detail
