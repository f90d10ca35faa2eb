/// as_completed: tasks in the order in which they complete.
#include <sheaf/as_completed.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <ranges>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <sheaf/sleep.hpp>
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
using test::boom_after;
using test::bystander;
using test::gate;
using test::until_complete;
using test::until_parked;
using test::value_after;
using test::value_at;
using test::waiters_of;

SHEAF_ON_EVERY_FLAVOUR(AsCompletedOnEvery);

coro<int> ready(int value) { co_return value; }

std::vector<coro<int>> sleepers(std::initializer_list<std::chrono::milliseconds> times) {
  std::vector<coro<int>> children;
  for (const auto time : times) children.push_back(value_after(time, static_cast<int>(time.count())));
  return children;
}

template <class T>
bool holds(const std::vector<task<T>>& tasks, const task<T>& wanted) {
  return std::find(tasks.begin(), tasks.end(), wanted) != tasks.end();
}

/// Takes everything; the values in the order in which they came.
coro<std::vector<int>> drain(completion_stream<int>& stream) {
  std::vector<int> values;
  while (auto next = co_await stream.next()) values.push_back(next->result());
  co_return values;
}

// ---- order and identity ------------------------------------------------------------------------------------------------------

TEST_P(AsCompletedOnEvery, Ascomp01_ValuesComeInTheOrderOfCompletion) {
  run([this]() -> coro<> {
    auto stream = as_completed(sleepers({150ms, 20ms, 10ms}));
    const std::vector<int> got_1 = co_await drain(stream);
    EXPECT_EQ(got_1, (std::vector<int>{10, 20, 150}));
    EXPECT_EQ(clock().now(), 150ms);
    const auto after_the_end = co_await stream.next();
    EXPECT_FALSE(after_the_end.has_value());
  });
}

TEST_P(AsCompletedOnEvery, Ascomp02_TheHandlesThatWentInComeOut) {
  run([]() -> coro<> {
    const std::vector<task<int>> given{spawn(value_after(2s, 1)), spawn(value_after(1s, 2))};
    auto stream = as_completed(given);
    const auto first = co_await stream.next();
    EXPECT_EQ(*first, given[1]);
    const auto second = co_await stream.next();
    EXPECT_EQ(*second, given[0]);

    auto made = as_completed(sleepers({2ms, 1ms}));
    const std::vector<task<int>> tasks = made.unfinished();
    EXPECT_EQ(tasks.size(), 2U);
    const auto item = co_await made.next();
    EXPECT_EQ(*item, tasks[1]);
    const auto rest = co_await made.next();
    EXPECT_EQ(*rest, tasks[0]);
  });
}

TEST_P(AsCompletedOnEvery, Ascomp03_ItemsAreFinishedAndThoseDoneBeforeComeFirstWithoutWaiting) {
  run([this]() -> coro<> {
    const gate open;
    const task<int> slow = spawn(value_at(open, 3));
    const std::vector<task<int>> given{slow, spawn(ready(1)), spawn(ready(2))};
    co_await until_complete(given[1]);
    co_await until_complete(given[2]);
    auto stream = as_completed(given);
    const bystander other;
    for (int i = 0; i < 2; ++i) {
      const auto next = co_await stream.next();
      EXPECT_TRUE(next->done());
      EXPECT_NE(*next, slow);
    }
    if (one_thread()) EXPECT_FALSE(other.has_run());
    open.open();
    const auto last = co_await stream.next();
    EXPECT_EQ(last->result(), 3);
    co_await other.done();
  });
}

TEST_P(AsCompletedOnEvery, Ascomp04_FailedAndCancelledOnesComeLikeAnyOther) {
  run([]() -> coro<> {
    const gate never;
    const std::vector<task<int>> given{spawn(boom_after(1s, 1)), spawn(value_at(never, 2)), spawn(value_after(3s, 3))};
    auto stream = as_completed(given);
    const auto failed = co_await stream.next();
    EXPECT_EQ(*failed, given[0]);
    EXPECT_THROW(static_cast<void>(failed->result()), boom);
    given[1].cancel();
    const auto stopped = co_await stream.next();
    EXPECT_EQ(*stopped, given[1]);
    EXPECT_THROW(static_cast<void>(stopped->result()), task_cancelled);
    const auto last = co_await stream.next();
    EXPECT_EQ(last->result(), 3);
    const auto end = co_await stream.next();
    EXPECT_FALSE(end.has_value());
  });
}

/// Each child is let go only after the one before it has been seen to complete.
TEST_P(AsCompletedOnEvery, Mt24_WhatCompletedEarlierComesEarlier) {
  constexpr int k_children = 100;
  run([]() -> coro<> {
    std::vector<gate> gates(k_children);
    std::vector<task<int>> given;
    for (int i = 0; i < k_children; ++i) given.push_back(spawn(value_at(gates[static_cast<std::size_t>(i)], i)));
    auto stream = as_completed(given);
    // Waiters are told in the order in which they came: who has been behind the stream goes on when the stream has been told.
    const auto waits = [](task<int> child) -> coro<> { co_await child; };
    std::vector<task<>> behind;
    for (const task<int>& each : given) {
      behind.push_back(spawn(waits, each));
      co_await until_parked(behind.back());
    }
    for (std::size_t i = k_children; i-- > 0;) {
      gates[i].open();
      co_await until_complete(behind[i]);
    }
    const std::vector<int> values = co_await drain(stream);
    EXPECT_EQ(values.size(), static_cast<std::size_t>(k_children));
    EXPECT_TRUE(std::ranges::is_sorted(values, std::greater<>()));
  });
}

TEST_P(AsCompletedOnEvery, Ascomp10_ABrokenLoopIsResumed) {
  run([]() -> coro<> {
    auto stream = as_completed(sleepers({4ms, 1ms, 3ms, 2ms}));
    std::vector<int> seen;
    while (auto next = co_await stream.next()) {
      seen.push_back(next->result());
      if (seen.size() == 2) break;
    }
    EXPECT_EQ(seen, (std::vector<int>{1, 2}));
    EXPECT_EQ(stream.unfinished().size(), 2U);
    const std::vector<int> got_2 = co_await drain(stream);
    EXPECT_EQ(got_2, (std::vector<int>{3, 4}));
  });
}

TEST_P(AsCompletedOnEvery, Ascomp13_DuplicatesCollapse) {
  run([]() -> coro<> {
    const gate open;
    const task<int> one = spawn(value_at(open, 1));
    const task<int> two = spawn(value_at(open, 2));
    const std::vector<task<int>> given{one, two, one, one, two};
    auto stream = as_completed(given);
    EXPECT_EQ(stream.unfinished(), (std::vector<task<int>>{one, two}));
    EXPECT_EQ(waiters_of(one), 1U);
    open.open();
    std::vector<int> values = co_await drain(stream);
    std::ranges::sort(values);
    EXPECT_EQ(values, (std::vector<int>{1, 2}));
  });
}

TEST_P(AsCompletedOnEvery, Ascomp13_ManyDuplicatesToo) {
  run([]() -> coro<> {
    std::vector<task<int>> given;
    for (int i = 0; i < 100; ++i) given.push_back(spawn(ready(i)));
    std::vector<task<int>> five_times;
    for (int i = 0; i < 500; ++i) five_times.push_back(given[static_cast<std::size_t>(i * 37 % 100)]);
    auto stream = as_completed(five_times);
    std::vector<int> values = co_await drain(stream);
    std::ranges::sort(values);
    EXPECT_EQ(values.size(), 100U);
    EXPECT_EQ(values.front(), 0);
    EXPECT_EQ(values.back(), 99);
  });
}

TEST_P(AsCompletedOnEvery, Ascomp14_NothingEndsAtOnceAlsoWithALimit) {
  run([this]() -> coro<> {
    const bystander other;
    for (const time_limit limit : {time_limit(), time_limit(5s), time_limit(0s), time_limit(-1s)}) {
      auto stream = as_completed(std::vector<coro<int>>(), limit);
      const auto next = co_await stream.next();
      EXPECT_FALSE(next.has_value());
    }
    if (one_thread()) EXPECT_FALSE(other.has_run());
    co_await other.done();
  });
}

TEST(AsCompleted, Ascomp16_OutsideAnyRuntimeItThrowsAndDestroysItsCoroutinesUnrun) {
  test::drop_counter drops;
  std::vector<coro<>> children;
  const auto holding = [](test::drop_counter::payload) -> coro<> { co_return; };
  children.push_back(holding(drops.make()));
  EXPECT_THROW(static_cast<void>(as_completed(std::move(children))), no_runtime);
  children.clear();
  EXPECT_EQ(drops.alive(), 0);
}

TEST_P(AsCompletedOnEvery, Ascomp17_ASinglePassRangeIsTakenOnceAndItsChildrenRunUnasked) {
  run([]() -> coro<> {
    std::istringstream numbers("3 1 2");
    int made = 0;
    auto one_shot = std::views::istream<int>(numbers) | std::views::transform([&made](int value) {
                      ++made;
                      return value_after(std::chrono::seconds(value), value);
                    });
    auto stream = as_completed(one_shot);
    EXPECT_EQ(made, 3);
    const std::vector<task<int>> tasks = stream.unfinished();
    co_await sleep_for(10s);
    for (const task<int>& each : tasks) EXPECT_TRUE(each.done());
    const std::vector<int> got_3 = co_await drain(stream);
    EXPECT_EQ(got_3, (std::vector<int>{1, 2, 3}));
    EXPECT_EQ(made, 3);
  });
}

TEST_P(AsCompletedOnEvery, TakesCallablesAndGivesResultsOfEveryKind) {
  run([]() -> coro<> {
    int target = 5;
    std::vector<std::function<int()>> calls(3, [] { return 7; });
    auto called = as_completed(calls);
    const std::vector<int> got_4 = co_await drain(called);
    EXPECT_EQ(got_4, (std::vector<int>{7, 7, 7}));

    const auto boxed = [](int value) -> coro<std::unique_ptr<int>> { co_return std::make_unique<int>(value); };
    std::vector<coro<std::unique_ptr<int>>> boxes;
    boxes.push_back(boxed(8));
    auto moved = as_completed(std::move(boxes));
    auto item = co_await moved.next();
    const std::unique_ptr<int> box = co_await *std::move(item);  // the stream kept no handle
    EXPECT_EQ(*box, 8);

    const auto referring = [](int& to) -> coro<int&> { co_return to; };
    std::vector<coro<int&>> references;
    references.push_back(referring(target));
    auto same = as_completed(std::move(references));
    const auto reference = co_await same.next();
    EXPECT_EQ(&reference->result(), &target);

    std::vector<task<>> voids{spawn([] {})};
    auto nothing = as_completed(voids);
    const auto done = co_await nothing.next();
    EXPECT_EQ(*done, voids[0]);
  });
}

// ---- time --------------------------------------------------------------------------------------------------------------------

TEST_P(AsCompletedOnEvery, Ascomp05_TheLimitRaisesOnceAndCancelsNothing) {
  run([this]() -> coro<> {
    const std::vector<task<int>> given{spawn(value_after(100ms, 1)), spawn(value_after(150ms, 2))};
    auto stream = as_completed(given, 120ms);
    const auto first = co_await stream.next();
    EXPECT_EQ(first->result(), 1);
    EXPECT_THROW(static_cast<void>(co_await stream.next()), timeout_error);
    EXPECT_EQ(clock().now(), 120ms);
    for (int i = 0; i < 2; ++i) {
      const auto ended = co_await stream.next();
      EXPECT_FALSE(ended.has_value());
    }
    EXPECT_EQ(stream.unfinished(), (std::vector<task<int>>{given[1]}));
    EXPECT_FALSE(given[1].done());
    EXPECT_EQ(co_await given[1], 2);
    const auto still_ended = co_await stream.next();
    EXPECT_FALSE(still_ended.has_value());
  });
}

TEST_P(AsCompletedOnEvery, Ascomp06_AnUnusedLimitLeavesNoTimer) {
  leaves_tasks_on_purpose();
  const gate never;
  EXPECT_THROW(run([&]() -> coro<> {
                 auto stream = as_completed(sleepers({10ms, 20ms}), 1h);
                 const std::vector<int> got_5 = co_await drain(stream);
                 EXPECT_EQ(got_5, (std::vector<int>{10, 20}));
                 co_await never;
               }),
               would_deadlock);
  EXPECT_EQ(clock().now(), 20ms);  // nothing was left to move time for
}

TEST_P(AsCompletedOnEvery, Ascomp08_TheLimitIsOneDeadlineCountedFromTheCall) {
  run([this]() -> coro<> {
    auto stream = as_completed(sleepers({50ms, 100ms, 150ms}), 120ms);
    co_await sleep_for(60ms);
    const auto first = co_await stream.next();
    EXPECT_EQ(first->result(), 50);
    const auto second = co_await stream.next();
    EXPECT_EQ(second->result(), 100);
    EXPECT_THROW(static_cast<void>(co_await stream.next()), timeout_error);
    EXPECT_EQ(clock().now(), 120ms);
    for (const task<int>& each : stream.unfinished()) co_await each;
  });
}

TEST_P(AsCompletedOnEvery, Ascomp09_ZeroOrLessPolls) {
  run([this]() -> coro<> {
    for (const auto limit : {0s, -1s}) {
      const gate open;
      const std::vector<task<int>> given{spawn(ready(1)), spawn(value_at(open, 2))};
      co_await until_complete(given[0]);
      auto partly = as_completed(given, limit);
      const bystander other;
      const auto first = co_await partly.next();
      EXPECT_EQ(first->result(), 1);
      EXPECT_THROW(static_cast<void>(co_await partly.next()), timeout_error);
      if (one_thread()) EXPECT_FALSE(other.has_run());
      open.open();
      co_await until_complete(given[1]);
      auto wholly = as_completed(given, limit);
      const std::vector<int> got_6 = co_await drain(wholly);
      EXPECT_EQ(got_6, (std::vector<int>{1, 2}));
      co_await other.done();
    }
  });
}

TEST_P(AsCompletedOnEvery, AHugeLimitIsNone) {
  run([]() -> coro<> {
    auto stream = as_completed(sleepers({1ms}), std::chrono::hours::max());
    const std::vector<int> got_7 = co_await drain(stream);
    EXPECT_EQ(got_7, (std::vector<int>{1}));
  });
}

// ---- leaving it --------------------------------------------------------------------------------------------------------------

TEST_P(AsCompletedOnEvery, Ascomp18_ACancelledConsumerLeavesTheTasksAndTheStreamAsTheyAre) {
  run([]() -> coro<> {
    const gate open;
    const std::vector<task<int>> given{spawn(value_at(open, 1)), spawn(value_at(open, 2))};
    auto stream = as_completed(given);
    bool went_on = false;
    const task<> consumer = spawn([&]() -> coro<> {
      static_cast<void>(co_await stream.next());
      went_on = true;
    });
    co_await until_parked(consumer);
    EXPECT_TRUE(consumer.cancel());
    co_await until_complete(consumer);
    EXPECT_TRUE(consumer.cancelled());
    EXPECT_FALSE(went_on);
    EXPECT_FALSE(given[0].done());
    open.open();
    std::vector<int> values = co_await drain(stream);
    std::ranges::sort(values);
    EXPECT_EQ(values, (std::vector<int>{1, 2}));
  });
}

TEST_P(AsCompletedOnEvery, Ascomp18_ADroppedStreamLeavesNoRegistration) {
  run([]() -> coro<> {
    const gate open;
    const std::vector<task<int>> given{spawn(value_at(open, 1)), spawn(value_at(open, 2)), spawn(ready(3))};
    for (int i = 0; i < 50; ++i) {
      auto stream = as_completed(given, 1h);
      const auto next = co_await stream.next();
      EXPECT_EQ(next->result(), 3);
      EXPECT_EQ(waiters_of(given[0]), 1U);
      if (i % 2 == 0) {
        auto moved = std::move(stream);
        EXPECT_EQ(waiters_of(given[1]), 1U);
      }
    }
    EXPECT_EQ(waiters_of(given[0]), 0U);
    EXPECT_EQ(waiters_of(given[1]), 0U);
    open.open();
    EXPECT_EQ(co_await given[0], 1);
    EXPECT_EQ(co_await given[1], 2);
  });
}

TEST_P(AsCompletedOnEvery, ALoopOfReadyItemsStaysCancellableAndLosesNone) {
  run([]() -> coro<> {
    std::vector<task<int>> given;
    for (int i = 0; i < 1000; ++i) given.push_back(spawn(ready(i)));
    for (const task<int>& each : given) co_await until_complete(each);
    auto stream = as_completed(given);
    std::vector<task<int>> taken;
    const task<> consumer = spawn([&]() -> coro<> {
      this_task::handle().cancel();
      while (auto next = co_await stream.next()) taken.push_back(*next);
    });
    co_await until_complete(consumer);
    EXPECT_TRUE(consumer.cancelled());
    EXPECT_LT(taken.size(), 200U);
    const std::vector<task<int>> left = stream.unfinished();
    EXPECT_EQ(taken.size() + left.size(), 1000U);
    for (const task<int>& each : taken) EXPECT_FALSE(holds(left, each));
    const std::vector<int> rest = co_await drain(stream);
    EXPECT_EQ(rest.size(), left.size());
  });
}

TEST_P(AsCompletedOnEvery, TheUnfinishedOnesStandInInputOrder) {
  run([]() -> coro<> {
    std::vector<gate> gates(5);
    std::vector<task<int>> given;
    for (int i = 0; i < 5; ++i) given.push_back(spawn(value_at(gates[static_cast<std::size_t>(i)], i)));
    auto stream = as_completed(given);
    gates[3].open();
    const auto three = co_await stream.next();
    EXPECT_EQ(*three, given[3]);
    EXPECT_EQ(stream.unfinished(), (std::vector<task<int>>{given[0], given[1], given[2], given[4]}));
    for (const gate& each : gates) each.open();
    for (const task<int>& each : given) co_await until_complete(each);
  });
}

// ---- elsewhere ---------------------------------------------------------------------------------------------------------------

/// What next() gives is bound to no child: whichever is awaited first takes the first completion.
TEST_P(AsCompletedOnEvery, Ascomp11_TheOneAwaitedFirstTakesTheFirstCompletion) {
  run([]() -> coro<> {
    auto stream = as_completed(sleepers({20ms, 10ms}));
    auto made_first = stream.next();
    auto made_second = stream.next();
    const std::optional<task<int>> first = co_await std::move(made_second);
    EXPECT_EQ(first->result(), 10);
    const std::optional<task<int>> second = co_await std::move(made_first);
    EXPECT_EQ(second->result(), 20);
  });
}

TEST_P(AsCompletedOnEvery, OnAPlainThreadItIsARange) {
  const entered here = rt().enter();
  auto stream = as_completed(sleepers({30ms, 10ms, 20ms}), 25ms);
  std::vector<int> values;
  EXPECT_THROW(
      {
        for (const task<int>& each : stream) values.push_back(each.result());
      },
      timeout_error);
  EXPECT_EQ(values, (std::vector<int>{10, 20}));
  for (const task<int>& each : stream) ADD_FAILURE() << "after the end came " << each.result();
  EXPECT_EQ(stream.unfinished().at(0).get(), 30);

  auto again = as_completed(sleepers({2ms, 1ms}));
  values.clear();
  for (const task<int>& each : again) values.push_back(each.result());
  EXPECT_EQ(values, (std::vector<int>{1, 2}));
}

TEST_P(AsCompletedOnEvery, ChildrenOfAnotherRuntime) {
  runtime elsewhere({.workers = 1, .clock = &clock()});
  run([&]() -> coro<> {
    runtime* const home = runtime::current();
    const std::vector<task<int>> given{elsewhere.spawn(value_after(2s, 2)), spawn(value_after(1s, 1)),
                                       elsewhere.spawn(value_after(3s, 3))};
    auto stream = as_completed(given);
    const std::vector<int> got_8 = co_await drain(stream);
    EXPECT_EQ(got_8, (std::vector<int>{1, 2, 3}));
    EXPECT_EQ(runtime::current(), home);
  });
}

}  // namespace
}  // namespace sheaf
