/// wait: until all, the first, or the first failed of some tasks have completed.
#include <sheaf/wait.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <ranges>
#include <set>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/children.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::boom_after;
using test::bystander;
using test::gate;
using test::until_complete;
using test::until_parked;
using test::value_after;
using test::value_at;
using test::waiters_of;
using tasks = std::vector<task<int>>;

SHEAF_ON_EVERY_FLAVOUR(WaitOnEvery);
SHEAF_ON_NATIVE_POOLS(WaitOnPools);

template <class Range>
tasks listed(const Range& range) {
  return tasks(range.begin(), range.end());
}

// ---- the three modes ----------------------------------------------------------------------------------------------------------

/// WAIT-04: there are no other modes to ask for.
static_assert(!std::is_convertible_v<int, wait_mode> && !std::is_convertible_v<const char*, wait_mode>);

TEST_P(WaitOnEvery, Wait01_AllOfThemAndOnceMoreWithoutSuspending) {
  run([this]() -> coro<> {
    const tasks given{spawn(value_after(150ms, 1)), spawn(value_after(100ms, 2))};
    auto [done, pending] = co_await wait(given);
    EXPECT_EQ(done, given);
    EXPECT_TRUE(pending.empty());
    EXPECT_EQ(clock().now(), 150ms);
    const bystander other;
    auto [again, none] = co_await wait(given);
    EXPECT_EQ(again, given);
    EXPECT_TRUE(none.empty());
    if (one_thread()) EXPECT_FALSE(other.has_run());
    co_await other.done();
  });
}

TEST_P(WaitOnEvery, Wait02_DuplicatesCollapse) {
  run([]() -> coro<> {
    const gate open;
    const task<int> one = spawn(value_at(open, 1));
    const task<int> two = spawn([] { return 2; });
    co_await until_complete(two);
    const tasks given{one, two, one, two, two};
    auto [done, pending] = co_await wait(given, {.return_when = first_completed});
    EXPECT_EQ(done, tasks{two});
    EXPECT_EQ(listed(pending), tasks{one});
    EXPECT_EQ(pending.size(), 1U);
    open.open();
    co_await until_complete(one);
  });
}

TEST_P(WaitOnEvery, Wait03_NothingInNothingOutAtOnceInEveryMode) {
  run([this]() -> coro<> {
    const bystander other;
    for (const wait_mode mode : {first_completed, first_exception, all_completed}) {
      for (const time_limit limit : {time_limit(), time_limit(1h), time_limit(0s)}) {
        auto [done, pending] = co_await wait(tasks(), {.timeout = limit, .return_when = mode});
        EXPECT_TRUE(done.empty());
        EXPECT_TRUE(pending.empty());
      }
    }
    task_set<int> nothing;
    const auto finished = co_await wait(nothing);
    EXPECT_TRUE(finished.empty());
    if (one_thread()) EXPECT_FALSE(other.has_run());
    co_await other.done();
  });
}

TEST_P(WaitOnEvery, Wait06_AnyRangeIsTakenOnce) {
  run([]() -> coro<> {
    std::istringstream numbers("3 1 2");
    int made = 0;
    auto one_shot = std::views::istream<int>(numbers) | std::views::transform([&made](int value) {
                      ++made;
                      return spawn(value_after(std::chrono::seconds(value), value));
                    });
    auto [done, pending] = co_await wait(one_shot);
    EXPECT_EQ(made, 3);
    EXPECT_EQ(done.size(), 3U);
    EXPECT_EQ(done.at(0).result(), 3);

    std::list<task<int>> listed_ones;
    listed_ones.push_back(spawn(value_after(1s, 1)));
    auto result = co_await wait(std::move(listed_ones));
    EXPECT_EQ(result.done.at(0).result(), 1);
    EXPECT_EQ(task<int>(std::move(result.done.at(0))).get(), 1);

    std::set<task<int>> ordered{spawn([] { return 1; }), spawn([] { return 2; })};
    auto of_set = co_await wait(ordered);
    EXPECT_EQ(of_set.done.size(), 2U);
  });
}

TEST_P(WaitOnEvery, TasksByNameWithOptionsInFront) {
  run([this]() -> coro<> {
    const task<int> slow = spawn(value_after(10s, 1));
    const task<int> quick = spawn(value_after(1s, 2));
    auto [done, pending] = co_await wait({.return_when = first_completed}, slow, quick);
    EXPECT_EQ(done, tasks{quick});
    EXPECT_EQ(listed(pending), tasks{slow});
    auto [rest, none] = co_await wait({}, slow);
    EXPECT_EQ(rest, tasks{slow});
    EXPECT_TRUE(none.empty());
    EXPECT_EQ(clock().now(), 10s);
  });
}

TEST_P(WaitOnEvery, TasksOfSeveralTypesAsAnyTask) {
  run([]() -> coro<> {
    const task<int> number = spawn(value_after(1s, 1));
    const task<std::string> text = spawn([] { return std::string("two"); });
    const std::vector<any_task> given{number, text};
    auto [done, pending] = co_await wait(given);
    EXPECT_EQ(done, given);
  });
}

TEST_P(WaitOnEvery, Wait07_TheFirstCompletedEndsItAndTheSlowOneGoesOn) {
  run([this]() -> coro<> {
    const tasks given{spawn(value_after(10s, 1)), spawn(value_after(100ms, 2))};
    auto [done, pending] = co_await wait(given, {.return_when = first_completed});
    EXPECT_EQ(done, tasks{given[1]});
    EXPECT_EQ(listed(pending), tasks{given[0]});
    EXPECT_EQ(clock().now(), 100ms);
    EXPECT_FALSE(given[0].done());
    EXPECT_EQ(co_await given[0], 1);
  });
}

TEST_P(WaitOnEvery, FirstCompletedGivesAllThatAreDoneInInputOrder) {
  run([]() -> coro<> {
    const gate open;
    tasks given;
    for (int i = 0; i < 5; ++i) given.push_back(i == 2 ? spawn(value_at(open, i)) : spawn([i] { return i; }));
    for (const int i : {4, 0, 3, 1}) co_await until_complete(given[static_cast<std::size_t>(i)]);
    auto [done, pending] = co_await wait(given, {.return_when = first_completed});
    EXPECT_EQ(done, (tasks{given[0], given[1], given[3], given[4]}));
    EXPECT_EQ(listed(pending), tasks{given[2]});
    open.open();
    co_await until_complete(given[2]);
  });
}

TEST_P(WaitOnEvery, Wait07_WithOneDoneAlreadyItDoesNotSuspend) {
  run([this]() -> coro<> {
    const gate open;
    const tasks given{spawn(value_at(open, 1)), spawn([] { return 2; })};
    co_await until_complete(given[1]);
    const bystander other;
    auto [done, pending] = co_await wait(given, {.timeout = 1h, .return_when = first_completed});
    if (one_thread()) EXPECT_FALSE(other.has_run());
    EXPECT_EQ(done, tasks{given[1]});
    open.open();
    co_await until_complete(given[0]);
    co_await other.done();
  });
}

TEST_P(WaitOnEvery, Wait09_ACancelledOneCountsAsCompleted) {
  run([]() -> coro<> {
    const gate never;
    const tasks given{spawn(value_at(never, 1)), spawn(value_at(never, 2))};
    given[1].cancel();
    auto [done, pending] = co_await wait(given, {.return_when = first_completed});
    EXPECT_EQ(done, tasks{given[1]});
    never.open();
    co_await until_complete(given[0]);
  });
}

TEST_P(WaitOnEvery, Wait10_TheFirstExceptionEndsItCompletionsAndCancelsDoNot) {
  run([this]() -> coro<> {
    const gate never;
    const tasks given{spawn(value_after(1s, 1)), spawn(value_at(never, 2)), spawn(boom_after(3s, 3)), spawn(value_after(9s, 4))};
    given[1].cancel();
    auto [done, pending] = co_await wait(given, {.return_when = first_exception});
    EXPECT_EQ(clock().now(), 3s);
    EXPECT_EQ(done, (tasks{given[0], given[1], given[2]}));
    EXPECT_EQ(listed(pending), tasks{given[3]});
    const bystander other;
    auto again = co_await wait(given, {.return_when = first_exception});  // it has failed already
    EXPECT_EQ(again.done.size(), 3U);
    if (one_thread()) EXPECT_FALSE(other.has_run());
    EXPECT_EQ(test::boom_number(given[2].exception()), 3);
    co_await given[3];
    co_await other.done();
  });
}

TEST_P(WaitOnEvery, Wait10_WithoutAFailureFirstExceptionIsAllCompleted) {
  run([this]() -> coro<> {
    const gate never;
    const tasks given{spawn(value_after(1s, 1)), spawn(value_at(never, 2)), spawn(value_after(2s, 3))};
    given[1].cancel();
    auto [done, pending] = co_await wait(given, {.return_when = first_exception});
    EXPECT_EQ(done, given);
    EXPECT_TRUE(pending.empty());
    EXPECT_EQ(clock().now(), 2s);
  });
}

TEST_P(WaitOnEvery, Wait12_AChildsErrorIsOnItsHandleOnly) {
  run([]() -> coro<> {
    const tasks given{spawn(boom_after(1s, 1)), spawn(boom_after(2s, 2))};
    auto [done, pending] = co_await wait(given);
    EXPECT_EQ(done, given);
    EXPECT_EQ(test::boom_number(done[0].exception()), 1);
    EXPECT_EQ(test::boom_number(done[1].exception()), 2);
  });
}

// ---- time ---------------------------------------------------------------------------------------------------------------------

/// WAIT-17: nothing is cancelled, neither by the limit nor, above, by the early return.
TEST_P(WaitOnEvery, Wait13_TheLimitEndsItWithoutAnError) {
  run([this]() -> coro<> {
    const tasks given{spawn(value_after(100ms, 1)), spawn(value_after(150ms, 2))};
    auto [done, pending] = co_await wait(given, {.timeout = 110ms});
    EXPECT_EQ(clock().now(), 110ms);
    EXPECT_EQ(done, tasks{given[0]});
    EXPECT_EQ(listed(pending), tasks{given[1]});
    EXPECT_FALSE(given[1].done());
    EXPECT_EQ(co_await given[1], 2);
  });
}

TEST_P(WaitOnEvery, Wait14_ALimitAtTheVeryInstantOfACompletion) {
  run([this]() -> coro<> {
    const tasks given{spawn(value_after(1s, 1)), spawn(value_after(2s, 2))};
    auto [done, pending] = co_await wait(given, {.timeout = 1s, .return_when = all_completed});
    EXPECT_EQ(clock().now(), 1s);
    EXPECT_EQ(done.size() + pending.size(), 2U);
    for (const task<int>& each : done) EXPECT_EQ(each, given[0]);
    co_await given[1];
  });
}

TEST_P(WaitOnEvery, Wait15_ZeroOrLessIsASnapshot) {
  run([this]() -> coro<> {
    for (const auto limit : {0s, -1s}) {
      const gate open;
      const tasks given{spawn(value_at(open, 1)), spawn(value_at(open, 2)), spawn([] { return 3; })};
      co_await until_complete(given[2]);
      const bystander other;
      for (const wait_mode mode : {first_completed, first_exception, all_completed}) {
        auto [done, pending] = co_await wait(given, {.timeout = limit, .return_when = mode});
        EXPECT_EQ(done, tasks{given[2]});
        EXPECT_EQ(listed(pending), (tasks{given[0], given[1]}));
      }
      const tasks unfinished{given[0]};
      auto none = co_await wait(unfinished, {.timeout = limit});
      EXPECT_TRUE(none.done.empty());
      if (one_thread()) EXPECT_FALSE(other.has_run());
      open.open();
      for (const task<int>& each : given) co_await until_complete(each);
      auto all = co_await wait(given, {.timeout = limit});
      EXPECT_EQ(all.done, given);
      EXPECT_TRUE(all.pending.empty());
      co_await other.done();
    }
  });
}

TEST_P(WaitOnEvery, Wait16_WithoutALimitNoTimerIsLeft) {
  leaves_tasks_on_purpose();
  const gate never;
  EXPECT_THROW(run([&]() -> coro<> {
                 const tasks quick{spawn(value_after(1s, 1))}, stuck{spawn(value_at(never, 1))};
                 auto [done, pending] = co_await wait(quick, {.timeout = 1h});
                 EXPECT_EQ(done.size(), 1U);
                 static_cast<void>(co_await wait(stuck));  // ended by shutdown
               }),
               would_deadlock);
  EXPECT_EQ(clock().now(), 1s);
}

// ---- what it leaves behind ----------------------------------------------------------------------------------------------------

TEST_P(WaitOnEvery, Wait18_ACancelledParentEndsCancelledAndTheTasksRunOn) {
  run([]() -> coro<> {
    const gate open;
    const tasks given{spawn(value_at(open, 1)), spawn(value_at(open, 2))};
    for (const wait_mode mode : {first_completed, all_completed}) {
      const task<> parent = spawn(
          [&given](wait_mode mode) -> coro<> { static_cast<void>(co_await wait(given, {.timeout = 1h, .return_when = mode})); },
          mode);
      co_await until_parked(parent);
      EXPECT_EQ(waiters_of(given[0]), 1U);
      EXPECT_TRUE(parent.cancel());
      co_await until_complete(parent);
      EXPECT_TRUE(parent.cancelled());
      EXPECT_EQ(waiters_of(given[0]), 0U);  // at once, not when they complete
      EXPECT_EQ(waiters_of(given[1]), 0U);
    }
    EXPECT_FALSE(given[0].done());
    open.open();
    EXPECT_EQ(co_await given[0], 1);
    EXPECT_EQ(co_await given[1], 2);
  });
}

/// GRAPH-02: a wait that has ended leaves nothing at what it waited for.
TEST_P(WaitOnEvery, RegistrationsStayFlatOverTimeoutsAndEarlyReturns) {
  run([]() -> coro<> {
    const gate open;
    const task<int> slow = spawn(value_at(open, 1));
    for (int i = 0; i < 50; ++i) {
      const task<int> quick = spawn(value_after(1ms, 2));
      const tasks given{slow, quick};
      if (i % 2 == 0) {
        auto [done, pending] = co_await wait(given, {.return_when = first_completed});
        EXPECT_EQ(done, tasks{quick});
        EXPECT_EQ(waiters_of(slow), 1U);  // they go with `pending`
      } else {
        auto [done, pending] = co_await wait(given, {.timeout = 2ms});
        EXPECT_EQ(listed(pending), tasks{slow});
      }
      EXPECT_EQ(waiters_of(slow), 0U);
    }
    open.open();
    EXPECT_EQ(co_await slow, 1);
  });
}

TEST_P(WaitOnEvery, Wait21_ThePartitionHoldsOnEveryWayOut) {
  run([]() -> coro<> {
    for (int length = 0; length < 8; ++length) {
      tasks given;
      for (int i = 0; i < 6; ++i)
        given.push_back(spawn(i == 3 ? boom_after(std::chrono::seconds(i), i) : value_after(std::chrono::seconds(i), i)));
      for (const wait_mode mode : {first_completed, first_exception, all_completed}) {
        auto [done, pending] = co_await wait(given, {.timeout = std::chrono::milliseconds(length * 500), .return_when = mode});
        for (const task<int>& each : done) EXPECT_TRUE(each.done());
        tasks together = done;
        for (const task<int>& each : pending) together.push_back(each);
        std::ranges::sort(together);
        tasks sorted = given;
        std::ranges::sort(sorted);
        EXPECT_EQ(together, sorted);
      }
      for (const task<int>& each : given) co_await test::join(each);
    }
  });
}

TEST_P(WaitOnEvery, FromAPlainThread) {
  const entered here = rt().enter();
  const tasks given{spawn(value_after(2h, 1)), spawn(value_after(1h, 2))};
  auto result = wait(given, {.return_when = first_completed}).get();
  EXPECT_EQ(result.done, tasks{given[1]});
  EXPECT_EQ(wait(result.pending).get(), tasks{given[0]});
  EXPECT_TRUE(result.pending.empty());
  EXPECT_EQ(clock().now(), 2h);
}

TEST_P(WaitOnEvery, AnEmptyHandleIsRefusedAndNothingIsRegistered) {
  run([]() -> coro<> {
    const gate open;
    const task<int> full = spawn(value_at(open, 1));
    const tasks given{full, task<int>()};
    EXPECT_THROW(static_cast<void>(wait(given)), invalid_state);
    EXPECT_EQ(waiters_of(full), 0U);
    open.open();
    EXPECT_EQ(co_await full, 1);
  });
}

TEST_P(WaitOnEvery, ChildrenOfAnotherRuntime) {
  runtime elsewhere({.workers = 1, .clock = &clock()});
  run([&]() -> coro<> {
    runtime* const home = runtime::current();
    const tasks given{elsewhere.spawn(value_after(2s, 1)), spawn(value_after(1s, 2)), elsewhere.spawn(value_after(3s, 3))};
    auto [first, pending] = co_await wait(given, {.return_when = first_completed});
    EXPECT_EQ(first, tasks{given[1]});
    const auto rest = co_await wait(pending);
    EXPECT_EQ(rest, (tasks{given[0], given[2]}));
    EXPECT_EQ(runtime::current(), home);
  });
}

// ---- races --------------------------------------------------------------------------------------------------------------------

TEST_P(WaitOnPools, Mt28_SeveralParentsOnOneSetAndCompletionsAtOnce) {
  run([]() -> coro<> {
    for (int round = 0; round < 100; ++round) {
      const gate open;
      tasks given;
      for (int i = 0; i < 6; ++i) given.push_back(spawn(value_at(open, i)));
      const auto parent = [](const tasks& given) -> coro<> {
        auto [done, pending] = co_await wait(given, {.return_when = first_completed});
        EXPECT_FALSE(done.empty());
        for (const task<int>& each : done) EXPECT_TRUE(each.done());
        EXPECT_EQ(done.size() + pending.size(), given.size());
      };
      std::vector<task<>> parents;
      for (int i = 0; i < 4; ++i) parents.push_back(spawn(parent(given)));
      open.open();
      for (const task<>& each : parents) co_await each;
      for (const task<int>& each : given) co_await until_complete(each);
    }
  });
}

/// Each number is written by its child alone, without any other order than the wait's.
TEST_P(WaitOnPools, Mt19_WhatChildrenWroteIsSeenAfterTheWait) {
  run([]() -> coro<> {
    for (int round = 0; round < 100; ++round) {
      std::vector<int> written(8, 0);
      std::vector<task<>> pending_ones;
      for (int& each : written) pending_ones.push_back(spawn([](int& to) { to = 1; }, std::ref(each)));
      task_set<> pending(std::move(pending_ones));
      std::size_t seen = 0;
      while (!pending.empty()) {
        const auto done = co_await wait(pending, {.return_when = first_completed});
        seen += done.size();
      }
      EXPECT_EQ(seen, written.size());
      for (const int each : written) EXPECT_EQ(each, 1);
    }
  });
}

TEST_P(WaitOnPools, TheLimitAgainstACompletion) {
  const auto held = clock().hold();
  rt();
  for (int round = 0; round < 100; ++round) {
    const gate open;
    const tasks given{rt().spawn(value_at(open, 1))};
    const task<> parent = rt().spawn([&]() -> coro<> {
      auto [done, pending] = co_await wait(given, {.timeout = 1s});
      EXPECT_EQ(done.size() + pending.size(), 1U);
      for (const task<int>& each : done) EXPECT_TRUE(each.done());
    });
    test::spin_until([&] { return test::is_parked(parent) && open.parked() == 1; });
    {
      test::racing_threads race;
      race.add([open] { open.open(); });
      race.add([this] { clock().advance(1s); });
      race.go();
    }
    parent.get();
    given[0].get();
  }
}

}  // namespace
}  // namespace sheaf
