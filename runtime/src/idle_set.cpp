/// @file
/// The slow half of idle_set.hpp, which holds the protocol's argument.

#include "idle_set.hpp"

#include <sheaf/detail/assert.hpp>

namespace sheaf::detail {

bool idle_set::try_begin_search() noexcept {
  std::uint64_t state = state_.load(sync::relaxed);
  while (searchers(state) < searchers_allowed_) {
    // order: seq_cst: P2 may rely on this searcher from here on; peer: notify().
    if (state_.compare_exchange_weak(state, state + k_searcher, sync::seq_cst, sync::relaxed)) return true;
  }
  return false;
}

bool idle_set::end_search() noexcept {
  // order: seq_cst: W1; peer: P2 in notify().
  const std::uint64_t before = state_.fetch_sub(k_searcher, sync::seq_cst);
  SHEAF_ASSERT(searchers(before) != 0);
  return searchers(before) == 1;
}

void idle_set::announce(sleeper& self, bool was_searching) noexcept {
  const sync::lock_guard guard(lock_);
  SHEAF_ASSERT(!self.listed_);
  self.woken_.store(0, sync::relaxed);  // I2: nobody else writes it while it is not listed
  self.listed_ = true;
  self.next_ = newest_;
  newest_ = &self;
  // order: seq_cst: S1; peer: P2 in notify().
  state_.fetch_add(k_sleeper - (was_searching ? k_searcher : 0), sync::seq_cst);
}

void idle_set::withdraw(sleeper& self) noexcept {
  const sync::lock_guard guard(lock_);
  if (!self.listed_) return;  // woken meanwhile, and counted as a searcher by the waker
  sleeper** link = &newest_;
  while (*link != &self) link = &(*link)->next_;
  *link = self.next_;
  self.listed_ = false;
  // order: seq_cst, as every change of state_ that P2 decides by; peer: notify().
  state_.fetch_sub(k_sleeper - k_searcher, sync::seq_cst);
}

void idle_set::sleep(sleeper& self) noexcept {
  // order: acquire sees what the waker did before; peer: release in wake_one().
  while (self.woken_.load(sync::acquire) == 0) sync::futex_wait(self.woken_, 0);
}

bool idle_set::wake_one(bool though_searched) noexcept {
  sync::lock_guard guard(lock_);
  sleeper* const chosen = newest_;
  if (chosen == nullptr || (!though_searched && searchers(state_.load(sync::relaxed)) != 0)) return false;
  newest_ = chosen->next_;
  chosen->listed_ = false;
  // order: seq_cst: the woken worker is a searcher that P2 may rely on (I1); peer: notify().
  state_.fetch_sub(k_sleeper - k_searcher, sync::seq_cst);
  wakes_.store(wakes_.load(sync::relaxed) + 1, sync::relaxed);
  auto& word = chosen->woken_;
  // order: release publishes what the waker did; peer: acquire in sleep().
  word.store(1, sync::release);
  guard.unlock();
  sync::futex_wake_one(word);
  return true;
}

void idle_set::wake_all() noexcept {
  while (wake_one(true)) {
  }
}

}  // namespace sheaf::detail
