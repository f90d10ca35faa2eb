#pragma once
/// @file
/// One run of a scenario: who there is, who moves, what each has seen.

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "explorer/explorer.hpp"
#include "explorer/hooks.hpp"
#include "explorer/schedule.hpp"

namespace explorer {

inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t x = a ^ (b + 0x9e3779b97f4a7c15 + (a << 6) + (a >> 2));
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/// Whose turn it is, told without the machine that is explored.
class baton {
 public:
  void pass() noexcept {
    word_.store(1, std::memory_order_release);
    syscall(SYS_futex, &word_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }
  void take() noexcept {
    while (word_.exchange(0, std::memory_order_acquire) == 0)
      syscall(SYS_futex, &word_, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
  }

 private:
  std::atomic<std::uint32_t> word_{0};
};

/// A value that is not, or no longer, at its place.
struct late_store {
  void* where;
  std::size_t size;
  std::uint64_t bits;
  bool in_order;  ///< release: everything before it goes first
  bool update;    ///< of what is at its place: nothing else may come between
};

constexpr std::int64_t k_never = INT64_MAX;

/// An explored thread. Its fields are touched by whoever has the baton.
struct actor {
  unsigned id = 0;
  baton turn;
  entry run = nullptr;
  void* argument = nullptr;
  std::thread os;

  enum class state { ready, locking, waiting, joining, ended } now = state::ended;
  const void* place = nullptr;  ///< what it waits at
  const std::uint32_t* word = nullptr;
  unsigned joined = 0;
  std::int64_t deadline = k_never;
  bool spins = false;  ///< until another thread writes
  std::uint64_t history = 0;
  std::uint32_t born = 0;
  std::vector<late_store> late;
};

struct place_history {
  std::uint64_t name = 0;
  std::uint64_t written = 0;
  std::uint64_t reads = 0;
};

struct step_note {
  unsigned who;
  operation what;
  std::uint64_t place;
};

/// The actor of this thread; null on one that is not explored.
extern thread_local actor* self;
extern void (*reset_thread)();

/// Everything in it is touched by the actor that moves, and between runs by the thread that explores.
class world {
 public:
  report explore(std::string_view name, const std::function<void()>& scenario, const options& how);

  // ---- the machine: see hooks.hpp ----
  void point(operation kind, const void* where) {
    if (++steps_ > how_->steps) fail("no end: too many steps");
    notes_.push_back({self->id, kind, where != nullptr ? history_of(where).name : 0});
    if (kind == operation::load || kind == operation::update) offer_late_stores(where);
    switch_from(true);
    if (kind == operation::store || kind == operation::update) end_late_updates(where);
  }
  void has_read(const void* where) {
    place_history& at = history_of(where);
    self->history = mix(mix(self->history, at.name), at.written);
    at.reads += mix(self->history, 1);
  }
  void has_written(const void* where, actor& by) {
    place_history& at = history_of(where);
    by.history = mix(mix(mix(by.history, at.name), at.written), at.reads);
    at.written = by.history;
    at.reads = 0;
    for (actor* const each : active_) {
      if (each != &by) each->spins = false;
    }
    rounds_of_spinning_ = 0;
  }
  void uses(void* where, std::size_t size) {
    if (places_.contains(where)) return;
    late_store kept{where, size, 0, false, false};
    std::memcpy(&kept.bits, where, size);
    static_values_.push_back(kept);
    places_[where] = {mix(static_values_.size(), 11), 0, 0};  // named by the order of first use
  }
  void born(const void* where) { places_[where] = {mix(mix(self->id + 1, ++self->born), 7), 0, 0}; }
  void gone(const void* where) {
    flush(*self, [where](const late_store& each) { return each.where == where; });
    places_.erase(where);
  }
  bool buffer_store(void* where, const void* value, std::size_t size, std::memory_order order);
  bool buffer_update(void* where, const void* value, std::size_t size, std::memory_order order);
  bool read_own_store(const void* where, void* value, std::size_t size);
  void drain(actor& of) {
    flush(of, [](const late_store&) { return true; });
  }
  void drain_before(const void* where, std::memory_order order) {
    flush(*self, [where, order](const late_store& each) { return order != std::memory_order_relaxed || each.where == where; });
  }
  void drain_all() {
    for (actor* const each : active_) drain(*each);
  }
  void lock(std::uint32_t* word) {
    point(operation::lock, word);
    drain(*self);
    while (*word != 0) {
      self->now = actor::state::locking;
      self->word = word;
      switch_from(false);
    }
    *word = 1;
    has_written(word, *self);
  }
  void unlock(std::uint32_t* word) {
    point(operation::unlock, word);
    drain(*self);
    *word = 0;
    has_written(word, *self);
  }
  void futex_wait(const void* where, const std::uint32_t* word, std::uint32_t expected, std::int64_t deadline);
  void futex_wake(const void* where, unsigned how_many);
  std::int64_t now() {
    point(operation::clock, nullptr);
    self->history = mix(self->history, static_cast<std::uint64_t>(clock_));
    return clock_;
  }
  void pause() {
    if (++steps_ > how_->steps) fail("no end: too many steps");
    notes_.push_back({self->id, operation::pause, 0});
    self->spins = true;
    switch_from(false);
  }
  unsigned start_thread(entry run, void* argument) {
    point(operation::start, nullptr);
    drain(*self);
    actor& made = activate(run, argument);
    made.history = mix(self->history, 3);
    self->history = mix(self->history, 5);
    return made.id;
  }
  void join_thread(unsigned id) {
    point(operation::join, nullptr);
    drain(*self);
    if (active_[id]->now != actor::state::ended) {
      self->now = actor::state::joining;
      self->joined = id;
      switch_from(false);
    }
    self->history = mix(self->history, active_[id]->history);
  }

  [[nodiscard]] actor* thread(unsigned id) const noexcept { return active_[id]; }

  [[noreturn]] void fail(std::string_view what) {
    print_failure(what);
    std::_Exit(1);
  }
  void print_failure(std::string_view what);
  void print_trace();

 private:
  [[nodiscard]] bool can_move(const actor& each) const;

  /// The schedule has chosen; the scenario must be where it was when this was chosen before.
  template <class Choice>
  Choice followed(Choice choice) {
    if (schedule_.strayed()) fail("the scenario did not do the same under the same schedule");
    return choice;
  }
  /// Somebody moves on; this returns when it is this actor again, and never for one that has ended.
  void switch_from(bool may_stay);
  static void move_on(actor& before, actor& next);
  /// Those who spin go on, but not for ever; else time does.
  bool somebody_can_be_moved();
  /// Of those who wait with a deadline, or null.
  [[nodiscard]] actor* first_in_time() const;
  void let_time_pass(actor& until);
  [[nodiscard]] std::uint64_t fingerprint() const;

  /// What others keep back of `where` may become visible now, with what must not come after it.
  void offer_late_stores(const void* where);
  /// Those of others become visible, before anybody else writes there.
  void end_late_updates(const void* where);
  /// `each` leaves its buffer, with what must not come after it.
  void end_late_store(actor& of, std::vector<late_store>::iterator each);
  template <class Which>
  void flush(actor& of, Which which) {
    if (of.late.empty()) return;
    std::vector<late_store> kept;
    for (const late_store& each : of.late) {
      if (!which(each)) {
        kept.push_back(each);
        continue;
      }
      std::memcpy(each.where, &each.bits, each.size);
      has_written(each.where, of);
    }
    of.late = std::move(kept);
  }
  /// Of a place that is gone, which a late wake may name: nothing is known.
  place_history& history_of(const void* where) { return places_[where]; }

  actor& activate(entry run, void* argument);
  /// A thread of the system serves explored threads, one in each run.
  void serve(actor& me);
  void run_once(const std::function<void()>& scenario);
  void end_threads();

  std::string_view name_;
  const options* how_ = nullptr;
  schedule schedule_;
  std::vector<std::unique_ptr<actor>> threads_;
  std::vector<actor*> active_;  ///< in this run, by id
  std::vector<unsigned> able_;
  std::unordered_map<const void*, place_history> places_;
  std::vector<step_note> notes_;
  std::vector<late_store> static_values_;  ///< as they were before this run
  std::int64_t clock_ = 0;
  std::uint64_t runs_ = 0;
  std::optional<std::uint64_t> seed_;  ///< of a random run
  std::uint64_t steps_ = 0;            ///< of this run
  unsigned rounds_of_spinning_ = 0;
  baton over_;
};

}  // namespace explorer
