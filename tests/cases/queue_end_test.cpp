/// Queues: the end of their work, join() and task_done(), and their own end, shutdown().
#include <sheaf/queue.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <utility>
#include <vector>

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
using test::is_parked;
using test::until_complete;
using test::until_parked;

SHEAF_ON_EVERY_FLAVOUR(QueueEndOnEvery);

coro<int> take_from(queue<int>& from) { co_return co_await from.pop(); }
coro<> give_to(queue<int>& to, int item) { co_await to.push(item); }
coro<> join_all(queue<int>& of) { co_await of.join(); }
coro<> parked(any_task waiter) { co_await until_parked(std::move(waiter)); }

TEST_P(QueueEndOnEvery, Queue10_JoinWaitsUntilEveryItemIsDone) {
  run([]() -> coro<> {
    queue<int> items;
    int sum[2] = {};
    const auto work = [](queue<int>& from, int& sum) -> coro<> {
      for (;;) {
        sum += co_await from.pop();
        co_await this_task::yield();
        from.task_done();
      }
    };
    std::vector<task<>> workers;
    for (int& each : sum) workers.push_back(spawn(work, std::ref(items), std::ref(each)));
    for (int i = 0; i < 100; ++i) co_await items.push(i);
    co_await items.join();
    EXPECT_EQ(sum[0] + sum[1], 4950);
    for (const task<>& each : workers) {
      each.cancel();
      co_await until_complete(each);
    }
  });
}

TEST_P(QueueEndOnEvery, Queue10_JoinOfAnEmptyQueueIsOverAtOnce) {
  run([]() -> coro<> {
    queue<int> items;
    co_await items.join();
    co_await items.push(1);
    EXPECT_EQ(co_await items.pop(), 1);
    items.task_done();
    co_await items.join();
  });
}

TEST(QueueEnd, Queue10_TaskDoneOftenerThanItemsIsAnError) {
  queue<int> items;
  EXPECT_THROW(items.task_done(), invalid_state);
  EXPECT_TRUE(items.try_push(1));
  items.task_done();
  EXPECT_THROW(items.task_done(), invalid_state);
  items.shutdown(true);  // drops an item that was called done
  EXPECT_THROW(items.task_done(), invalid_state);
}

TEST_P(QueueEndOnEvery, Queue10_WhoJoinedGoesOnAtZeroWhateverIsPushedThen) {
  queue<int> items;
  const auto held = clock().hold();
  EXPECT_TRUE(items.try_push(1));
  const task<> joiner = rt().spawn(join_all, std::ref(items));
  run(parked(joiner));
  const gate release;
  occupy(release);
  EXPECT_EQ(items.try_pop(), 1);
  items.task_done();
  EXPECT_TRUE(items.try_push(2));
  release.open();
  joiner.get();
}

TEST_P(QueueEndOnEvery, Queue11_ShutdownOfAnEmptyQueueRefusesEverybody) {
  run([]() -> coro<> {
    for (const bool immediate : {false, true}) {
      queue<int> items;
      const task<int> getter = spawn(take_from, std::ref(items));
      co_await until_parked(getter);
      items.shutdown(immediate);
      items.shutdown(immediate);
      EXPECT_THROW(static_cast<void>(co_await getter), queue_closed);
      EXPECT_THROW(static_cast<void>(co_await items.pop()), queue_closed);
      EXPECT_THROW(static_cast<void>(items.try_pop()), queue_closed);
      EXPECT_THROW(co_await items.push(1), queue_closed);
      EXPECT_THROW(static_cast<void>(items.try_push(1)), queue_closed);
      co_await items.join();
    }
  });
}

TEST_P(QueueEndOnEvery, Queue11_GettersDrainWhatIsLeftAndPuttersAreRefused) {
  run([]() -> coro<> {
    queue<int> two(2);
    co_await two.push(1);
    co_await two.push(2);
    const task<> putter = spawn(give_to, std::ref(two), 3);
    co_await until_parked(putter);
    const task<> joiner = spawn(join_all, std::ref(two));
    co_await until_parked(joiner);
    two.shutdown();
    EXPECT_THROW(co_await putter, queue_closed);
    EXPECT_THROW(static_cast<void>(two.try_push(4)), queue_closed);
    EXPECT_EQ(co_await two.pop(), 1);
    EXPECT_EQ(two.try_pop(), 2);
    EXPECT_THROW(static_cast<void>(co_await two.pop()), queue_closed);
    two.task_done();
    EXPECT_FALSE(joiner.done());
    two.task_done();
    co_await joiner;
  });
}

/// A putter that was admitted and has yet to resume is refused: nothing enters after a shutdown.
TEST_P(QueueEndOnEvery, Queue11_AnAdmittedPutterIsRefused) {
  queue<int> one(1);
  const auto held = clock().hold();
  EXPECT_TRUE(one.try_push(1));
  const task<> putter = rt().spawn(give_to, std::ref(one), 2);
  run(parked(putter));
  const gate release;
  occupy(release);
  EXPECT_EQ(one.try_pop(), 1);
  one.shutdown();
  EXPECT_THROW(static_cast<void>(one.try_pop()), queue_closed);
  release.open();
  EXPECT_THROW(putter.get(), queue_closed);
  EXPECT_TRUE(one.empty());
}

/// An item was handed over and its getter is cancelled after the shutdown: another getter still gets it.
TEST_P(QueueEndOnEvery, Queue11_NobodyIsRefusedWhileAnItemMayComeBack) {
  queue<int> items;
  const auto held = clock().hold();
  const task<int> first = rt().spawn(take_from, std::ref(items));
  run(parked(first));
  const task<int> second = rt().spawn(take_from, std::ref(items));
  run(parked(second));
  const task<int> third = rt().spawn(take_from, std::ref(items));
  run(parked(third));
  const gate release;
  occupy(release);
  EXPECT_TRUE(items.try_push(1));
  items.shutdown();
  EXPECT_FALSE(items.try_pop().has_value());
  first.cancel();
  release.open();
  EXPECT_THROW(static_cast<void>(first.get()), task_cancelled);
  EXPECT_EQ(second.get(), 1);
  EXPECT_THROW(static_cast<void>(third.get()), queue_closed);
}

TEST_P(QueueEndOnEvery, Queue13_AnImmediateShutdownDropsItemsAndCountsThemDone) {
  drop_counter drops;
  run([&]() -> coro<> {
    queue<drop_counter::payload> items;
    for (int i = 0; i < 3; ++i) co_await items.push(drops.make(i));
    const auto joins = [](queue<drop_counter::payload>& of) -> coro<> { co_await of.join(); };
    const task<> joiner = spawn(joins, std::ref(items));
    co_await until_parked(joiner);
    items.shutdown(true);
    EXPECT_EQ(drops.drops(), 3);
    co_await joiner;
    EXPECT_TRUE(items.empty());
    EXPECT_THROW(static_cast<void>(co_await items.pop()), queue_closed);
    EXPECT_THROW(items.task_done(), invalid_state);
  });
}

TEST_P(QueueEndOnEvery, Queue13_WhatIsBeingWorkedOnIsStillWaitedFor) {
  run([]() -> coro<> {
    priority_queue<int> items;
    for (int i = 0; i < 100; ++i) co_await items.push(i * 37 % 100);
    EXPECT_EQ(co_await items.pop(), 0);
    const auto joins = [](priority_queue<int>& of) -> coro<> { co_await of.join(); };
    const task<> joiner = spawn(joins, std::ref(items));
    co_await until_parked(joiner);
    items.shutdown();
    items.shutdown(true);
    co_await until_parked(joiner);
    EXPECT_TRUE(is_parked(joiner));
    items.task_done();
    co_await joiner;
  });
}

/// Handed over before an immediate shutdown: the getter has it, or, cancelled, leaves it to be dropped.
TEST_P(QueueEndOnEvery, Queue13_AnItemHandedOverIsTheGettersOrDropped) {
  for (const bool cancels : {false, true}) {
    drop_counter drops;
    queue<drop_counter::payload> items;
    const auto held = clock().hold();
    const auto takes = [](queue<drop_counter::payload>& from) -> coro<int> {
      const drop_counter::payload got = co_await from.pop();
      from.task_done();
      co_return got.value();
    };
    const task<int> getter = rt().spawn(takes, std::ref(items));
    run(parked(getter));
    const gate release;
    occupy(release);
    EXPECT_TRUE(items.try_push(drops.make(7)));
    items.shutdown(true);
    EXPECT_THROW(static_cast<void>(items.try_pop()), queue_closed);
    if (cancels) getter.cancel();
    release.open();
    if (cancels) {
      EXPECT_THROW(static_cast<void>(getter.get()), task_cancelled);
    } else {
      EXPECT_EQ(getter.get(), 7);
    }
    EXPECT_EQ(drops.drops(), 1);
    EXPECT_THROW(items.task_done(), invalid_state);
  }
}

/// What the last of the dropped items does happens before join() returns, and outside the lock.
TEST_P(QueueEndOnEvery, ADroppedItemMayUseTheQueue) {
  struct uses {
    explicit uses(queue<uses>* of) : items(of) {}
    uses(uses&& other) noexcept : items(std::exchange(other.items, nullptr)) {}
    ~uses() {
      if (items != nullptr) EXPECT_TRUE(items->empty());
    }
    queue<uses>* items;
  };
  queue<uses> items;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(items.try_push(uses(&items)));
  items.shutdown(true);
  run([&]() -> coro<> { co_await items.join(); });
}

}  // namespace
}  // namespace sheaf
