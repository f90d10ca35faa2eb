/// gather: cancelling it, from everywhere and at every moment, and children that complete on several threads at once.
#include <sheaf/gather.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>

#include "support/children.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::boom;
using test::boom_at;
using test::gate;
using test::stubborn_at;
using test::until_complete;
using test::until_parked;
using test::value_at;
using test::waiters_of;

SHEAF_ON_EVERY_FLAVOUR(GatherCancelOnEvery);
SHEAF_ON_NATIVE_POOLS(GatherOnPools);

// ---- cancelling --------------------------------------------------------------------------------------------------------------

TEST_P(GatherCancelOnEvery, Gather14_CancellingTheOwnerCancelsEveryUnfinishedChild) {
  run([]() -> coro<> {
    const gate never, soon;
    const task<int> one = spawn(value_at(never, 1));
    const task<int> two = spawn(value_at(soon, 2));
    const task<int> three = spawn(value_at(never, 3));
    bool went_on = false;
    const task<> parent = spawn(
        [](task<int> one, task<int> two, task<int> three, bool& went_on) -> coro<> {
          co_await gather(one, two, three);
          went_on = true;
        },
        one, two, three, std::ref(went_on));
    co_await until_parked(parent);
    soon.open();
    co_await until_complete(two);
    EXPECT_TRUE(parent.cancel("enough"));
    co_await until_complete(parent);
    EXPECT_TRUE(parent.cancelled());
    EXPECT_FALSE(went_on);
    EXPECT_TRUE(one.cancelled());
    EXPECT_TRUE(three.cancelled());
    EXPECT_EQ(two.result(), 2);
    EXPECT_FALSE(parent.cancel());
  });
}

TEST_P(GatherCancelOnEvery, Gather14_CancellingTheHandleIsRecordedOnceAndThenFalse) {
  run([]() -> coro<> {
    const gate never;
    const task<int> child = spawn(value_at(never, 1));
    auto all = gather(child);
    EXPECT_TRUE(all.cancel());
    EXPECT_THROW(co_await all, task_cancelled);
    EXPECT_TRUE(all.cancelled());
    EXPECT_TRUE(child.cancelled());
    EXPECT_FALSE(all.cancel());
  });
}

TEST_P(GatherCancelOnEvery, Gather14_CancellingOneThatHasFailedIsFalseAndLeavesTheSiblingsAlone) {
  run([]() -> coro<> {
    const gate fails, rest;
    const task<int> sibling = spawn(value_at(rest, 1));
    auto all = gather(boom_at(fails, 2), sibling);
    co_await until_parked(sibling);
    fails.open();
    co_await until_complete(all);
    EXPECT_FALSE(all.cancel());
    EXPECT_EQ(test::boom_number(all.exception()), 2);
    co_await test::yield_times(3);
    EXPECT_FALSE(sibling.done());
    rest.open();
    EXPECT_EQ(co_await sibling, 1);
  });
}

TEST_P(GatherCancelOnEvery, AChildThatSwallowsAForeignRequestGivesItsValue) {
  run([]() -> coro<> {
    const gate open;
    const task<int> stubborn = spawn(stubborn_at(open, 1));
    auto all = gather(stubborn, value_at(open, 2));
    co_await until_parked(stubborn);
    EXPECT_TRUE(stubborn.cancel());
    open.open();
    EXPECT_EQ(co_await all, std::make_tuple(1, 2));
  });
}

TEST_P(GatherCancelOnEvery, AnObserverThatIsCancelledLeavesTheGatherAlone) {
  run([]() -> coro<> {
    const gate open;
    const auto all = gather(value_at(open, 1), value_at(open, 2));
    const task<> observer = spawn([](task<std::tuple<int, int>> all) -> coro<> { co_await all; }, all);
    co_await until_parked(observer);
    observer.cancel();
    co_await until_complete(observer);
    EXPECT_TRUE(observer.cancelled());
    open.open();
    EXPECT_EQ(co_await all, std::make_tuple(1, 2));
  });
}

/// The answer is that of any task: false once it has ended, true for a request that is recorded before. Recorded or not, the values are
/// there and are given. Whoever registered with the child before the gather did goes on before it: on one thread it has not ended then.
TEST_P(GatherCancelOnEvery, Gather15_WhenAllChildrenHaveEndedTheValuesWin) {
  using pair = task<std::tuple<int, int>>;
  run([this]() -> coro<> {
    const gate open;
    const task<int> child = spawn(value_at(open, 1));
    std::optional<pair> all;
    const auto cancels = [](task<int> child, std::optional<pair>& all) -> coro<bool> {
      co_await child;
      const bool ended = all->done();
      const bool recorded = all->cancel();
      if (ended) EXPECT_FALSE(recorded);
      co_return recorded;
    };
    co_await until_parked(child);
    const task<bool> canceller = spawn(cancels, child, std::ref(all));
    co_await until_parked(canceller);
    all.emplace(gather(child, child));
    open.open();
    const bool recorded = co_await canceller;
    if (one_thread()) EXPECT_TRUE(recorded);
    EXPECT_EQ(co_await *all, std::make_tuple(1, 1));
    EXPECT_EQ(all->status(), task_status::succeeded);
    EXPECT_FALSE(all->cancel());
    EXPECT_EQ(all->result(), std::make_tuple(1, 1));
  });
}

TEST_P(GatherCancelOnEvery, Gather17_ItEndsOnlyAfterTheLastChildAlsoWhenThatOneIsStubborn) {
  run([]() -> coro<> {
    const gate never;
    for (const bool collect : {false, true}) {
      const gate open;
      const task<int> obeys = spawn(value_at(never, 1));
      const task<int> ignores = spawn(stubborn_at(open, 2));
      co_await until_parked(obeys);
      co_await until_parked(ignores);
      any_task all;
      if (collect) {
        all = gather(return_exceptions, obeys, ignores);
      } else {
        all = gather(obeys, ignores);
      }
      EXPECT_TRUE(all.cancel());
      co_await until_complete(obeys);
      co_await test::yield_times(5);
      EXPECT_TRUE(obeys.cancelled());
      EXPECT_FALSE(all.done());
      open.open();
      co_await until_complete(all);
      EXPECT_TRUE(all.cancelled());
      EXPECT_EQ(ignores.result(), 2);
    }
  });
}

TEST_P(GatherCancelOnEvery, Gather18_ItIsCancelledAlsoWhenEveryChildGaveAValue) {
  run([]() -> coro<> {
    const gate open;
    std::atomic<int> asked{0};
    const task<int> one = spawn(stubborn_at(open, 1, &asked));
    const task<int> two = spawn(stubborn_at(open, 2));
    co_await until_parked(one);
    co_await until_parked(two);
    auto all = gather(one, two);
    EXPECT_TRUE(all.cancel());
    const auto heard = [&] { return asked.load() == 1; };
    co_await test::until(heard);
    EXPECT_FALSE(all.done());
    open.open();
    co_await until_complete(all);
    EXPECT_TRUE(all.cancelled());
    EXPECT_EQ(one.result() + two.result(), 3);
    EXPECT_EQ(asked.load(), 1);
  });
}

/// Also those that the word has no room to count.
TEST_P(GatherCancelOnEvery, EachRequestGoesOnToTheChildren) {
  run([]() -> coro<> {
    const gate open;
    std::atomic<int> asked{0};
    const auto counting = [](gate open, std::atomic<int>& asked) -> coro<> {
      for (;;) {
        try {
          co_await open;
          co_return;
        } catch (const cancelled&) {
          asked.fetch_add(1);
        }
      }
    };
    const task<> child = spawn(counting(open, asked));
    co_await until_parked(child);  // cancelled before its start, it would never hear of it
    auto all = gather(child);
    for (int times = 1; times <= 300; ++times) {
      EXPECT_TRUE(all.cancel());
      const auto heard = [&] { return asked.load() == times; };
      co_await test::until(heard);
    }
    open.open();
    co_await until_complete(all);
    EXPECT_TRUE(all.cancelled());
  });
}

/// The second request and the failure of a child, which follows it at once, come to the gather in one: its step knew of the end alone. The
/// other child has taken the first request by then: two that come before a step are one.
TEST_P(GatherCancelOnEvery, ARequestThatComesWithAChildsEndGoesOnToTheOthers) {
  run([]() -> coro<> {
    const gate never;
    std::atomic<bool> swallowed{false};
    task<std::tuple<int, int>> all;
    const auto swallows_one = [](gate never, std::atomic<bool>& swallowed) -> coro<int> {
      try {
        co_await never;
      } catch (const cancelled&) {
        swallowed.store(true);
      }
      co_await never;
      co_return 1;
    };
    const task<int> one = spawn(swallows_one, never, std::ref(swallowed));
    const auto asks_once_more = [](gate never, task<int> one, std::atomic<bool>& swallowed,
                                   const task<std::tuple<int, int>>& all) -> coro<int> {
      try {
        co_await never;
      } catch (const cancelled&) {
      }
      const auto heard = [&] { return swallowed.load(); };
      co_await test::until(heard);
      co_await until_parked(one);
      EXPECT_TRUE(all.cancel());
      throw test::boom(2);
    };
    const task<int> other = spawn(asks_once_more, never, one, std::ref(swallowed), std::cref(all));
    co_await until_parked(one);
    co_await until_parked(other);
    all = gather(one, other);
    EXPECT_TRUE(all.cancel());
    co_await until_complete(all);
    EXPECT_TRUE(all.cancelled());
    EXPECT_TRUE(one.cancelled());
    EXPECT_EQ(test::boom_number(other.exception()), 2);
  });
}

TEST_P(GatherCancelOnEvery, AChildThatFailsWhenItIsCancelledDoesNotMakeItAFailure) {
  run([]() -> coro<> {
    const task<int> fails = spawn(test::boom_when_cancelled(1));
    auto all = gather(fails);
    co_await until_parked(fails);
    all.cancel();
    co_await until_complete(all);
    EXPECT_TRUE(all.cancelled());
    EXPECT_EQ(test::boom_number(fails.exception()), 1);
  });
}

TEST_P(GatherCancelOnEvery, Gather21_CancellingTheOuterOneEndsEveryLeafFirst) {
  run([]() -> coro<> {
    const gate never;
    std::vector<task<int>> leaves;
    for (int i = 0; i < 4; ++i) leaves.push_back(spawn(value_at(never, i)));
    auto left = gather(leaves[0], leaves[1]);
    auto right = gather(leaves[2], leaves[3]);
    auto outer = gather(left, right);
    outer.cancel("down");
    co_await until_complete(outer);
    EXPECT_TRUE(left.cancelled());
    EXPECT_TRUE(right.cancelled());
    for (const task<int>& leaf : leaves) EXPECT_TRUE(leaf.cancelled());
  });
}

TEST_P(GatherCancelOnEvery, ADroppedHandleDetachesIt) {
  run([]() -> coro<> {
    const gate open;
    const task<int> child = spawn(value_at(open, 1));
    {
      const auto dropped = gather(child);
    }
    co_await test::yield_times(3);
    EXPECT_FALSE(child.done());
    open.open();
    EXPECT_EQ(co_await child, 1);
    while (runtime::current()->tasks().size() > 1) co_await this_task::yield();  // it ends after its child
  });
}

/// While a runtime shuts down, a task gathers a child that another task waits for: the gather is refused, and the other one is still
/// told of the child's end.
TEST_P(GatherCancelOnEvery, RefusedDuringShutdownItLeavesTheChildsOtherWaitersAlone) {
  const gate open, ready;
  std::atomic<bool> refused{false};
  std::atomic<int> asked{0}, seen{0};
  const task<int> child = rt().spawn(stubborn_at(open, 1));
  const auto waiting = rt().spawn(
      [](task<int> child, std::atomic<int>& asked, std::atomic<int>& seen) -> coro<> {
        for (;;) {
          try {
            seen.store(co_await child);
            co_return;
          } catch (const cancelled&) {
            asked.fetch_add(1);
          }
        }
      },
      child, std::ref(asked), std::ref(seen));
  const auto gathering = rt().spawn(
      [](task<int> child, gate open, std::atomic<int>& asked, std::atomic<bool>& refused) -> coro<> {
        const gate never;
        try {
          co_await never;
        } catch (const cancelled&) {
        }
        const auto waits_again = [&] { return asked.load() == 1 && waiters_of(child) == 1; };
        co_await test::until(waits_again);
        try {
          static_cast<void>(gather(child));
        } catch (const runtime_closed&) {
          refused = true;
        }
        EXPECT_EQ(waiters_of(child), 1U);
        open.open();
      },
      child, open, std::ref(asked), std::ref(refused));
  run([&]() -> coro<> {
    co_await until_parked(child);
    co_await until_parked(waiting);
    co_await until_parked(gathering);
  });
  rt().shutdown();
  EXPECT_TRUE(refused.load());
  EXPECT_EQ(seen.load(), 1);
}

// ---- several threads ---------------------------------------------------------------------------------------------------------

TEST_P(GatherCancelOnEvery, Gather23_ChildrenOfTwoRuntimes) {
  runtime elsewhere({.workers = 1, .clock = &clock()});
  const gate open;
  const task<int> there = elsewhere.spawn(value_at(open, 1));
  const task<int> bad = elsewhere.spawn(boom_at(open, 3));
  run([&]() -> coro<> {
    runtime* const home = runtime::current();
    auto mixed = gather(there, value_at(open, 2));
    auto foreign = gather(there, there);
    auto failing = gather(value_at(open, 2), bad);
    open.open();
    EXPECT_EQ(co_await mixed, std::make_tuple(1, 2));
    EXPECT_EQ(co_await foreign, std::make_tuple(1, 1));
    EXPECT_THROW(co_await failing, boom);
    EXPECT_EQ(runtime::current(), home);
    const gate never;
    const task<int> stuck = elsewhere.spawn(value_at(never, 4));
    auto cancelled_one = gather(stuck);
    cancelled_one.cancel();
    co_await until_complete(cancelled_one);
    EXPECT_TRUE(stuck.cancelled());
  });
}

TEST_P(GatherOnPools, Mt20_ChildrenThatEndAtOnceFillTheirSlotsOnce) {
  constexpr int k_rounds = 100, k_children = 16;
  run([]() -> coro<> {
    for (int round = 0; round < k_rounds; ++round) {
      std::vector<coro<std::unique_ptr<int>>> children;
      const gate open;
      const auto boxed = [](gate open, int value) -> coro<std::unique_ptr<int>> {
        co_await open;
        co_return std::make_unique<int>(value);
      };
      for (int i = 0; i < k_children; ++i) children.push_back(boxed(open, i));
      auto all = gather(std::move(children));
      open.open();
      const auto values = co_await std::move(all);
      for (int i = 0; i < k_children; ++i) EXPECT_EQ(*values.at(static_cast<std::size_t>(i)), i);
    }
  });
}

TEST_P(GatherOnPools, Mt21_OfTwoFailuresAtOnceOneWinsAndTheOtherIsSilent) {
  test::unobserved_errors unobserved;
  start(unobserved.options());
  run([]() -> coro<> {
    for (int round = 0; round < 200; ++round) {
      const gate open;
      auto all = gather(boom_at(open, 1), boom_at(open, 2));
      open.open();
      co_await until_complete(all);
      const int which = test::boom_number(all.exception());
      EXPECT_TRUE(which == 1 || which == 2);
    }
  });
  destroy_runtime();
  EXPECT_EQ(unobserved.count(), 0);
}

/// MT-23: the early failure ends the gather, its handle goes, and the siblings complete on other threads meanwhile.
TEST_P(GatherOnPools, Mt23_SiblingsThatCompleteAfterAnEarlyEndTouchNothingThatIsGone) {
  run([]() -> coro<> {
    for (int round = 0; round < 200; ++round) {
      const gate open;
      std::vector<task<int>> siblings;
      for (int i = 0; i < 6; ++i) siblings.push_back(spawn(value_at(open, i)));
      std::vector<task<int>> all = siblings;
      all.push_back(spawn(boom_at(open, 1)));
      open.open();
      EXPECT_THROW(co_await gather(std::move(all)), boom);
      for (const task<int>& each : siblings) co_await until_complete(each);
    }
  });
}

/// In some rounds one of the two has happened for certain before the other begins.
TEST_P(GatherOnPools, CancelAgainstTheLastChildsEnd) {
  enum class first { race, children, cancel };
  for (int round = 0; round < 240; ++round) {
    const first order = round % 4 == 0 ? first::children : round % 4 == 1 ? first::cancel : first::race;
    const gate open;
    std::optional<task<std::tuple<int, int>>> all;
    run([&]() -> coro<> {
      const task<int> one = spawn(value_at(open, 1));
      const task<int> two = spawn(value_at(open, 2));
      co_await until_parked(one);
      co_await until_parked(two);
      all.emplace(gather(one, two));
    });
    const task<std::tuple<int, int>> watched = *all;
    const auto ended = [&] { return watched.done(); };
    bool recorded = false;
    if (order == first::children) {
      open.open();
      test::spin_until(ended);
      recorded = watched.cancel();
    } else if (order == first::cancel) {
      recorded = watched.cancel();
      test::spin_until(ended);
      EXPECT_TRUE(recorded);
      EXPECT_TRUE(watched.cancelled());
    } else {
      test::racing_threads race;
      race.add([open] { open.open(); });
      race.add([watched, &recorded] { recorded = watched.cancel(); });
      race.go();
    }
    test::spin_until(ended);
    if (!recorded) EXPECT_EQ(watched.status(), task_status::succeeded);
    if (!watched.cancelled()) EXPECT_EQ(watched.result(), std::make_tuple(1, 2));
  }
}

TEST_P(GatherOnPools, Mt06_CancelledFromAForeignThreadItEndsOnItsOwnRuntime) {
  const gate never;
  std::optional<task<int>> child;
  runtime* resumed_on = nullptr;
  auto parent = rt().spawn(
      [](gate never, std::optional<task<int>>& child, runtime*& resumed_on) -> coro<> {
        child.emplace(spawn(value_at(never, 1)));
        auto all = gather(*child);
        try {
          co_await std::move(all);
        } catch (const cancelled&) {
          resumed_on = runtime::current();
          throw;
        }
      },
      never, std::ref(child), std::ref(resumed_on));
  test::spin_until([&] { return never.parked() == 1 && test::is_parked(parent); });
  parent.cancel();
  EXPECT_THROW(parent.get(), task_cancelled);
  EXPECT_EQ(resumed_on, &rt());
  EXPECT_TRUE(child->cancelled());
}

TEST_P(GatherOnPools, Mt19_WhatChildrenWroteIsSeenAfterTheAwait) {
  run([]() -> coro<> {
    for (int round = 0; round < 100; ++round) {
      std::array<int, 8> plain{};
      std::vector<coro<>> children;
      const gate open;
      const auto writing = [](gate open, int& to) -> coro<> {
        co_await open;
        to = 1;
      };
      for (int& each : plain) children.push_back(writing(open, each));
      auto all = gather(std::move(children));
      open.open();
      co_await std::move(all);
      int sum = 0;
      for (const int each : plain) sum += each;
      EXPECT_EQ(sum, 8);
    }
  });
}

}  // namespace
}  // namespace sheaf
