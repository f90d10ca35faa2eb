/// promise and future: reading, from tasks and from threads.
#include <sheaf/future.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include <sheaf/runtime.hpp>
#include <sheaf/this_task.hpp>

#include "support/children.hpp"
#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/notes.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using test::boom;
using test::drop_counter;
using test::gate;
using test::notes;
using test::until_complete;
using test::until_parked;

SHEAF_ON_EVERY_FLAVOUR(FutReadOnEvery);

coro<int> value_of(future<int> from) { co_return co_await from; }
coro<> parked(any_task waiter) { co_await until_parked(std::move(waiter)); }

TEST_P(FutReadOnEvery, TheOnlyHandleMovesTheValueOut) {
  drop_counter drops;
  run([&]() -> coro<> {
    promise<drop_counter::payload> pending;
    future<drop_counter::payload> only = pending.get_future();
    pending.set_value(drops.make(1));
    future<drop_counter::payload> second = only;
    EXPECT_THROW(static_cast<void>(co_await std::move(second)), invalid_state);  // cannot be copied
    const drop_counter::payload value = co_await std::move(only);
    EXPECT_EQ(value.value(), 1);
    EXPECT_EQ(drops.alive(), 1);
    EXPECT_FALSE(only);  // NOLINT(bugprone-use-after-move)
  });
  EXPECT_EQ(drops.alive(), 0);
}

TEST_P(FutReadOnEvery, WaitersGoOnInTheirOrderAndNoneRunsInTheSetter) {
  run([this]() -> coro<> {
    promise<> pending;
    notes order;
    const auto waits = [](future<> from, notes& order, char mark) -> coro<> {
      co_await from;
      order += mark;
    };
    std::vector<task<>> waiters;
    const future<> seen = pending.get_future();
    for (const char mark : {'a', 'b', 'c'}) {
      waiters.push_back(spawn(waits, seen, std::ref(order), mark));
      co_await until_parked(waiters.back());
    }
    pending.set_value();
    if (one_thread()) EXPECT_EQ(order.text(), "");
    for (const task<>& each : waiters) co_await each;
    if (one_thread()) EXPECT_EQ(order.text(), "abc");
    EXPECT_EQ(order.size(), 3U);
  });
}

TEST_P(FutReadOnEvery, ACancelledWaiterLeavesTheFutureAsItIs) {
  run([]() -> coro<> {
    promise<int> pending;
    const future<int> seen = pending.get_future();
    for (int i = 0; i < 3; ++i) {
      const task<int> leaves = spawn(value_of, seen);
      const task<int> stays = spawn(value_of, seen);
      co_await until_parked(leaves);
      co_await until_parked(stays);
      leaves.cancel();
      co_await until_complete(leaves);
      EXPECT_TRUE(leaves.cancelled());
      EXPECT_FALSE(seen.done());
      if (i < 2) {
        stays.cancel();
        co_await until_complete(stays);
      } else {
        pending.set_value(4);
        EXPECT_EQ(co_await stays, 4);
      }
    }
  });
}

/// Decided when it resumes; the value stays for others.
TEST_P(FutReadOnEvery, AWaiterCancelledAfterTheSetEndsCancelled) {
  const auto held = clock().hold();
  promise<int> pending;
  const future<int> seen = pending.get_future();
  const task<int> waiter = rt().spawn(value_of, seen);
  run(parked(waiter));
  const gate release;
  occupy(release);
  pending.set_value(1);
  EXPECT_TRUE(waiter.cancel());
  release.open();
  EXPECT_THROW(static_cast<void>(waiter.get()), task_cancelled);
  EXPECT_EQ(seen.result(), 1);
}

TEST_P(FutReadOnEvery, ALoopOfReadyAwaitsIsCancellable) {
  run([]() -> coro<> {
    promise<int> pending;
    const future<int> seen = pending.get_future();
    pending.set_value(1);
    this_task::handle().cancel();
    bool delivered = false;
    for (int i = 0; i < 1000 && !delivered; ++i) {
      try {
        static_cast<void>(co_await seen);
      } catch (const cancelled&) {
        delivered = true;
      }
    }
    this_task::uncancel();
    EXPECT_TRUE(delivered);
  });
}

TEST(FutRead, ReferencesAndNothingArePromisedToo) {
  int object = 1;
  promise<int&> reference;
  const future<int&> seen = reference.get_future();
  reference.set_value(object);
  EXPECT_EQ(&seen.get(), &object);
  promise<const int&> constant;
  const future<const int&> seen_constant = constant.get_future();
  constant.set_value(object);
  EXPECT_EQ(&seen_constant.get(), &object);
  promise<> nothing;
  const future<> done = nothing.get_future();
  nothing.set_value();
  done.get();
}

struct throws_when_made {
  explicit throws_when_made(bool now) {
    if (now) throw boom(3);
  }
};

TEST(FutRead, AValueWhoseMakingThrowsLeavesThePromiseOpen) {
  promise<throws_when_made> pending;
  const auto seen = pending.get_future();
  EXPECT_THROW(pending.set_value(true), boom);
  EXPECT_FALSE(seen.done());
  pending.set_value(false);
  EXPECT_TRUE(seen.done());
}

struct asks_when_made {
  asks_when_made(promise<asks_when_made>& of, const future<asks_when_made>& seen) {
    EXPECT_FALSE(seen.done());
    EXPECT_FALSE(seen.cancel());
    EXPECT_FALSE(of.try_set_value(of, seen));
    EXPECT_THROW(of.set_cancelled(), invalid_state);
  }
};

/// Nothing is locked meanwhile, and who sets is decided.
TEST(FutRead, WhileAValueIsBeingMadeNobodyElseSets) {
  promise<asks_when_made> pending;
  const auto seen = pending.get_future();
  pending.set_value(pending, seen);
  EXPECT_EQ(seen.status(), task_status::succeeded);
}

TEST(FutRead, GetWaitsOnAPlainThreadWithoutARuntime) {
  for (int round = 0; round < 100; ++round) {
    promise<int> pending;
    const future<int> seen = pending.get_future();
    std::thread reader([seen] { EXPECT_EQ(seen.get(), 1); });
    pending.set_value(1);
    EXPECT_EQ(seen.get(), 1);
    reader.join();
  }
}

/// get() in a task blocks no worker that others need: here the setter is another task, of a pool with one worker.
TEST(FutRead, GetInATaskLetsTheSetterRun) {
  runtime pool({.workers = 1});
  promise<int> pending;
  const future<int> seen = pending.get_future();
  const task<int> reader = pool.spawn([](const future<int>& from) { return from.get(); }, seen);
  const task<> setter = pool.spawn([](promise<int>& to) { to.set_value(1); }, std::ref(pending));
  EXPECT_EQ(reader.get(), 1);
  setter.get();
}

TEST(FutRead, AGetThatCanNeverEndSaysSo) {
  manual_clock clock;
  runtime pool({.workers = 1, .clock = &clock});
  const auto current = pool.enter();
  promise<int> pending;
  const future<int> seen = pending.get_future();
  EXPECT_THROW(static_cast<void>(seen.get()), would_deadlock);
  pending.set_value(1);
  EXPECT_EQ(seen.get(), 1);
}

}  // namespace
}  // namespace sheaf
