/// task_set: tasks that are waited for again and again, registered once.
#include <sheaf/task_set.hpp>
#include <sheaf/wait.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
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
using test::gate;
using test::until_complete;
using test::until_parked;
using test::value_after;
using test::value_at;
using test::waiters_of;
using tasks = std::vector<task<int>>;

SHEAF_ON_EVERY_FLAVOUR(TaskSetOnEvery);
SHEAF_ON_NATIVE_POOLS(TaskSetOnPools);

template <class Range>
tasks listed(const Range& range) {
  return tasks(range.begin(), range.end());
}

TEST_P(TaskSetOnEvery, Wait22_ALoopOverThePendingOnesHandlesEachOnce) {
  run([]() -> coro<> {
    tasks given;
    for (int i = 0; i < 20; ++i) given.push_back(spawn(value_after(std::chrono::seconds(i * 7 % 20), i)));
    auto [done, pending] = co_await wait(given, {.return_when = first_completed});
    tasks handled = done;
    while (!pending.empty()) {
      auto [more, rest] = co_await wait(std::move(pending), {.return_when = first_completed});
      EXPECT_FALSE(more.empty());
      handled.insert(handled.end(), more.begin(), more.end());
      pending = std::move(rest);
    }
    EXPECT_EQ(handled.size(), 20U);
    std::ranges::sort(handled);
    EXPECT_EQ(std::ranges::adjacent_find(handled), handled.end());
  });
}

TEST_P(TaskSetOnEvery, InPlaceItGivesTheFinishedOnesAndKeepsTheRest) {
  run([this]() -> coro<> {
    const tasks given{spawn(value_after(3s, 1)), spawn(value_after(1s, 2)), spawn(value_after(2s, 3))};
    task_set<int> pending(given);
    EXPECT_EQ(pending.size(), 3U);
    EXPECT_EQ(listed(pending), given);
    const auto first = co_await wait(pending, {.return_when = first_completed});
    EXPECT_EQ(first, tasks{given[1]});
    EXPECT_EQ(listed(pending), (tasks{given[0], given[2]}));
    const auto none = co_await wait(pending, {.timeout = 500ms});
    EXPECT_TRUE(none.empty());
    EXPECT_EQ(pending.size(), 2U);
    const auto rest = co_await wait(pending);
    EXPECT_EQ(rest, (tasks{given[0], given[2]}));
    EXPECT_TRUE(pending.empty());
    EXPECT_EQ(pending.begin(), pending.end());
    EXPECT_EQ(clock().now(), 3s);
    const auto nothing = co_await wait(pending);
    EXPECT_TRUE(nothing.empty());
  });
}

TEST_P(TaskSetOnEvery, CancelledOrTimedOutItStaysWhole) {
  run([]() -> coro<> {
    const gate open;
    const tasks given{spawn(value_at(open, 1)), spawn(value_at(open, 2)), spawn([] { return 3; })};
    co_await until_complete(given[2]);
    task_set<int> pending(given);
    const task<> parent = spawn([&]() -> coro<> { static_cast<void>(co_await wait(pending)); });
    co_await until_parked(parent);
    parent.cancel();
    co_await until_complete(parent);
    EXPECT_TRUE(parent.cancelled());
    EXPECT_EQ(listed(pending), given);
    EXPECT_EQ(waiters_of(given[0]), 1U);
    open.open();
    const auto all = co_await wait(pending);
    EXPECT_EQ(all, given);
  });
}

TEST_P(TaskSetOnEvery, MovesAndDropsTakeTheRegistrationsAlong) {
  run([]() -> coro<> {
    const gate open;
    const task<int> one = spawn(value_at(open, 1));
    const task<int> two = spawn(value_at(open, 2));
    {
      task_set<int> first(tasks{one, two, one});
      EXPECT_EQ(first.size(), 2U);
      EXPECT_EQ(waiters_of(one), 1U);
      task_set<int> second = std::move(first);
      EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): what moved-from means is the question
      EXPECT_EQ(waiters_of(one), 1U);
      second = task_set<int>(tasks{two});
      EXPECT_EQ(waiters_of(one), 0U);
      EXPECT_EQ(waiters_of(two), 1U);
    }
    EXPECT_EQ(waiters_of(two), 0U);
    open.open();
    EXPECT_EQ(co_await one, 1);
    EXPECT_EQ(co_await two, 2);
  });
}

TEST_P(TaskSetOnEvery, TakesTheHandlesOfAnRvalueRangeOver) {
  run([]() -> coro<> {
    std::vector<task<std::unique_ptr<int>>> given;
    given.push_back(spawn([] { return std::make_unique<int>(1); }));
    task_set<std::unique_ptr<int>> pending(std::move(given));
    auto done = co_await wait(pending);
    const std::unique_ptr<int> box = co_await std::move(done.at(0));  // no other handle is left
    EXPECT_EQ(*box, 1);
  });
}

TEST_P(TaskSetOnEvery, FirstExceptionInPlaceForgetsFailuresThatWereTaken) {
  run([this]() -> coro<> {
    const tasks given{spawn(boom_after(1s, 1)), spawn(value_after(2s, 2)), spawn(boom_after(3s, 3)), spawn(value_after(4s, 4))};
    task_set<int> pending(given);
    const auto first = co_await wait(pending, {.return_when = first_exception});
    EXPECT_EQ(first, tasks{given[0]});
    const auto second = co_await wait(pending, {.return_when = first_exception});
    EXPECT_EQ(second, (tasks{given[1], given[2]}));
    EXPECT_EQ(clock().now(), 3s);
    const auto third = co_await wait(pending, {.return_when = first_exception});
    EXPECT_EQ(third, tasks{given[3]});
    for (const task<int>& each : given) static_cast<void>(each.exception());
  });
}

/// The set's registration with the task.
const detail::waiter_node* registration_of(const task_set<int>& set, const task<int>& of) {
  const detail::completion_node* node = task_set_access::core(set)->first();
  while (node->task != &detail::task_access::core(of)) node = node->after;
  return node;
}

/// 10 000 turns over 10 000 tasks, and no turn registers anew what is pending. That a turn costs the same in sets of every size is
/// counted elsewhere: its memory in cost_test.cpp, its instructions in ../instructions.
TEST_P(TaskSetOnEvery, Wait20_DrainedOneByOne) {
  static constexpr int k_tasks = 10'000;
  run([]() -> coro<> {
    tasks given;
    given.reserve(k_tasks);
    for (int i = 0; i < k_tasks; ++i) given.push_back(spawn(value_after(std::chrono::microseconds(i + 1), i)));
    const task<int> last = given.back();
    task_set<int> pending(std::move(given));
    const detail::waiter_node* const registration = registration_of(pending, last);
    const task_set<int> other(tasks{last});
    int turns = 0;
    while (!pending.empty()) {
      EXPECT_EQ(waiters_of(last), 2U);
      EXPECT_NE(registration->previous, nullptr);  // a new one would stand before the other set's
      const auto done = co_await wait(pending, {.return_when = first_completed});
      EXPECT_EQ(done.size(), 1U);  // time goes from end to end
      ++turns;
    }
    EXPECT_EQ(turns, k_tasks);
  });
}

// ---- races --------------------------------------------------------------------------------------------------------------------

TEST_P(TaskSetOnPools, TheSetGoesWhileItsTasksComplete) {
  run([]() -> coro<> {
    for (int round = 0; round < 200; ++round) {
      const gate open;
      tasks given;
      for (int i = 0; i < 8; ++i) given.push_back(spawn(value_at(open, i)));
      task<> opener;
      {
        task_set<int> pending(given);
        opener = spawn([](const gate& at) { at.open(); }, open);
        if (round % 2 == 0) static_cast<void>(co_await wait(pending, {.return_when = first_completed}));
      }
      for (const task<int>& each : given) co_await until_complete(each);
      co_await opener;
    }
  });
}

TEST_P(TaskSetOnPools, ACancelAgainstTheEndOfTheWait) {
  for (int round = 0; round < 100; ++round) {
    const gate open;
    const tasks given{rt().spawn(value_at(open, 1))};
    task_set<int> pending(given);
    const task<std::size_t> parent = rt().spawn([&]() -> coro<std::size_t> {
      const auto done = co_await wait(pending);
      co_return done.size();
    });
    test::spin_until([&] { return test::is_parked(parent) && open.parked() == 1; });
    {
      test::racing_threads race;
      race.add([open] { open.open(); });
      race.add([parent] { parent.cancel(); });
      race.go();
    }
    run(until_complete(parent));
    given[0].get();
    EXPECT_EQ(pending.size(), parent.cancelled() ? 1U : 0U);  // cancelled means no effect
  }
}

}  // namespace
}  // namespace sheaf
