/// Deadlines set on one thread, moved and taken back on others, while they pass.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <sheaf/sheaf.hpp>

#include "stress/box.hpp"

namespace sheaf::stress {
namespace {

using namespace std::chrono_literals;

/// What came of the sleepers.
struct ends {
  std::atomic<int> slept{0}, timed_out{0}, stopped{0};
  [[nodiscard]] int all() const { return slept.load() + timed_out.load() + stopped.load(); }
};

/// Sleeps under a deadline that it gives away.
coro<> sleep_under(promise<timeout_scope> shown, std::chrono::microseconds limit, std::chrono::microseconds nap,
                   ledger& accounts) {
  const counted frame(accounts.frames);
  const auto body = [&](timeout_scope& scope) -> coro<> {
    shown.set_value(scope);
    co_await sleep_for(nap);
  };
  co_await with_timeout(limit, body);
}

/// Starts many sleepers, moves the deadlines of some and stops others, in any order.
void trouble_sleepers(runtime& rt, dice roll, ends& how, ledger& accounts) {
  constexpr std::size_t k_sleepers = 64;
  std::vector<task<>> sleepers;
  std::vector<future<timeout_scope>> scopes;
  for (std::size_t i = 0; i < k_sleepers; ++i) {
    promise<timeout_scope> shown;
    scopes.push_back(shown.get_future());
    sleepers.push_back(rt.spawn(sleep_under(std::move(shown), roll.at_most(1000us), roll.at_most(1000us), accounts)));
  }
  for (std::size_t i = 0; i < k_sleepers; ++i) {
    if (roll.one_in(3)) sleepers[static_cast<std::size_t>(roll.below(k_sleepers))].cancel();
    if (!roll.one_in(3)) continue;
    try {
      timeout_scope scope = scopes[i].get();
      scope.reschedule(roll.at_most(1000us));
    } catch (const invalid_state&) {   // it is over
    } catch (const broken_promise&) {  // stopped before it began
    }
  }
  for (const task<>& each : sleepers) {
    try {
      each.get();
      ++how.slept;
    } catch (const timeout_error&) {
      ++how.timed_out;
    } catch (const task_cancelled&) {
      ++how.stopped;
    }
  }
}

TEST(Timers, AreMovedAndTakenBackAcrossThreads) {
  repeat([](std::uint64_t seed) {
    ledger accounts;
    ends how;
    constexpr std::uint64_t k_threads = 8;
    constexpr int k_rounds = 20;
    {
      runtime rt({.workers = 8});
      std::vector<std::thread> outside;
      for (std::uint64_t i = 0; i < k_threads; ++i) {
        outside.emplace_back([&, own = seed * k_threads + i] {
          dice roll(own);
          for (int left = k_rounds; left > 0; --left) trouble_sleepers(rt, dice(roll.seed()), how, accounts);
        });
      }
      for (std::thread& each : outside) each.join();
    }
    EXPECT_EQ(how.all(), static_cast<int>(k_threads) * k_rounds * 64);
    accounts.expect_balance();
  });
}

/// Manual time, moved by some threads while others start sleepers and wait for them, which moves it too.
TEST(Timers, KeepTheirOrderInManualTime) {
  repeat([](std::uint64_t seed) {
    ledger accounts;
    manual_clock clock;
    {
      runtime rt({.workers = 4, .clock = &clock});
      std::vector<std::thread> outside;
      for (std::uint64_t i = 0; i < 8; ++i) {
        outside.emplace_back([&, i, own = seed * 8 + i] {
          dice roll(own);
          const auto sleeps = [&](std::chrono::microseconds nap) -> coro<> {
            const counted frame(accounts.frames);
            const auto begun = clock.now();
            co_await sleep_for(nap);
            if (clock.now() - begun < nap) ++accounts.unexpected;
          };
          for (int left = 200; left > 0; --left) {
            if (i % 2 == 0) {
              clock.advance(roll.at_most(100us));
            } else {
              const task<> mine = rt.spawn(sleeps, roll.at_most(100us));
              if (roll.one_in(3)) mine.cancel();
              try {
                mine.get();
              } catch (const task_cancelled&) {
              }
            }
          }
        });
      }
      for (std::thread& each : outside) each.join();
    }
    accounts.expect_balance();
  });
}

}  // namespace
}  // namespace sheaf::stress
