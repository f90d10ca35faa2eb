/// gather: run many, collect all. What it gives, and what one child's end means for the others.
#include <sheaf/gather.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <sheaf/on_done.hpp>
#include <sheaf/sleep.hpp>

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
using test::boom_at;
using test::boom_number;
using test::bystander;
using test::drop_counter;
using test::gate;
using test::until_complete;
using test::until_parked;
using test::value_after;
using test::value_at;
using test::waiters_of;

SHEAF_ON_EVERY_FLAVOUR(GatherOnEvery);

struct no_default {
  explicit no_default(int v) : value(v) {}
  int value;
};
coro<no_default> make_no_default(int value) { co_return no_default(value); }
coro<std::unique_ptr<int>> boxed_at(gate open, int value) {
  co_await open;
  co_return std::make_unique<int>(value);
}
coro<int&> reference_at(gate open, int& target) {
  co_await open;
  co_return target;
}
coro<> nothing_at(gate open) { co_await open; }
coro<int> ready(int value) { co_return value; }

// ---- results -----------------------------------------------------------------------------------------------------------------

TEST_P(GatherOnEvery, Gather01_ResultsStandInArgumentOrderWhateverTheOrderOfEnding) {
  run([]() -> coro<> {
    const gate first, second, third;
    std::atomic<int> calls{0};
    const auto counts = [&calls] { calls.fetch_add(1); };
    const auto called = [&calls] { return calls.load() != 0; };
    auto all = gather(value_at(first, 1), value_at(second, 2), value_at(third, 3));
    all.on_done(counts);
    second.open();
    co_await test::yield_times(3);
    EXPECT_FALSE(all.done());
    first.open();
    co_await test::yield_times(3);
    EXPECT_FALSE(all.done());
    EXPECT_FALSE(called());
    third.open();
    EXPECT_EQ(co_await all, std::make_tuple(1, 2, 3));
    EXPECT_EQ(all.status(), task_status::succeeded);
    co_await test::until(called);
    co_await test::yield_times(3);
    EXPECT_EQ(calls.load(), 1);
  });
}

TEST_P(GatherOnEvery, Gather01_TheSameOfARangeWithFailuresCollected) {
  run([]() -> coro<> {
    const gate first, second, third;
    std::vector<coro<int>> children;
    children.push_back(value_at(first, 1));
    children.push_back(boom_at(second, 2));
    children.push_back(value_at(third, 3));
    std::atomic<int> calls{0};
    const auto counts = [&calls] { calls.fetch_add(1); };
    const auto called = [&calls] { return calls.load() != 0; };
    auto all = gather(return_exceptions, std::move(children));
    all.on_done(counts);
    second.open();
    co_await test::yield_times(3);
    EXPECT_FALSE(all.done());
    first.open();
    co_await test::yield_times(3);
    EXPECT_FALSE(all.done());
    EXPECT_FALSE(called());
    third.open();
    const auto& outcomes = co_await all;
    co_await test::until(called);
    co_await test::yield_times(3);
    EXPECT_EQ(calls.load(), 1);
    EXPECT_EQ(outcomes.size(), 3U);
    EXPECT_EQ(outcomes.at(0).value(), 1);
    EXPECT_EQ(boom_number(outcomes.at(1).error()), 2);
    EXPECT_FALSE(outcomes.at(1).cancelled());
    EXPECT_EQ(outcomes.at(2).value(), 3);
  });
}

TEST_P(GatherOnEvery, Gather05_FailuresStandBesideTheValuesOfAPack) {
  run([]() -> coro<> {
    const gate open;
    auto all = gather(return_exceptions, value_at(open, 1), boom_at(open, 2), boxed_at(open, 3), nothing_at(open));
    open.open();
    auto [one, two, three, four] = co_await std::move(all);
    EXPECT_EQ(one.value(), 1);
    EXPECT_THROW(static_cast<void>(two.value()), boom);
    EXPECT_EQ(boom_number(two.error()), 2);
    EXPECT_EQ(*std::move(three).value(), 3);
    EXPECT_TRUE(four.has_value());
  });
}

TEST_P(GatherOnEvery, Gather06_NothingGivesNothingAtOnce) {
  run([this]() -> coro<> {
    const bystander other;
    static_assert(std::is_same_v<decltype(gather()), task<std::tuple<>>>);
    EXPECT_TRUE(gather().done());
    co_await gather();
    co_await gather(return_exceptions);
    const std::vector<task<int>> none;
    const auto values = co_await gather(none);
    EXPECT_TRUE(values.empty());
    const auto outcomes = co_await gather(return_exceptions, std::vector<coro<int>>());
    EXPECT_TRUE(outcomes.empty());
    if (one_thread()) EXPECT_FALSE(other.has_run());
    co_await other.done();
  });
}

TEST(Gather, Gather07_OutsideAnyRuntimeItThrowsAndDestroysItsCoroutinesUnrun) {
  drop_counter drops;
  bool ran = false;
  const auto holding = [](drop_counter::payload, bool& ran) -> coro<> {
    ran = true;
    co_return;
  };
  EXPECT_THROW(static_cast<void>(gather()), no_runtime);
  EXPECT_THROW(static_cast<void>(gather(holding(drops.make(), ran), holding(drops.make(), ran))), no_runtime);
  std::vector<coro<>> range;
  range.push_back(holding(drops.make(), ran));
  EXPECT_THROW(static_cast<void>(gather(return_exceptions, std::move(range))), no_runtime);
  range.clear();
  EXPECT_EQ(drops.alive(), 0);
  EXPECT_FALSE(ran);
  try {
    static_cast<void>(gather());
  } catch (const no_runtime& error) {
    EXPECT_NE(std::string(error.what()).find("gather"), std::string::npos);
  }
}

TEST_P(GatherOnEvery, Gather10_FinishedTasksNeedNoSuspension) {
  run([this]() -> coro<> {
    const task<int> one = spawn(ready(1));
    const task<int> two = spawn(ready(2));
    const task<int> bad = spawn(boom_after(0s, 3));
    co_await until_complete(one);
    co_await until_complete(two);
    co_await until_complete(bad);
    const bystander other;
    auto values = gather(one, two);
    EXPECT_TRUE(values.done());
    EXPECT_EQ(co_await values, std::make_tuple(1, 2));
    auto failing = gather(one, bad);
    EXPECT_TRUE(failing.done());
    EXPECT_THROW(co_await failing, boom);
    const std::vector<task<int>> both{bad, two};
    const auto outcomes = co_await gather(return_exceptions, both);
    EXPECT_EQ(boom_number(outcomes[0].error()), 3);
    EXPECT_EQ(outcomes[1].value(), 2);
    if (one_thread()) EXPECT_FALSE(other.has_run());
    EXPECT_FALSE(values.cancel());
    co_await other.done();
  });
}

TEST_P(GatherOnEvery, Gather25_RecursiveFanOutMakesExactlyItsTasks) {
  std::atomic<int> entered{0};
  struct fan {
    static coro<int> out(int depth, std::atomic<int>& entered) {
      entered.fetch_add(1);
      if (depth == 0) co_return 1;
      std::vector<coro<int>> children;
      for (int i = 0; i < 5; ++i) children.push_back(out(depth - 1, entered));
      int leaves = 0;
      for (const int each : co_await gather(std::move(children))) leaves += each;
      co_return leaves;
    }
  };
  EXPECT_EQ(run(fan::out(4, entered)), 625);
  EXPECT_EQ(entered.load(), 781);
}

TEST_P(GatherOnEvery, Gather27_MoveOnlyVoidReferenceAndNotDefaultConstructibleResults) {
  run([]() -> coro<> {
    int target = 5;
    const gate open;
    auto pack = gather(boxed_at(open, 1), nothing_at(open), reference_at(open, target), make_no_default(4));
    static_assert(std::is_same_v<decltype(pack), task<std::tuple<std::unique_ptr<int>, std::monostate, int&, no_default>>>);
    open.open();
    auto results = co_await std::move(pack);
    EXPECT_EQ(*std::get<0>(results), 1);
    EXPECT_EQ(&std::get<2>(results), &target);
    EXPECT_EQ(std::get<3>(results).value, 4);

    std::vector<coro<std::unique_ptr<int>>> boxes;
    boxes.push_back(boxed_at(open, 6));
    boxes.push_back(boxed_at(open, 7));
    const auto moved = co_await gather(std::move(boxes));
    EXPECT_EQ(*moved.at(0) + *moved.at(1), 13);

    std::vector<task<int&>> references{spawn(reference_at(open, target)), spawn(reference_at(open, target))};
    const std::vector<std::reference_wrapper<int>> same = co_await gather(references);
    EXPECT_EQ(&same.at(1).get(), &target);

    std::vector<coro<>> voids;
    voids.push_back(nothing_at(open));
    const std::vector<std::monostate> none = co_await gather(std::move(voids));
    EXPECT_EQ(none.size(), 1U);

    const task<int&> shared = spawn(reference_at(open, target));
    const auto outcomes = co_await gather(return_exceptions, shared, nothing_at(open));
    EXPECT_EQ(&std::get<0>(outcomes).value(), &target);
  });
}

TEST_P(GatherOnEvery, Gather27_TasksThatWereMovedInGiveTheirResultsAway) {
  drop_counter drops;
  run([&drops]() -> coro<> {
    const gate open;
    const auto made_at = [](gate open, drop_counter& drops) -> coro<drop_counter::payload> {
      co_await open;
      co_return drops.make(4);
    };
    std::vector<task<drop_counter::payload>> children;
    for (int i = 0; i < 3; ++i) children.push_back(spawn(made_at(open, drops)));
    auto all = gather(std::move(children));
    open.open();
    {
      const auto payloads = co_await std::move(all);
      EXPECT_EQ(payloads.size(), 3U);
      EXPECT_EQ(drops.alive(), 3);
      EXPECT_EQ(payloads[2].value(), 4);
    }
    EXPECT_EQ(drops.drops(), 3);
  });
}

TEST_P(GatherOnEvery, AMoveOnlyResultThatOthersHoldTooIsAnError) {
  run([]() -> coro<> {
    const gate open;
    task<std::unique_ptr<int>> child = spawn(boxed_at(open, 1));
    const task<std::unique_ptr<int>> other = child;
    auto all = gather(std::move(child));
    open.open();
    EXPECT_THROW(static_cast<void>(co_await std::move(all)), invalid_state);
    EXPECT_EQ(*other.result(), 1);
  });
}

TEST_P(GatherOnEvery, TakesAnyRangeOnce) {
  run([]() -> coro<> {
    int made = 0;
    const auto lazily = std::views::iota(1, 5) | std::views::transform([&made](int value) {
                          ++made;
                          return ready(value * 10);
                        });
    const auto values = co_await gather(lazily);
    EXPECT_EQ(values, (std::vector<int>{10, 20, 30, 40}));
    EXPECT_EQ(made, 4);
  });
}

TEST_P(GatherOnEvery, MayBeAskedFromAPlainThread) {
  rt();
  const entered here = rt().enter();
  EXPECT_EQ(gather(value_after(2h, 1), value_after(1h, 2)).get(), std::make_tuple(1, 2));
  EXPECT_EQ(clock().now(), 2h);
}

// ---- failures ----------------------------------------------------------------------------------------------------------------

TEST_P(GatherOnEvery, Gather02_TheFirstFailureEndsItAtOnceWithThatVeryObject) {
  run([]() -> coro<> {
    std::vector<gate> gates(5);
    std::vector<task<int>> children;
    for (int i = 0; i < 5; ++i)
      children.push_back(i == 1 ? spawn(boom_at(gates[1], 1)) : spawn(value_at(gates[static_cast<std::size_t>(i)], i)));
    std::atomic<int> calls{0};
    const auto counts = [&calls] { calls.fetch_add(1); };
    const auto called = [&calls] { return calls.load() != 0; };
    auto all = gather(children);
    all.on_done(counts);
    gates[1].open();
    EXPECT_THROW(co_await all, boom);
    co_await test::until(called);
    EXPECT_EQ(all.exception(), children[1].exception());
    EXPECT_FALSE(all.cancelled());
    EXPECT_EQ(all.status(), task_status::failed);
    for (const gate& each : gates) each.open();
    for (const task<int>& each : children) co_await until_complete(each);
    EXPECT_EQ(all.exception(), children[1].exception());
    co_await test::yield_times(3);
    EXPECT_EQ(calls.load(), 1);
  });
}

TEST_P(GatherOnEvery, Gather02_AFailureThatIsThereAlreadyEndsItAtOnce) {
  run([]() -> coro<> {
    const gate open, never;
    open.open();
    const task<int> failed = spawn(boom_at(open, 1));
    co_await until_complete(failed);
    const task<int> waiting = spawn(value_at(never, 2));
    EXPECT_THROW(co_await gather(waiting, failed), boom);
    EXPECT_FALSE(waiting.done());
    waiting.cancel();
    co_await until_complete(waiting);
  });
}

TEST_P(GatherOnEvery, Gather03_SiblingsGoOnAndNothingStaysRegisteredWithThem) {
  run([]() -> coro<> {
    const gate fails, rest;
    const task<int> one = spawn(value_at(rest, 1));
    const task<int> bad = spawn(boom_at(fails, 2));
    const task<int> three = spawn(value_at(rest, 3));
    auto all = gather(one, bad, three);
    EXPECT_EQ(waiters_of(one), 1U);
    fails.open();
    EXPECT_THROW(co_await all, boom);
    EXPECT_EQ(waiters_of(one), 0U);
    EXPECT_EQ(waiters_of(three), 0U);
    EXPECT_FALSE(one.done());
    rest.open();
    EXPECT_EQ(co_await one, 1);
    EXPECT_EQ(co_await three, 3);
  });
}

TEST(Gather, Gather04_ALaterFailureIsDroppedSilently) {
  test::unobserved_errors unobserved;
  {
    runtime rt(unobserved.options());
    rt.run([]() -> coro<> {
      const gate first, second;
      {
        auto all = gather(boom_at(first, 1), boom_at(second, 2), boom_at(second, 3));
        first.open();
        EXPECT_THROW(co_await all, boom);
      }
      second.open();
      co_await spawn([] {});
    });
  }
  EXPECT_EQ(unobserved.count(), 0);
}

TEST(Gather, AFailureThatNobodyReadsIsReportedOnce) {
  test::unobserved_errors unobserved;
  {
    runtime rt(unobserved.options());
    rt.run([]() -> coro<> {
      const gate open;
      auto all = gather(boom_at(open, 1), boom_at(open, 2));
      open.open();
      co_await until_complete(all);
    });
  }
  EXPECT_EQ(unobserved.count(), 1);
}

TEST_P(GatherOnEvery, Gather12_AChildThatOthersCancelIsAFailureAndNotACancelledGather) {
  run([]() -> coro<> {
    const gate never, rest;
    const task<int> victim = spawn(value_at(never, 1));
    const task<int> sibling = spawn(value_at(rest, 2));
    auto all = gather(victim, sibling);
    co_await test::until_parked(victim);
    victim.cancel("not wanted");
    EXPECT_THROW(co_await all, task_cancelled);
    EXPECT_EQ(all.status(), task_status::failed);
    EXPECT_FALSE(all.cancelled());
    try {
      std::rethrow_exception(all.exception());
    } catch (const task_cancelled& error) {
      EXPECT_EQ(error.reason(), "not wanted");
    }
    EXPECT_FALSE(sibling.done());
    rest.open();
    EXPECT_EQ(co_await sibling, 2);
  });
}

TEST_P(GatherOnEvery, Gather13_CollectedACancelledChildStandsAtItsIndex) {
  run([]() -> coro<> {
    const gate never, rest;
    const task<int> victim = spawn(value_at(never, 1));
    auto all = gather(return_exceptions, value_at(rest, 0), victim, value_at(rest, 2));
    victim.cancel();
    rest.open();
    const auto& [zero, one, two] = co_await all;
    EXPECT_EQ(zero.value(), 0);
    EXPECT_TRUE(one.cancelled());
    EXPECT_THROW(static_cast<void>(one.value()), task_cancelled);
    EXPECT_EQ(two.value(), 2);
  });
}

TEST_P(GatherOnEvery, Gather20_AnInnerGatherThatIsCancelledFailsTheOuterOneAtOnce) {
  run([]() -> coro<> {
    const gate never, rest;
    auto doomed = gather(value_at(never, 1), value_at(never, 2));
    auto kept = gather(value_at(rest, 3), value_at(rest, 4));
    auto outer = gather(doomed, kept);
    doomed.cancel();
    EXPECT_THROW(co_await outer, task_cancelled);
    EXPECT_TRUE(doomed.cancelled());
    EXPECT_FALSE(kept.done());
    rest.open();
    EXPECT_EQ(co_await kept, std::make_tuple(3, 4));
  });
}

TEST_P(GatherOnEvery, Gather26_ThereIsNoFatalKindOfFailure) {
  run([]() -> coro<> {
    const gate open, never;
    const auto exits = [](gate open) -> coro<int> {
      co_await open;
      throw 3;
    };
    const task<int> sibling = spawn(value_at(never, 1));
    auto all = gather(exits(open), sibling);
    open.open();
    EXPECT_THROW(co_await all, int);
    EXPECT_FALSE(sibling.done());
    never.open();
    EXPECT_EQ(co_await sibling, 1);
  });
}

TEST_P(GatherOnEvery, AResultWhoseCopyThrowsIsItsFailure) {
  struct throws_when_copied {
    throws_when_copied() = default;
    throws_when_copied(throws_when_copied&&) = default;
    throws_when_copied(const throws_when_copied&) { throw boom(7); }
    throws_when_copied& operator=(const throws_when_copied&) = delete;
    ~throws_when_copied() = default;
  };
  run([]() -> coro<> {
    const task<throws_when_copied> child = spawn([] { return throws_when_copied(); });
    auto all = gather(child);
    EXPECT_THROW(static_cast<void>(co_await all), boom);
  });
}

TEST_P(GatherOnEvery, AnEmptyHandleIsRefusedBeforeAnythingElseIsRegistered) {
  run([]() -> coro<> {
    const gate open;
    const task<int> full = spawn(value_at(open, 1));
    const task<int> empty;
    const std::vector<task<int>> both{full, empty};
    EXPECT_THROW(static_cast<void>(gather(both)), invalid_state);
    EXPECT_THROW(static_cast<void>(gather(full, empty)), invalid_state);
    EXPECT_EQ(waiters_of(full), 0U);
    open.open();
    EXPECT_EQ(co_await full, 1);
  });
}

}  // namespace
}  // namespace sheaf
