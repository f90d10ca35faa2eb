/// On which thread what belongs to a task is destroyed: work and arguments where the task ends, never on a canceller's or an awaiter's
/// thread; a result with its last handle.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>
#include <utility>

#include <sheaf/errors.hpp>
#include <sheaf/runtime.hpp>
#include <sheaf/this_task.hpp>

#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using test::drop_counter;
using test::gate;
using test::spin_until;
using test::until_complete;
using thread_id = std::thread::id;

SHEAF_ON_EVERY_FLAVOUR(WhereDestroyedOnEvery);

/// Counters of what a task holds, and the thread on which its body was left.
struct belongings {
  drop_counter arguments, locals, results;
  thread_id ended_on;
};

coro<drop_counter::payload> holds(gate open, belongings& its, drop_counter::payload) {
  const drop_counter::payload local = its.locals.make();
  try {
    co_await open;
  } catch (const cancelled&) {
    its.ended_on = std::this_thread::get_id();
    throw;
  }
  its.ended_on = std::this_thread::get_id();
  co_return its.results.make();
}

TEST_P(WhereDestroyedOnEvery, ArgumentsAndLocalsWhereTheTaskEndsAndTheResultWithItsLastHandle) {
  const gate open;
  belongings its;
  task<drop_counter::payload> kept = rt().spawn(holds, open, std::ref(its), its.arguments.make());
  open.open();
  run(until_complete(kept));
  EXPECT_EQ(its.arguments.drops(), 1);
  EXPECT_EQ(its.arguments.dropped_on(), its.ended_on);
  EXPECT_EQ(its.locals.drops(), 1);
  EXPECT_EQ(its.locals.dropped_on(), its.ended_on);
  EXPECT_EQ(its.results.drops(), 0);
  kept = {};
  EXPECT_EQ(its.results.drops(), 1);
  EXPECT_EQ(its.results.dropped_on(), std::this_thread::get_id());
}

TEST_P(WhereDestroyedOnEvery, AResultThatNobodyKeepsGoesWhereTheTaskEnds) {
  belongings its;
  run([&]() -> coro<> {
    const gate open;
    static_cast<void>(spawn(holds, open, std::ref(its), its.arguments.make()));
    const auto waits = [&] { return open.parked() == 1; };
    co_await test::until(waits);
    open.open();
    const auto gone = [&] { return its.results.drops() == 1; };
    co_await test::until(gone);
  });
  EXPECT_EQ(its.results.dropped_on(), its.ended_on);
}

TEST_P(WhereDestroyedOnEvery, WhatACallableHolds) {
  drop_counter captured, arguments;
  thread_id ended_on;
  const auto work = [&ended_on, held = captured.make_copyable()](const drop_counter::payload&) {
    ended_on = std::this_thread::get_id();
  };
  const task<> done = rt().spawn(work, arguments.make());
  run(until_complete(done));
  EXPECT_EQ(captured.drops(), 1);  // the task's copy
  EXPECT_EQ(captured.dropped_on(), ended_on);
  EXPECT_EQ(arguments.dropped_on(), ended_on);
}

TEST_P(WhereDestroyedOnEvery, WhatABlockingCallHoldsGoesOnItsThread) {
  drop_counter arguments;
  thread_id ended_on;
  const auto work = [&ended_on](const drop_counter::payload&) { ended_on = std::this_thread::get_id(); };
  const task<> done = rt().spawn_blocking(work, arguments.make());
  run(until_complete(done));
  EXPECT_NE(ended_on, std::this_thread::get_id());
  EXPECT_EQ(arguments.drops(), 1);
  EXPECT_EQ(arguments.dropped_on(), ended_on);
}

TEST_P(WhereDestroyedOnEvery, CancelledWhileItWaitsItIsTornDownWhereItHearsOfThat) {
  const gate never;
  belongings its;
  const task<drop_counter::payload> target = rt().spawn(holds, never, std::ref(its), its.arguments.make());
  const auto waits = [&never] { return never.parked() == 1; };
  run(test::until(waits));
  EXPECT_TRUE(target.cancel());
  run(until_complete(target));
  EXPECT_TRUE(target.cancelled());
  EXPECT_EQ(its.locals.drops(), 1);
  EXPECT_EQ(its.locals.dropped_on(), its.ended_on);
  EXPECT_EQ(its.arguments.drops(), 1);
  EXPECT_EQ(its.arguments.dropped_on(), its.ended_on);
  if (GetParam() != test::flavour::host_loop) EXPECT_NE(its.ended_on, std::this_thread::get_id());
}

TEST_P(WhereDestroyedOnEvery, CancelledBeforeItStartsItGoesOnAThreadOfTheRuntime) {
  const gate free_again;
  drop_counter of_coroutine, of_callable;
  occupy(free_again);
  const task<> coroutine = rt().spawn([](drop_counter::payload) -> coro<> { co_return; }, of_coroutine.make());
  const task<> callable = rt().spawn([](const drop_counter::payload&) {}, of_callable.make());
  EXPECT_TRUE(coroutine.cancel());
  EXPECT_TRUE(callable.cancel());
  EXPECT_EQ(of_coroutine.drops() + of_callable.drops(), 0);  // the canceller destroys nothing
  free_again.open();
  run(until_complete(coroutine));
  run(until_complete(callable));
  EXPECT_TRUE(coroutine.cancelled() && callable.cancelled());
  const bool here = GetParam() == test::flavour::host_loop;
  EXPECT_EQ(of_coroutine.drops(), 1);
  EXPECT_EQ(of_coroutine.dropped_on() == std::this_thread::get_id(), here);
  EXPECT_EQ(of_callable.drops(), 1);
  EXPECT_EQ(of_callable.dropped_on() == std::this_thread::get_id(), here);
}

/// The child gives a value although its owner was asked to stop: it goes where the owner hears of that.
TEST_P(WhereDestroyedOnEvery, TheValueOfAChildWhoseOwnerIsCancelled) {
  const gate open;
  drop_counter results;
  thread_id owner_left_on;
  std::atomic<int> asked{0};
  const auto stubborn = [](gate open, drop_counter& results, std::atomic<int>& asked) -> coro<drop_counter::payload> {
    co_await test::pass_stubbornly(open, &asked);
    co_return results.make();
  };
  const task<> owner = rt().spawn([&]() -> coro<> {
    task<drop_counter::payload> child = spawn(stubborn, open, std::ref(results), std::ref(asked));
    try {
      co_await std::move(child);
    } catch (const cancelled&) {
      owner_left_on = std::this_thread::get_id();
      throw;
    }
  });
  const auto waits = [&] { return open.parked() == 1 && test::is_parked(owner); };
  run(test::until(waits));
  owner.cancel();
  const auto heard = [&] { return asked.load() == 1; };
  run(test::until(heard));
  open.open();
  run(until_complete(owner));
  EXPECT_TRUE(owner.cancelled());
  EXPECT_EQ(results.drops(), 1);
  EXPECT_EQ(results.dropped_on(), owner_left_on);
}

TEST_P(WhereDestroyedOnEvery, WhatIsRefusedGoesOnTheThreadThatBroughtIt) {
  drop_counter arguments;
  rt().shutdown();
  EXPECT_THROW(rt().spawn([](const drop_counter::payload&) {}, arguments.make()), runtime_closed);
  EXPECT_EQ(arguments.drops(), 1);
  EXPECT_EQ(arguments.dropped_on(), std::this_thread::get_id());
}

}  // namespace
}  // namespace sheaf
