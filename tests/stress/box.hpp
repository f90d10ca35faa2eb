#pragma once
/// @file
/// How long, from which seed, and what must be left when it is over.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

namespace sheaf::stress {

inline std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::stoull(text);
}

/// Random numbers of one thread or task.
class dice {
 public:
  explicit dice(std::uint64_t seed) : random_(static_cast<std::uint32_t>(seed ^ (seed >> 32U))) {}
  /// 0 to `sides` - 1.
  [[nodiscard]] int below(int sides) { return std::uniform_int_distribution<int>(0, sides - 1)(random_); }
  [[nodiscard]] bool one_in(int times) { return below(times) == 0; }
  [[nodiscard]] std::chrono::microseconds at_most(std::chrono::microseconds longest) {
    return std::chrono::microseconds(below(static_cast<int>(longest.count()) + 1));
  }
  /// For the dice of somebody else.
  [[nodiscard]] std::uint64_t seed() { return random_(); }

 private:
  std::minstd_rand random_;
};

/// Counts itself while it is alive.
class counted {
 public:
  explicit counted(std::atomic<std::int64_t>& alive) noexcept : alive_(&alive) {
    alive_->fetch_add(1, std::memory_order_relaxed);
  }
  counted(const counted& other) noexcept : counted(*other.alive_) {}
  counted& operator=(const counted&) = delete;
  ~counted() { alive_->fetch_sub(1, std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t>* alive_;
};

/// The accounts of one round: each is zero at its end.
struct ledger {
  std::atomic<std::int64_t> values{0};      ///< results alive
  std::atomic<std::int64_t> errors{0};      ///< exceptions alive
  std::atomic<std::int64_t> frames{0};      ///< coroutines and callables that have begun, and not ended
  std::atomic<std::int64_t> callbacks{0};   ///< on_done callbacks registered, less called and removed
  std::atomic<std::int64_t> unexpected{0};  ///< exceptions that nobody throws

  void expect_balance() const {
    EXPECT_EQ(values.load(), 0);
    EXPECT_EQ(errors.load(), 0);
    EXPECT_EQ(frames.load(), 0);
    EXPECT_EQ(callbacks.load(), 0);
    EXPECT_EQ(unexpected.load(), 0);
  }
};

/// Until when.
class moment {
 public:
  explicit moment(std::chrono::nanoseconds from_now) : when_(std::chrono::steady_clock::now() + from_now) {}
  [[nodiscard]] bool has_come() const { return std::chrono::steady_clock::now() >= when_; }

 private:
  std::chrono::steady_clock::time_point when_;
};

/// Calls `round(seed)` again and again, each time with the next seed, until the time of this test is over or something has failed.
template <class Round>
void repeat(Round round) {
  const moment end{std::chrono::seconds(from_environment("SHEAF_STRESS_SECONDS", 1))};
  std::uint64_t seed = from_environment("SHEAF_STRESS_SEED", 1);
  do {
    SCOPED_TRACE("SHEAF_STRESS_SEED=" + std::to_string(seed));
    round(seed++);
  } while (!end.has_come() && !testing::Test::HasFailure());
}

}  // namespace sheaf::stress
