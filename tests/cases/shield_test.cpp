/// shield, case by case: what goes on when the waiting does not.
#include <sheaf/shield.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include <sheaf/gather.hpp>
#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>
#include <sheaf/wait_for.hpp>

#include "support/children.hpp"
#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::boom;
using test::boom_at;
using test::gate;
using test::until_complete;
using test::until_parked;
using test::value_after;
using test::value_at;
using test::waiters_of;

SHEAF_ON_EVERY_FLAVOUR(ShieldOnEvery);
SHEAF_ON_NATIVE_POOLS(ShieldOnPools);

TEST_P(ShieldOnEvery, Shield01_TheOutcomeOfTheInnerComesOut) {
  run([]() -> coro<> {
    const gate open, never;
    const task<int> value = spawn(value_at(open, 3));
    const task<int> fails = spawn(boom_at(open, 4));
    const task<int> stopped = spawn(value_at(never, 5));
    open.open();
    EXPECT_EQ(co_await shield(value), 3);
    EXPECT_THROW(co_await shield(fails), boom);
    co_await until_parked(stopped);
    stopped.cancel();
    EXPECT_THROW(co_await shield(stopped), task_cancelled);
    const task<int> outer = spawn(shield(stopped));
    co_await until_complete(outer);
    EXPECT_TRUE(outer.cancelled());
  });
}

TEST_P(ShieldOnEvery, Shield02_ACancelledOuterLeavesTheInnerAndNoTrace) {
  run([]() -> coro<> {
    const gate open;
    const task<int> inner = spawn(value_at(open, 1));
    for (int i = 0; i < 3; ++i) {
      const task<int> outer = spawn(shield(inner));
      co_await until_parked(outer);
      EXPECT_EQ(waiters_of(inner), 1U);
      outer.cancel();
      co_await until_complete(outer);
      EXPECT_TRUE(outer.cancelled());
      EXPECT_EQ(waiters_of(inner), 0U);
    }
    open.open();
    EXPECT_EQ(co_await inner, 1);
  });
}

TEST_P(ShieldOnEvery, Shield03_CodeAfterTheAwaitDoesNotRunTheChildGoesOn) {
  run([]() -> coro<> {
    const gate open;
    std::atomic<int> effects{0};
    bool went_on = false;
    const auto work = [](gate open, std::atomic<int>& effects) -> coro<> {
      co_await open;
      effects.fetch_add(1);
    };
    const task<> child = spawn(work, open, std::ref(effects));
    const auto waits = [](const task<>& child, bool& went_on) -> coro<> {
      co_await shield(child);
      went_on = true;
    };
    const task<> parent = spawn(waits, std::cref(child), std::ref(went_on));
    co_await until_parked(parent);
    parent.cancel();
    co_await until_complete(parent);
    EXPECT_EQ(effects.load(), 0);
    open.open();
    co_await child;
    EXPECT_EQ(effects.load(), 1);
    EXPECT_FALSE(went_on);
  });
}

TEST_P(ShieldOnEvery, Shield04_AFinishedTaskIsReadyAtOnce) {
  run([]() -> coro<> {
    const task<int> done = spawn([] { return 6; });
    co_await until_complete(done);
    bool others_ran = false;
    const auto notes = [](bool& ran) -> coro<> {
      ran = true;
      co_return;
    };
    const task<> other = spawn(notes, std::ref(others_ran));
    const auto shielded = [](const task<int>& done) -> coro<int> { co_return co_await shield(done); };
    // With one worker nothing else can have run in between.
    const int value = co_await shielded(done);
    if (runtime::current()->metrics().workers == 1) EXPECT_FALSE(others_ran);
    EXPECT_EQ(value, 6);
    co_await other;
  });
}

TEST_P(ShieldOnEvery, Shield05_AroundAGatherAndWithinOne) {
  run([]() -> coro<> {
    const gate open;
    const auto inside = gather(value_at(open, 1), value_at(open, 2));
    const task<std::tuple<int, int>> around = spawn(shield(inside));
    co_await until_parked(around);
    around.cancel();
    co_await until_complete(around);
    EXPECT_TRUE(around.cancelled());
    EXPECT_FALSE(inside.done());

    const task<int> first = spawn(value_at(open, 3));
    const task<int> second = spawn(value_at(open, 4));
    const auto within = gather(shield(first), shield(second));
    within.cancel();
    co_await until_complete(within);
    EXPECT_TRUE(within.cancelled());
    EXPECT_FALSE(first.done());
    EXPECT_FALSE(second.done());
    open.open();
    EXPECT_EQ(co_await inside, std::make_tuple(1, 2));
    EXPECT_EQ(co_await first + co_await second, 7);
  });
}

TEST_P(ShieldOnEvery, Shield06_NothingIsReportedWhenTheInnerSucceedsLate) {
  test::unobserved_errors errors;
  start(errors.options());
  run([]() -> coro<> {
    const gate open;
    const task<int> inner = spawn(value_at(open, 1));
    const task<int> outer = spawn(shield(inner));
    co_await until_parked(outer);
    outer.cancel();
    co_await until_complete(outer);
    open.open();
    co_await until_complete(inner);
  });
  EXPECT_EQ(errors.count(), 0);
}

TEST_P(ShieldOnEvery, ALateErrorNobodyReadsIsReportedOnce) {
  test::unobserved_errors errors;
  start(errors.options());
  run([&errors]() -> coro<> {
    const gate open;
    const task<int> outer = spawn(shield(boom_at(open, 1)));
    co_await until_parked(outer);
    outer.cancel();
    co_await until_complete(outer);
    open.open();
    const auto reported = [&] { return errors.count() != 0; };
    co_await test::until(reported);
  });
  EXPECT_EQ(errors.count(), 1);
}

TEST_P(ShieldOnEvery, Shield08_ACoroutineIsStartedAndSurvivesItsHandles) {
  run([]() -> coro<> {
    const gate open, finished;
    const auto work = [](gate open, gate finished) -> coro<> {
      co_await open;
      finished.open();
    };
    {
      const auto dropped = shield(work(open, finished));
    }
    open.open();
    co_await finished;
  });
}

TEST(Shield, Shield09_ACoroutineWithoutARuntimeIsRefused) {
  const gate open;
  EXPECT_THROW(static_cast<void>(shield(value_at(open, 1))), no_runtime);
}

TEST_P(ShieldOnEvery, Shield11_ShutdownStopsTheInnerToo) {
  leaves_tasks_on_purpose();
  const gate never, waiting;
  task<int> inner;
  const auto work = [](gate waiting, gate never) -> coro<int> {
    waiting.open();
    co_await never;
    co_return 1;
  };
  run([&]() -> coro<> {
    inner = spawn(work, waiting, never);
    const task<int> outer = spawn(shield(inner));
    co_await waiting;
  });
  rt().shutdown();
  EXPECT_TRUE(inner.cancelled());
}

TEST_P(ShieldOnEvery, AMoveOnlyResultIsMovedOutOfTheOnlyHandle) {
  run([]() -> coro<> {
    const auto boxed = []() -> coro<std::unique_ptr<int>> {
      co_await this_task::yield();
      co_return std::make_unique<int>(8);
    };
    const std::unique_ptr<int> box = co_await shield(spawn(boxed()));
    EXPECT_EQ(*box, 8);
    const std::unique_ptr<int> other = co_await shield(boxed());
    EXPECT_EQ(*other, 8);
  });
}

TEST_P(ShieldOnEvery, Waitfor15_WithALimitItIsGivenUpAndNotStopped) {
  run([this]() -> coro<> {
    const task<int> slow = spawn(value_after(10s, 9));
    EXPECT_THROW(co_await wait_for(shield(slow), 1s), timeout_error);
    EXPECT_EQ(clock().now(), 1s);
    EXPECT_THROW(co_await wait_for(shield(slow), 0s), timeout_error);
    EXPECT_EQ(clock().now(), 1s);
    EXPECT_EQ(waiters_of(slow), 0U);
    EXPECT_FALSE(slow.done());
    EXPECT_EQ(co_await wait_for(shield(slow), std::nullopt), 9);
    EXPECT_EQ(clock().now(), 10s);
  });
}

TEST_P(ShieldOnPools, Mt35_CancellingTheOuterAgainstTheEndOfTheInner) {
  const auto held = clock().hold();
  for (int round = 0; round < 300; ++round) {
    const gate open;
    const task<int> inner = rt().spawn(value_at(open, 1));
    const task<int> outer = rt().spawn(shield(inner));
    test::spin_until([&] { return test::is_parked(outer); });
    {
      test::racing_threads threads;
      threads.add([&] { outer.cancel(); });
      threads.add([&] { open.open(); });
      threads.go();
    }
    EXPECT_EQ(inner.get(), 1);
    test::spin_until([&] { return outer.done(); });
    EXPECT_TRUE(outer.cancelled() || outer.result() == 1);
    EXPECT_EQ(waiters_of(inner), 0U);
  }
}

}  // namespace
}  // namespace sheaf
