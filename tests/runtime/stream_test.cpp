/// stream<T>: generators that may await.
#include <sheaf/stream.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <sheaf/sleep.hpp>
#include <sheaf/spawn.hpp>
#include <sheaf/this_task.hpp>

#include "support/children.hpp"
#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::boom;
using test::gate;
using test::until_complete;
using test::until_parked;

SHEAF_ON_EVERY_FLAVOUR(StreamOnEvery);

stream<int> count_to(int last) {
  for (int i = 1; i <= last; ++i) co_yield i;
}
stream<int> every_second(int last) {
  for (int i = 1; i <= last; ++i) {
    co_await sleep_for(1s);
    co_yield i;
  }
}

TEST_P(StreamOnEvery, ValuesComeInOrderThenTheEnd) {
  run([this]() -> coro<> {
    std::vector<int> seen;
    auto numbers = every_second(3);
    while (auto value = co_await numbers.next()) seen.push_back(*value);
    EXPECT_EQ(seen, (std::vector<int>{1, 2, 3}));
    EXPECT_EQ(clock().now(), 3s);
    EXPECT_EQ(co_await numbers.next(), std::nullopt);
    auto none = count_to(0);
    EXPECT_EQ(co_await none.next(), std::nullopt);
  });
}

TEST_P(StreamOnEvery, APlainThreadMayAskToo) {
  const entered inside = rt().enter();
  auto numbers = every_second(2);
  EXPECT_EQ(numbers.next().get(), 1);
  EXPECT_EQ(clock().now(), 1s);
  EXPECT_EQ(numbers.next().get(), 2);
  EXPECT_EQ(numbers.next().get(), std::nullopt);
}

TEST_P(StreamOnEvery, AGetThatWouldDeadlockLeavesNothingOfTheCallerInUse) {
  leaves_tasks_on_purpose();
  auto numbers = every_second(2);
  run([&]() -> coro<> {
    if (GetParam() == test::flavour::host_loop) {  // its only thread is here
      EXPECT_THROW(numbers.next().get(), would_deadlock);
    } else {
      EXPECT_EQ(numbers.next().get(), 1);
    }
    co_await this_task::yield();
  });
  destroy_runtime();
}

TEST_P(StreamOnEvery, ItRunsOnlyWhenAsked) {
  run([]() -> coro<> {
    int steps = 0;
    const auto counting = [](int& steps) -> stream<int> {
      for (;;) {
        ++steps;
        co_yield steps;
      }
    };
    auto endless = counting(steps);
    EXPECT_EQ(steps, 0);
    EXPECT_EQ(co_await endless.next(), 1);
    EXPECT_EQ(steps, 1);
    EXPECT_EQ(co_await endless.next(), 2);
  });
}

TEST_P(StreamOnEvery, MoveOnlyValuesAndReferences) {
  run([]() -> coro<> {
    const auto boxes = []() -> stream<std::unique_ptr<int>> {
      co_yield std::make_unique<int>(1);
      auto second = std::make_unique<int>(2);
      co_yield std::move(second);
    };
    auto boxed = boxes();
    int sum = 0;
    while (auto box = co_await boxed.next()) sum += **box;
    EXPECT_EQ(sum, 3);
    int target = 5;
    const auto refers = [](int& to) -> stream<int&> {
      co_yield to;
      co_yield to;
    };
    auto references = refers(target);
    while (auto reference = co_await references.next()) ++reference->get();
    EXPECT_EQ(target, 7);
  });
}

TEST_P(StreamOnEvery, AnErrorComesOutOnceThenTheEnd) {
  run([]() -> coro<> {
    const auto fails = []() -> stream<int> {
      co_yield 1;
      throw boom(2);
    };
    auto failing = fails();
    EXPECT_EQ(co_await failing.next(), 1);
    EXPECT_THROW(static_cast<void>(co_await failing.next()), boom);
    EXPECT_EQ(co_await failing.next(), std::nullopt);
  });
}

TEST_P(StreamOnEvery, DroppedEarlyItIsDestroyedOnce) {
  test::drop_counter drops;
  run([&drops]() -> coro<> {
    const auto holds = [](test::drop_counter::payload, test::drop_counter::payload) -> stream<int> {
      co_yield 1;
      co_yield 2;
    };
    {
      auto begun = holds(drops.make(), drops.make());
      EXPECT_EQ(co_await begun.next(), 1);
      EXPECT_EQ(drops.alive(), 2);
    }
    EXPECT_EQ(drops.alive(), 0);
    {
      const auto never_asked = holds(drops.make(), drops.make());
    }
    EXPECT_EQ(drops.alive(), 0);
    auto other = holds(drops.make(), drops.make());
    auto moved = std::move(other);
    EXPECT_THROW(static_cast<void>(other.next()), invalid_state);
    moved = holds(drops.make(), drops.make());
  });
  EXPECT_EQ(drops.alive(), 0);
}

TEST_P(StreamOnEvery, ACancelledConsumerInterruptsTheGenerator) {
  run([]() -> coro<> {
    bool cleaned = false;
    const auto waits = [](bool& cleaned) -> stream<int> {
      co_yield 1;
      try {
        co_await sleep_for(1h);
      } catch (const cancelled&) {
        cleaned = true;
        throw;
      }
      co_yield 2;
    };
    const auto consumes = [&waits](bool& cleaned) -> coro<> {
      auto values = waits(cleaned);
      while (co_await values.next()) {
      }
    };
    const task<> consumer = spawn(consumes, std::ref(cleaned));
    co_await until_parked(consumer);
    consumer.cancel();
    co_await until_complete(consumer);
    EXPECT_TRUE(consumer.cancelled());
    EXPECT_TRUE(cleaned);
  });
}

/// Decision: a loop over ready values stays fair and can be cancelled.
TEST_P(StreamOnEvery, AnEndlessGeneratorThatNeverWaitsCanBeCancelled) {
  run([]() -> coro<> {
    const auto endless = []() -> stream<int> {
      for (int i = 0;; ++i) co_yield i;
    };
    const auto consumes = [&endless]() -> coro<> {
      auto numbers = endless();
      while (co_await numbers.next()) {
      }
    };
    const task<> consumer = spawn(consumes);
    for (int i = 0; i < 3; ++i) co_await this_task::yield();
    consumer.cancel();
    co_await until_complete(consumer);
    EXPECT_TRUE(consumer.cancelled());
  });
}

TEST_P(StreamOnEvery, PollingAnEndedOneCanBeCancelled) {
  run([]() -> coro<> {
    const auto polls = []() -> coro<> {
      auto none = count_to(0);
      for (;;) static_cast<void>(co_await none.next());
    };
    const task<> poller = spawn(polls);
    for (int i = 0; i < 3; ++i) co_await this_task::yield();
    poller.cancel();
    co_await until_complete(poller);
    EXPECT_TRUE(poller.cancelled());
  });
}

TEST_P(StreamOnEvery, AMillionPollsOfAnEndedOneDoNotGrowTheStack) {
  const int times = test::share_of(1'000'000, GetParam());
  run([times]() -> coro<> {
    auto none = count_to(0);
    for (int i = 0; i < times; ++i) static_cast<void>(co_await none.next());
  });
}

TEST_P(StreamOnEvery, TasksMayAskInTurnNotAtOnce) {
  run([]() -> coro<> {
    const gate open;
    const auto gated = [](gate open) -> stream<int> {
      co_yield 1;
      co_await open;
      co_yield 2;
    };
    auto values = gated(open);
    EXPECT_EQ(co_await values.next(), 1);
    const auto asks = [](stream<int>& values) -> coro<std::optional<int>> { co_return co_await values.next(); };
    const task<std::optional<int>> other = spawn(asks, std::ref(values));
    co_await until_parked(other);
    EXPECT_THROW(static_cast<void>(co_await values.next()), invalid_state);
    open.open();
    EXPECT_EQ(co_await other, 2);
    EXPECT_EQ(co_await values.next(), std::nullopt);
  });
}

TEST_P(StreamOnEvery, OneMayReadAnother) {
  run([]() -> coro<> {
    const auto doubled = [](stream<int> source) -> stream<int> {
      while (auto value = co_await source.next()) co_yield 2 * *value;
    };
    auto values = doubled(doubled(count_to(1000)));
    long sum = 0;
    while (auto value = co_await values.next()) sum += *value;
    EXPECT_EQ(sum, 4L * 500500);
  });
}

TEST_P(StreamOnEvery, AMillionReadyValuesDoNotGrowTheStack) {
  const int times = test::share_of(1'000'000, GetParam());
  run([times]() -> coro<> {
    auto values = count_to(times);
    int last = 0;
    while (auto value = co_await values.next()) last = *value;
    EXPECT_EQ(last, times);
  });
}

}  // namespace
}  // namespace sheaf
