#include "timer_queue.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <utility>

#include <sheaf/detail/context.hpp>
#include <sheaf/detail/manual_clock_core.hpp>
#include <sheaf/time_limit.hpp>

namespace sheaf::detail {

namespace {

/// Half the promised precision of a millisecond.
constexpr sync::nanoseconds k_grain = 500'000;
constexpr sync::nanoseconds k_wake_nobody = std::numeric_limits<sync::nanoseconds>::min();
constexpr std::size_t k_most_shards = 8;
/// How many entries the timer thread asks to spare itself one early wake-up.
constexpr std::size_t k_patience = 64;

std::size_t shards_for(const manual_clock_core* clock) noexcept {
  return clock != nullptr ? 1 : std::min<std::size_t>(std::bit_ceil(sync::usable_cores()), k_most_shards);
}

}  // namespace

timer_queue::timer_queue(const options& chosen)
    : options_(chosen), shard_count_(shards_for(chosen.clock)), shards_(std::make_unique<shard[]>(shard_count_)) {
  for (std::size_t i = 0; i < shard_count_; ++i) {
    shards_[i].wheel = timer_wheel(now());
    if (options_.clock != nullptr) shards_[i].wake_before = k_wake_nobody;
  }
  if (options_.clock != nullptr) options_.clock->attach(*this);
}

sync::nanoseconds timer_queue::now() const noexcept { return options_.clock != nullptr ? options_.clock->now() : sync::now(); }

void timer_queue::arm(timer& entry, sync::nanoseconds deadline) noexcept {
  const std::size_t index = shard_count_ == 1 ? 0 : context().shard() & (shard_count_ - 1);
  entry.shard = static_cast<std::uint8_t>(index);
  shard& home = shards_[index];
  bool earlier = false;
  {
    const sync::lock_guard guard(home.lock);
    home.wheel.insert(entry, deadline);
    earlier = deadline < home.wake_before;
    if (earlier) home.wake_before = deadline;
  }
  if (earlier) notify();
}

bool timer_queue::disarm(timer& entry) noexcept {
  shard& home = shards_[entry.shard];
  const sync::lock_guard guard(home.lock);
  return home.wheel.remove(entry);
}

void timer_queue::notify() noexcept {
  // order: release, with the acquire in run(), orders stopping_; the entries themselves travel through the shard's lock (Q2).
  rounds_.fetch_add(1, sync::release);
  sync::futex_wake_one(rounds_);
  start();
}

void timer_queue::start() {
  if (options_.clock != nullptr) return;
  const sync::lock_guard guard(thread_lock_);
  if (!stopped_ && !thread_.joinable()) thread_ = sync::thread("sheaf-timer", &run_thread, this);
}

void timer_queue::stop() noexcept {
  sync::thread ended;
  {
    const sync::lock_guard guard(thread_lock_);
    if (std::exchange(stopped_, true)) return;
    ended = std::move(thread_);
  }
  if (options_.clock != nullptr) options_.clock->detach(*this);
  if (!ended.joinable()) return;
  stopping_.store(true, sync::relaxed);
  // order: release publishes stopping_; peer: acquire in run().
  rounds_.fetch_add(1, sync::release);
  sync::futex_wake_one(rounds_);
  ended.join();
}

void timer_queue::run_thread(void* self) noexcept { static_cast<timer_queue*>(self)->run(); }

void timer_queue::run() noexcept {
  if (options_.on_thread_start != nullptr) options_.on_thread_start(options_.argument);
  sync::nanoseconds rest_until = k_wake_nobody;  // entries due before share one wake-up
  for (;;) {
    // order: acquire sees stopping_; peer: release in stop().
    const std::uint32_t round = rounds_.load(sync::acquire);
    if (stopping_.load(sync::relaxed)) return;
    const sync::nanoseconds woken = now();
    if (fire_due(woken)) rest_until = saturating_add(woken, k_grain);

    sync::nanoseconds sleep_until = sync::k_forever;
    for (std::size_t i = 0; i < shard_count_; ++i) {
      shard& home = shards_[i];
      const sync::lock_guard guard(home.lock);
      const sync::nanoseconds next = home.wheel.earliest(k_patience);
      home.wake_before = next <= rest_until ? k_wake_nobody : next;
      sleep_until = std::min(sleep_until, next);
    }
    sync::futex_wait(rounds_, round, std::max(sleep_until, rest_until));
  }
}

std::optional<sync::nanoseconds> timer_queue::next_deadline() noexcept {
  sync::nanoseconds next = sync::k_forever;
  for (std::size_t i = 0; i < shard_count_; ++i) {
    const sync::lock_guard guard(shards_[i].lock);
    next = std::min(next, shards_[i].wheel.earliest(std::numeric_limits<std::size_t>::max()));
  }
  if (next == sync::k_forever) return std::nullopt;
  return next;
}

bool timer_queue::fire_due(sync::nanoseconds now) noexcept {
  if (shard_count_ > 1) return fire_due_of_many(now);
  bool fired = false;
  for (shard& home = shards_[0];; fired = true) {
    timer* due = nullptr;
    {
      const sync::lock_guard guard(home.lock);
      home.wake_before = k_wake_nobody;  // Q3
      due = home.wheel.first_due(now);
      if (due == nullptr) return fired;
      home.wheel.remove(*due);
    }
    due->fire(*due);
  }
}

/// A merge: the shard with the earliest entry gives it up, unless it turns out to have been disarmed.
bool timer_queue::fire_due_of_many(sync::nanoseconds now) noexcept {
  std::array<sync::nanoseconds, k_most_shards> earliest;
  for (std::size_t i = 0; i < shard_count_; ++i) {
    const sync::lock_guard guard(shards_[i].lock);
    shards_[i].wake_before = k_wake_nobody;  // Q3
    const timer* const due = shards_[i].wheel.first_due(now);
    earliest[i] = due != nullptr ? due->deadline : sync::k_forever;
  }
  bool fired = false;
  for (;;) {
    const auto first = std::min_element(earliest.begin(), earliest.begin() + static_cast<std::ptrdiff_t>(shard_count_));
    if (*first == sync::k_forever) return fired;
    shard& home = shards_[static_cast<std::size_t>(first - earliest.begin())];
    timer* firing = nullptr;
    {
      const sync::lock_guard guard(home.lock);
      timer* due = home.wheel.first_due(now);
      if (due != nullptr && due->deadline <= *first) {
        firing = due;
        home.wheel.remove(*firing);
        due = home.wheel.first_due(now);
      }
      *first = due != nullptr ? due->deadline : sync::k_forever;
    }
    if (firing == nullptr) continue;
    fired = true;
    firing->fire(*firing);
  }
}

}  // namespace sheaf::detail
