/// sleep_for and sleep_until, in virtual time but for two.
#include <sheaf/sleep.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <sheaf/runtime.hpp>
#include <sheaf/this_task.hpp>
#include <sheaf/timeout.hpp>

#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/run_test.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::gate;
using test::run_test;
using test::until_complete;
using test::until_parked;

SHEAF_ON_EVERY_FLAVOUR(SleepOnEvery);

TEST_P(SleepOnEvery, Sleep01_TwoInARowTakeTheSumAndTheValueComesBack) {
  run([this]() -> coro<> {
    EXPECT_EQ(co_await sleep_for(50ms, 1), 1);
    EXPECT_EQ(clock().now(), 50ms);
    std::unique_ptr<int> box = co_await sleep_for(50ms, std::make_unique<int>(2));
    EXPECT_EQ(*box, 2);
    EXPECT_EQ(clock().now(), 100ms);
  });
}

TEST(Sleep, Sleep02_ZeroOrLessYieldsExactlyOnce) {
  for (const auto length : {0ms, -5ms, std::chrono::milliseconds::min()}) {
    std::string order;
    run_test(
        [&]() -> coro<> {
          const auto other = spawn(
              [](std::string& order) -> coro<> {
                order += 'b';
                co_await this_task::yield();
                order += 'd';
              },
              std::ref(order));
          order += 'a';
          co_await sleep_for(length);
          order += 'c';
          co_await other;
        },
        1);
    EXPECT_EQ(order, "abcd");
  }
}

TEST(Sleep, Sleep03_NotANumberIsAnError) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(static_cast<void>(sleep_for(std::chrono::duration<double>(nan))), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(sleep_for(std::chrono::duration<float>(static_cast<float>(nan)), 1)), std::invalid_argument);
}

TEST_P(SleepOnEvery, Sleep04_CancellingASleeperWakesItAtOnceAndRemovesItsTimer) {
  run([this]() -> coro<> {
    const task<> sleeper = spawn([]() -> coro<> { co_await sleep_for(5000s); });
    co_await sleep_for(100ms);
    sleeper.cancel();
    co_await until_complete(sleeper);
    EXPECT_TRUE(sleeper.cancelled());
    EXPECT_EQ(clock().now(), 100ms);
    co_await sleep_for(1s);
  });
  EXPECT_EQ(clock().now(), 1100ms);
  // No deadline is left: without one, time can never move.
  const gate never;
  const task<> stuck = rt().spawn([](gate at) -> coro<> { co_await at; }, never);
  EXPECT_THROW(stuck.get(), would_deadlock);
  EXPECT_EQ(clock().now(), 1100ms);
  never.open();
  stuck.get();
}

TEST_P(SleepOnEvery, Sleep05_EqualSleepsOverlap) {
  run([this]() -> coro<> {
    std::vector<task<>> all;
    for (int i = 0; i < 100; ++i) all.push_back(spawn([]() -> coro<> { co_await sleep_for(1h); }));
    for (task<>& each : all) co_await std::move(each);
    EXPECT_EQ(clock().now(), 1h);
  });
}

/// SLEEP-08: deterministic with one worker: every task wakes exactly at its instant, in order.
TEST(Sleep, Sleep08_SleepersWakeAtTheirInstantsInOrder) {
  manual_clock clock;
  std::vector<std::chrono::nanoseconds> woken;
  const std::vector<std::chrono::milliseconds> expected = [] {
    std::vector<std::chrono::milliseconds> all(500);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = std::chrono::milliseconds(7 * i + 1);
    return all;
  }();
  run(
      [&]() -> coro<> {
        auto order = expected;
        std::shuffle(order.begin(), order.end(), std::minstd_rand(1));
        for (const auto length : order) {
          const task<> each = spawn(
              [](std::chrono::milliseconds length, manual_clock& clock, std::vector<std::chrono::nanoseconds>& woken) -> coro<> {
                co_await sleep_for(length);
                woken.push_back(clock.now());
              },
              length, std::ref(clock), std::ref(woken));
        }
        co_await sleep_for(1h);
      },
      {.workers = 1, .clock = &clock});
  ASSERT_EQ(woken.size(), expected.size());
  for (std::size_t i = 0; i < woken.size(); ++i) EXPECT_EQ(woken[i], expected[i]);
}

TEST_P(SleepOnEvery, APlainThreadMaySleepOnTheRuntimesClock) {
  const entered inside = rt().enter();
  sleep_for(2h).get();
  EXPECT_EQ(*sleep_for(1h, std::make_unique<int>(7)).get(), 7);
  EXPECT_EQ(clock().now(), 3h);
  EXPECT_THROW(static_cast<void>(sleep_for(std::chrono::duration<double>(std::nan(""))).get()), std::invalid_argument);
}

/// A get() that is given up leaves a task behind, which must not wait in what was on the caller's stack.
TEST_P(SleepOnEvery, AGetThatWouldDeadlockLeavesNothingOfTheCallerInUse) {
  leaves_tasks_on_purpose();
  run([]() -> coro<> {
    if (GetParam() == test::flavour::host_loop) {  // its only thread is here
      EXPECT_THROW(sleep_for(1h).get(), would_deadlock);
    } else {
      sleep_for(1h).get();
    }
    co_await this_task::yield();
  });
  destroy_runtime();
}

TEST_P(SleepOnEvery, SleepUntilCountsFromTheClocksBeginning) {
  run([this]() -> coro<> {
    co_await sleep_for(1s);
    co_await sleep_until(std::chrono::steady_clock::time_point(3s));
    EXPECT_EQ(clock().now(), 3s);
    co_await sleep_until(std::chrono::steady_clock::time_point(2s));  // past
    EXPECT_EQ(clock().now(), 3s);
  });
}

TEST_P(SleepOnEvery, DurationsOfEveryKind) {
  run([this]() -> coro<> {
    co_await sleep_for(std::chrono::duration<double>(0.25));
    EXPECT_EQ(clock().now(), 250ms);
    co_await sleep_for(std::chrono::duration<float, std::ratio<60>>(0.5F));
    EXPECT_EQ(clock().now(), 30'250ms);
    co_await sleep_for(1ns);
    EXPECT_EQ(clock().now(), 30'250ms + 1ns);
    co_await sleep_for(std::chrono::hours(24));
    EXPECT_EQ(clock().now(), 24h + 30'250ms + 1ns);
  });
}

/// WAITFOR-19 for sleeps: what is too long to count neither overflows nor fires.
TEST_P(SleepOnEvery, TheLongestSleepsDoNotOverflow) {
  run([]() -> coro<> {
    std::vector<task<>> sleepers;
    sleepers.push_back(spawn([]() -> coro<> { co_await sleep_for(std::chrono::hours::max()); }));
    sleepers.push_back(spawn([]() -> coro<> { co_await sleep_for(std::chrono::nanoseconds::max()); }));
    sleepers.push_back(spawn([]() -> coro<> { co_await sleep_for(std::chrono::duration<double>(1e300)); }));
    sleepers.push_back(spawn([]() -> coro<> { co_await sleep_until(std::chrono::steady_clock::time_point::max()); }));
    co_await sleep_for(std::chrono::hours(24 * 365 * 100));
    for (const task<>& each : sleepers) {
      EXPECT_FALSE(each.done());
      each.cancel();
      co_await until_complete(each);
    }
  });
}

/// A blocking call that is out stops time, unless it waits in get() itself.
TEST_P(SleepOnEvery, Sleep08_TimeStandsStillWhileABlockingCallIsOut) {
  const gate inside, leave;
  auto call = rt().spawn_blocking(
      [](gate inside, gate leave) {
        inside.open();
        leave.wait();
      },
      inside, leave);
  inside.wait();
  const task<> sleeper = rt().spawn([]() -> coro<> { co_await sleep_for(1ms); });
  run([sleeper]() -> coro<> { co_await until_parked(sleeper); });
  EXPECT_FALSE(sleeper.done());
  EXPECT_EQ(clock().now(), 0ns);
  leave.open();
  sleeper.get();
  call.get();
  EXPECT_EQ(clock().now(), 1ms);
}

TEST_P(SleepOnEvery, ABlockingCallThatWaitsInGetLetsTimeMove) {
  run([this]() -> coro<> {
    auto call = spawn_blocking([] {
      auto slept = spawn([]() -> coro<int> { co_return co_await sleep_for(1h, 5); });
      return std::move(slept).get();
    });
    EXPECT_EQ(co_await std::move(call), 5);
    EXPECT_EQ(clock().now(), 1h);
  });
}

/// The first sleeper went on while a thread outside still woke the others, and of those the last one came first.
TEST(Sleep, SleepersOfOneInstantGoOnInTheOrderTheyBegan) {
  constexpr int sleepers = 100;
  for (const bool from_outside : {false, true}) {
    manual_clock clock;
    runtime rt({.workers = 1, .clock = &clock});
    std::vector<int> order;
    const auto sleeps = [](std::vector<int>& order, int name) -> coro<> {
      co_await sleep_for(1s);
      order.push_back(name);
    };
    std::vector<task<>> tasks;
    for (int name = 0; name < sleepers; ++name) tasks.push_back(rt.spawn(sleeps, std::ref(order), name));
    if (from_outside) clock.advance(1s);
    for (const task<>& t : tasks) t.get();
    ASSERT_EQ(order.size(), std::size_t{sleepers});
    EXPECT_TRUE(std::ranges::is_sorted(order)) << (from_outside ? "advance()" : "get()");
  }
}

/// What a woken sleeper spawns came before the other sleepers when it had begun while a thread outside still queued them.
TEST(Sleep, WhatASleeperSpawnsComesBehindTheOthersOfItsInstant) {
  for (const bool from_outside : {false, true}) {
    manual_clock clock;
    runtime rt({.workers = 1, .clock = &clock});
    std::vector<int> order;
    const auto notes = [](std::vector<int>& order, int name) { order.push_back(name); };
    const auto sleeps = [notes](std::vector<int>& order, int name) -> coro<> {
      co_await sleep_for(1s);
      order.push_back(name);
      const task<> child = spawn(notes, std::ref(order), name + 4);
      co_await child;
    };
    std::vector<task<>> tasks;
    for (int name = 0; name < 4; ++name) tasks.push_back(rt.spawn(sleeps, std::ref(order), name));
    if (from_outside) clock.advance(1s);
    for (const task<>& t : tasks) t.get();
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7})) << (from_outside ? "advance()" : "get()");
  }
}

/// The callback runs while the instant fires, when the sleeper has been woken.
TEST(Sleep, ACancelCallbackMayWaitForASleeperOfTheSameInstant) {
  manual_clock clock;
  runtime rt({.workers = 2, .clock = &clock});  // the one that fires waits
  const auto sleeps_for_seven = []() -> coro<int> {
    co_await sleep_for(1s);
    co_return 7;
  };
  const task<int> sleeper = rt.spawn(sleeps_for_seven);
  clock.advance(0s);  // it has begun to sleep
  int seen = 0;
  const auto limited = [](const task<int>& sleeper, int& seen) -> coro<> {
    const auto body = [&](timeout_scope&) -> coro<> {
      const auto registered = this_task::token().on_cancel([&] { seen = sleeper.get(); });
      co_await sleep_for(1h);
    };
    EXPECT_THROW(co_await with_timeout(1s, body), timeout_error);
  };
  const task<> other = rt.spawn(limited, std::cref(sleeper), std::ref(seen));
  clock.advance(1s);
  other.get();
  EXPECT_EQ(seen, 7);
}

TEST(Sleep, UnderHoldTimeMovesByAdvanceOnly) {
  manual_clock clock;
  runtime rt({.workers = test::test_workers(), .clock = &clock});
  const auto held = clock.hold();
  const task<> minute = rt.spawn([]() -> coro<> { co_await sleep_for(1min); });
  const task<> hour = rt.spawn([]() -> coro<> { co_await sleep_for(1h); });
  test::spin_until([&] { return test::is_parked(minute) && test::is_parked(hour); });
  clock.advance(59s);
  EXPECT_FALSE(minute.done());
  clock.advance(1s);
  EXPECT_TRUE(minute.done());
  EXPECT_FALSE(hour.done());
  clock.advance(2h);
  EXPECT_TRUE(hour.done());
  EXPECT_EQ(clock.now(), 2h + 1min);
}

// ---- the steady clock --------------------------------------------------------------------------------------------------------

TEST(Sleep, OnTheSteadyClockItIsNeverEarly) {
  const auto began = std::chrono::steady_clock::now();
  run([]() -> coro<> { co_await sleep_for(5ms); }, {.workers = 1});
  EXPECT_GE(std::chrono::steady_clock::now() - began, 5ms);
}

TEST(Sleep, Sleep07_ABusyYieldingTaskDoesNotKeepASleeperAsleep) {
  run(
      []() -> coro<> {
        bool woken = false;
        const task<> sleeper = spawn(
            [](bool& woken) -> coro<> {
              co_await sleep_for(2ms);
              woken = true;
            },
            std::ref(woken));
        while (!woken) co_await this_task::yield();
        co_await sleeper;
      },
      {.workers = 1});
}

}  // namespace
}  // namespace sheaf
