/// when_all: results in order, children of every kind, forks of every shape.
#include <sheaf/when_all.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <sheaf/event.hpp>
#include <sheaf/runtime.hpp>
#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>

#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/run_test.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::drop_counter;
using test::gate;
using test::run_test;
using test::until_complete;
using test::until_parked;

SHEAF_ON_EVERY_FLAVOUR(WhenAllOnEvery);

coro<int> value_of(int value) { co_return value; }
coro<int> fail(const char* text) {
  throw std::runtime_error(text);
  co_return 0;
}

// ---- results -----------------------------------------------------------------------------------------------------------------

TEST_P(WhenAllOnEvery, ResultsOfEveryKindStandInInputOrder) {
  run([]() -> coro<> {
    struct no_default {
      explicit no_default(int v) : value(v) {}
      int value;
    };
    int target = 1;
    const auto nothing = []() -> coro<> { co_return; };
    const auto boxed = []() -> coro<std::unique_ptr<int>> { co_return std::make_unique<int>(3); };
    const auto referring = [](int& to) -> coro<int&> { co_return to; };
    const auto made = []() -> coro<no_default> { co_return no_default(5); };
    auto results = co_await when_all(nothing(), boxed(), referring(target), made(), value_of(6));
    static_assert(std::is_same_v<decltype(results), std::tuple<std::monostate, std::unique_ptr<int>, int&, no_default, int>>);
    EXPECT_EQ(*std::get<1>(results), 3);
    EXPECT_EQ(&std::get<2>(results), &target);
    EXPECT_EQ(std::get<3>(results).value, 5);
    EXPECT_EQ(std::get<4>(results), 6);
  });
}

TEST_P(WhenAllOnEvery, OrderOfResultsIsNotOrderOfCompletion) {
  run([this]() -> coro<> {
    const auto after = [](std::chrono::seconds length, int value) -> coro<int> { co_return co_await sleep_for(length, value); };
    const auto [a, b, c] = co_await when_all(after(3s, 1), after(1s, 2), after(2s, 3));
    EXPECT_EQ(std::tuple(a, b, c), std::tuple(1, 2, 3));
    EXPECT_EQ(clock().now(), 3s);  // at the same time
  });
}

TEST_P(WhenAllOnEvery, ARangeGivesAVectorInInputOrder) {
  run([]() -> coro<> {
    std::vector<coro<int>> children;
    for (int i = 0; i < 100; ++i) children.push_back(value_of(i));
    const std::vector<int> values = co_await when_all(std::move(children));
    std::vector<int> expected(100);
    std::iota(expected.begin(), expected.end(), 0);
    EXPECT_EQ(values, expected);

    int target = 0;
    std::vector<coro<int&>> references;
    references.push_back([](int& to) -> coro<int&> { co_return to; }(target));
    const std::vector<std::reference_wrapper<int>> seen = co_await when_all(std::move(references));
    EXPECT_EQ(&seen[0].get(), &target);

    std::vector<coro<>> nothings;
    nothings.push_back([]() -> coro<> { co_return; }());
    const std::vector<std::monostate> none = co_await when_all(std::move(nothings));
    EXPECT_EQ(none.size(), 1U);
  });
}

TEST_P(WhenAllOnEvery, NothingGivesNothingAtOnce) {
  run([]() -> coro<> {
    static_assert(std::is_same_v<decltype(when_all().operator co_await().await_resume()), std::tuple<>>);
    co_await when_all();
    std::vector<coro<int>> none;
    const std::vector<int> values = co_await when_all(std::move(none));
    EXPECT_TRUE(values.empty());
  });
}

TEST(WhenAll, AnyRangeOfCorosWillDoAndIsConsumedAtTheCall) {
  run_test([]() -> coro<> {
    std::vector<coro<int>> kept;
    kept.push_back(value_of(1));
    auto operation = when_all(std::move(kept));
    kept.clear();
    const std::vector<int> values = co_await std::move(operation);
    EXPECT_EQ(values, std::vector<int>{1});
    std::array<coro<int>, 2> fixed{value_of(3), value_of(4)};
    const std::vector<int> of_fixed = co_await when_all(std::move(fixed));
    EXPECT_EQ(of_fixed, (std::vector<int>{3, 4}));
  });
}

TEST(WhenAll, AnOperationDroppedUnawaitedRunsNothing) {
  drop_counter drops;
  const auto never = [](drop_counter::payload) -> coro<> {
    ADD_FAILURE() << "it ran";
    co_return;
  };
  {
    const auto dropped = when_all(never(drops.make()), never(drops.make()));
  }
  {
    std::vector<coro<>> children;
    children.push_back(never(drops.make()));
    const auto dropped = when_all(std::move(children));
  }
  EXPECT_EQ(drops.drops(), 3);
}

TEST(WhenAll, ACoroThatWasUsedIsAnInvalidStateAndNothingRuns) {
  drop_counter drops;
  bool ran = false;
  const auto never = [](drop_counter::payload, bool& ran) -> coro<> {
    ran = true;
    co_return;
  };
  coro<> used = never(drops.make(), ran);
  {
    const coro<> taken = std::move(used);
  }
  EXPECT_THROW(static_cast<void>(when_all(never(drops.make(), ran), std::move(used))), invalid_state);
  std::vector<coro<>> range;
  range.push_back(never(drops.make(), ran));
  range.push_back(std::move(used));
  EXPECT_THROW(static_cast<void>(when_all(std::move(range))), invalid_state);
  range.clear();
  EXPECT_EQ(drops.drops(), 3);
  EXPECT_FALSE(ran);
}

TEST_P(WhenAllOnEvery, GetWaitsOnAPlainThread) {
  const entered here = rt().enter();
  EXPECT_EQ(when_all(value_of(1), value_of(2)).get(), std::tuple(1, 2));
  std::vector<coro<int>> children;
  children.push_back(value_of(3));
  EXPECT_EQ(when_all(std::move(children)).get(), std::vector<int>{3});
  EXPECT_THROW(when_all(value_of(1), fail("out")).get(), std::runtime_error);
}

TEST(WhenAll, GetOutsideAnyRuntimeThrows) { EXPECT_THROW(when_all(value_of(1)).get(), no_runtime); }

// ---- children ----------------------------------------------------------------------------------------------------------------

/// MT-19, and the reason for when_all: children use the caller's locals.
TEST_P(WhenAllOnEvery, ChildrenMayUseTheCallersLocalsAndWhatTheyWriteIsSeen) {
  run([]() -> coro<> {
    std::vector<int> slots(50);
    std::vector<coro<>> children;
    const auto write = [](int& slot, int value) -> coro<> {
      if (value % 3 == 0) co_await this_task::yield();
      slot = value;
    };
    for (int i = 0; i < 50; ++i) children.push_back(write(slots[static_cast<std::size_t>(i)], i));
    co_await when_all(std::move(children));
    for (int i = 0; i < 50; ++i) EXPECT_EQ(slots[static_cast<std::size_t>(i)], i);
  });
}

TEST_P(WhenAllOnEvery, ChildrenRunAtTheSameTime) {
  run([]() -> coro<> {
    const gate first, second;
    const auto one = [](gate first, gate second) -> coro<> {
      first.open();
      co_await second;
    };
    const auto two = [](gate first, gate second) -> coro<> {
      co_await first;
      second.open();
    };
    co_await when_all(one(first, second), two(first, second));
    co_await when_all(two(first, second), one(first, second));
  });
}

/// Two children that block their threads for each other: two workers run them.
TEST(WhenAll, ChildrenRunOnSeveralWorkers) {
  runtime rt({.workers = 2});
  rt.run([]() -> coro<> {
    const gate first, second;
    const auto meet = [](gate mine, gate others) -> coro<> {
      mine.open();
      others.wait();
      co_return;
    };
    for (int i = 0; i < 20; ++i) co_await when_all(meet(first, second), meet(second, first));
  });
}

TEST_P(WhenAllOnEvery, AChildIsATaskOfItsOwnThatOnlyItsParentRefersTo) {
  run([]() -> coro<> {
    const std::uint64_t parent = this_task::id();
    any_task kept;
    const auto look = [](std::uint64_t parent) -> coro<std::uint64_t> {
      const std::uint64_t mine = this_task::id();
      EXPECT_NE(mine, parent);
      EXPECT_EQ(runtime::current()->tasks().size(), 1U);  // the parent's
      co_await this_task::yield();
      EXPECT_EQ(this_task::id(), mine);
      EXPECT_EQ(this_task::cancelling(), 0U);
      co_return mine;
    };
    const auto keep = [](any_task& to) -> coro<> {
      to = this_task::handle();
      to.set_name("the child");
      co_return;
    };
    const auto [id, nothing] = co_await when_all(look(parent), keep(kept));
    EXPECT_NE(id, parent);
    EXPECT_EQ(this_task::id(), parent);
    EXPECT_TRUE(kept.done());  // a handle outlives the join
    EXPECT_EQ(kept.status(), task_status::succeeded);
    EXPECT_EQ(kept.name(), "the child");
    static_cast<void>(nothing);
  });
}

TEST_P(WhenAllOnEvery, AChildMayBeAwaitedByOthers) {
  run([]() -> coro<> {
    gate known;
    any_task child;
    const gate open;
    const auto observer = spawn(
        [](gate known, any_task& child) -> coro<> {
          co_await known;
          co_await child;
        },
        known, std::ref(child));
    const auto shows_itself = [](gate known, any_task& child, gate open) -> coro<> {
      child = this_task::handle();
      known.open();
      co_await open;
    };
    const auto opens = [](any_task observer, gate known, gate open) -> coro<> {
      co_await known;
      co_await until_parked(observer);
      open.open();
    };
    co_await when_all(shows_itself(known, child, open), opens(observer, known, open));
    co_await observer;
  });
}

// ---- shape -------------------------------------------------------------------------------------------------------------------

TEST_P(WhenAllOnEvery, TenThousandChildrenAtOnce) {
  run([]() -> coro<> {
    std::vector<coro<int>> children;
    for (int i = 0; i < 10'000; ++i) children.push_back(value_of(i % 2));
    const std::vector<int> values = co_await when_all(std::move(children));
    EXPECT_EQ(std::accumulate(values.begin(), values.end(), 0), 5000);
  });
}

TEST_P(WhenAllOnEvery, ABinaryTreeOfForks) {
  struct recursion {
    static coro<int> fib(int n) {
      if (n < 2) co_return n;
      const auto [a, b] = co_await when_all(fib(n - 1), fib(n - 2));
      co_return a + b;
    }
  };
  EXPECT_EQ(run(recursion::fib(18)), 2584);
}

/// GATHER-25 for forks: five wide, four deep.
TEST_P(WhenAllOnEvery, Gather25_ARecursiveFanOut) {
  std::atomic<int> tasks{0};
  struct recursion {
    static coro<> fan(int depth, std::atomic<int>& tasks) {
      tasks.fetch_add(1);
      if (depth == 0) co_return;
      std::vector<coro<>> children;
      for (int i = 0; i < 5; ++i) children.push_back(fan(depth - 1, tasks));
      co_await when_all(std::move(children));
    }
  };
  run(recursion::fan(4, tasks));
  EXPECT_EQ(tasks.load(), 781);
}

TEST_P(WhenAllOnEvery, AChainOfForksAHundredThousandDeepDoesNotGrowTheStack) {
  struct recursion {
    static coro<int> down(int depth) {
      if (depth == 0) co_return 0;
      const auto [below] = co_await when_all(down(depth - 1));
      co_return below + 1;
    }
  };
  EXPECT_EQ(run(recursion::down(100'000)), 100'000);
}

TEST_P(WhenAllOnEvery, AChainOfForksIsCancelledWithoutGrowingTheStack) {
  struct recursion {
    static coro<> down(int depth, gate at) {
      if (depth == 0) {
        co_await at;
      } else {
        co_await when_all(down(depth - 1, at));
      }
    }
  };
  run([]() -> coro<> {
    const gate never;
    const task<> top = spawn(&recursion::down, 10'000, never);
    while (never.parked() == 0) co_await this_task::yield();
    top.cancel();
    co_await until_complete(top);
    EXPECT_TRUE(top.cancelled());
  });
}

/// A long fork-join computation on the only worker does not keep other runnable tasks waiting until its end.
TEST(WhenAll, ALongComputationLetsOthersHaveTheirTurn) {
  run_test(
      []() -> coro<> {
        struct recursion {
          static coro<int> count(int depth) {
            if (depth == 0) co_return 1;
            const auto [a, b] = co_await when_all(count(depth - 1), count(depth - 1));
            co_return a + b;
          }
        };
        bool finished = false;
        const auto computing = spawn(
            [](bool& finished) -> coro<> {
              co_await recursion::count(14);
              finished = true;
            },
            std::ref(finished));
        co_await test::yield_times(3);
        EXPECT_FALSE(finished);
        co_await computing;
      },
      1);
}

/// Of two workers one is kept busy. The other runs the end of a child whose sibling is parked, and then a fork of another join, which
/// blocks its thread until the first join is complete: whoever serves the seat meanwhile runs the sibling, and completes it.
TEST(WhenAll, AnEndIsToldBeforeAForkOfAnotherJoinRuns) {
  run_test(
      []() -> coro<> {
        const gate running, release;
        const auto keeps_busy = [](gate running, gate release) {
          running.open();
          release.wait();
        };
        const auto busy = spawn(keeps_busy, running, release);
        co_await running;
        event first, second;
        const auto passes = [](event& awaited) -> coro<> { co_await awaited.wait(); };
        const auto joins = spawn([](coro<> a, coro<> b) -> coro<> { co_await when_all(std::move(a), std::move(b)); },
                                 passes(first), passes(second));
        co_await until_parked(joins);
        co_await test::yield_times(3);
        const auto opens = [](event& first) -> coro<> {
          first.set();  // who waits for it is the next to run
          co_await this_task::yield();
        };
        const auto blocks = [](event& second, task<> joins) -> coro<> {
          second.set();
          joins.get();
          co_return;
        };
        co_await when_all(opens(first), blocks(second, joins));
        release.open();
        co_await busy;
      },
      2);
}

TEST_P(WhenAllOnEvery, ChildrenMaySpawnSleepAndFork) {
  run([]() -> coro<> {
    const auto mixed = [](int n) -> coro<int> {
      const int spawned = co_await spawn([](int n) { return n; }, n);
      co_await sleep_for(std::chrono::milliseconds(n));
      const auto [a, b] = co_await when_all(value_of(spawned), value_of(n));
      const int called = co_await spawn_blocking([](int n) { return n; }, n);
      co_return a + b + called;
    };
    std::vector<coro<int>> children;
    for (int i = 0; i < 20; ++i) children.push_back(mixed(i));
    const std::vector<int> values = co_await when_all(std::move(children));
    for (int i = 0; i < 20; ++i) EXPECT_EQ(values[static_cast<std::size_t>(i)], 3 * i);
  });
}

}  // namespace
}  // namespace sheaf
