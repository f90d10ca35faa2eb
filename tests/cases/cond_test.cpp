/// COND: tasks that hold a mutex wait, without it, until they are notified. What cancel requests do to them: cond_cancel_test.cpp.
#include <sheaf/condition.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include <sheaf/errors.hpp>
#include <sheaf/runtime.hpp>
#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>
#include <sheaf/wait_for.hpp>

#include "cases/cond_room.hpp"
#include "support/children.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/notes.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::add_waiters;
using test::notes;
using test::notify;
using test::notify_all;
using test::room;
using test::until_complete;
using test::until_parked;
using test::wait_once;

SHEAF_ON_EVERY_FLAVOUR(CondOnEvery);
SHEAF_ON_NATIVE_POOLS(CondOnPools);

// ---- COND-01, COND-02 --------------------------------------------------------------------------------------------------------

TEST_P(CondOnEvery, Cond01_WaitUnlocksAndReturnsOnceTheMutexIsHeldAgain) {
  run([]() -> coro<> {
    room in;
    const task<> waiter = spawn(wait_once, std::ref(in), 'a');
    co_await until_parked(waiter);
    EXPECT_FALSE(in.door.is_locked());
    {
      const guard held = co_await in.door.scoped_lock();
      in.changed.notify();
      EXPECT_TRUE(test::is_parked(waiter));  // notified, but not woken: the mutex is not free
      EXPECT_EQ(in.order.text(), "");
    }
    co_await waiter;
    EXPECT_EQ(in.order.text(), "a");
    EXPECT_FALSE(in.door.is_locked());
  });
}

TEST_P(CondOnEvery, Cond02_NotifyWakesUpToSoManyInOrder) {
  run([]() -> coro<> {
    room in;
    std::vector<task<>> waiters;
    co_await add_waiters(in, waiters, 6);
    co_await notify(in, 0);
    co_await notify(in, 1);
    co_await waiters[0];
    EXPECT_EQ(in.order.text(), "a");
    co_await notify(in, 2);
    co_await waiters[1];
    co_await waiters[2];
    EXPECT_EQ(in.order.text(), "abc");
    EXPECT_TRUE(test::is_parked(waiters[3]));
    co_await notify(in, 2048);
    for (const task<>& each : waiters) co_await each;
    EXPECT_EQ(in.order.text(), "abcdef");
    co_await notify(in, std::numeric_limits<std::size_t>::max());
  });
}

TEST_P(CondOnEvery, Cond02_NotifyAllWakesEveryoneInOrderAndNobodyLater) {
  run([]() -> coro<> {
    room in;
    std::vector<task<>> waiters;
    co_await notify_all(in);
    co_await add_waiters(in, waiters, 5);
    co_await notify_all(in);
    for (const task<>& each : waiters) co_await each;
    EXPECT_EQ(in.order.text(), "abcde");
    const task<> late = spawn(wait_once, std::ref(in), 'l');
    co_await until_parked(late);
    co_await notify(in, 1);
    co_await late;
    EXPECT_FALSE(in.door.is_locked());
  });
}

// ---- COND-03, COND-04 --------------------------------------------------------------------------------------------------------

TEST_P(CondOnEvery, Cond03_WithoutTheMutexNothingIsWaitedForOrNotified) {
  run([]() -> coro<> {
    room in;
    mutex other;
    EXPECT_THROW(in.changed.notify(), invalid_state);
    EXPECT_THROW(in.changed.notify_all(), invalid_state);
    guard empty;
    EXPECT_THROW(co_await in.changed.wait(empty), invalid_state);
    guard of_another = co_await other.scoped_lock();
    EXPECT_THROW(co_await in.changed.wait(of_another), invalid_state);
    guard undone = co_await in.door.scoped_lock();
    in.door.unlock();
    EXPECT_THROW(co_await in.changed.wait(undone), invalid_state);
    undone.detach();
    const auto never = [] { return false; };
    EXPECT_THROW(co_await in.changed.wait(empty, never), invalid_state);
    EXPECT_FALSE(in.door.is_locked());
    EXPECT_TRUE(other.is_locked());
  });
}

TEST_P(CondOnEvery, Cond04_AFalsePredicateWaitsAgain) {
  run([]() -> coro<> {
    room in;
    int value = 0, asked = 0;
    const auto consumer = [](room& in, int& value, int& asked) -> coro<int> {
      guard held = co_await in.door.scoped_lock();
      const auto enough = [&] {
        EXPECT_TRUE(in.door.is_locked());
        ++asked;
        return value >= 3 ? value : 0;
      };
      const int seen = co_await in.changed.wait(held, enough);
      EXPECT_TRUE(in.door.is_locked());
      co_return seen;
    };
    const task<int> waiter = spawn(consumer, std::ref(in), std::ref(value), std::ref(asked));
    co_await until_parked(waiter);
    for (int i = 1; i <= 3; ++i) {
      {
        const guard held = co_await in.door.scoped_lock();
        EXPECT_EQ(asked, i);
        value = i;
        in.changed.notify();
      }
      if (i < 3) co_await until_parked(waiter);
    }
    EXPECT_EQ(co_await waiter, 3);
    EXPECT_EQ(asked, 4);
    EXPECT_FALSE(in.door.is_locked());
  });
}

TEST_P(CondOnEvery, Cond04_ThePredicatesValueComesOutAndTrueAtOnceNeedsNoMutex) {
  run([]() -> coro<> {
    room in;
    guard empty;
    const auto seven = [] { return std::make_unique<int>(7); };
    const std::unique_ptr<int> result = co_await in.changed.wait(empty, seven);
    EXPECT_EQ(*result, 7);
    const auto fails = []() -> bool { throw test::boom(4); };
    EXPECT_THROW(co_await in.changed.wait(empty, fails), test::boom);
  });
}

// ---- COND-09, COND-10 --------------------------------------------------------------------------------------------------------

TEST_P(CondOnEvery, Cond09_ALimitOnTheWaitEndsWithTheMutexHeld) {
  run([]() -> coro<> {
    room in;
    guard held = co_await in.door.scoped_lock();
    const auto never = [] { return false; };
    EXPECT_THROW(co_await wait_for(in.changed.wait(held, never), 1h), timeout_error);
    EXPECT_TRUE(held);
    EXPECT_TRUE(in.door.is_locked());
    in.changed.notify();  // nobody: it left no entry
    held.unlock();
    EXPECT_FALSE(in.door.is_locked());
  });
}

TEST_P(CondOnEvery, Cond10_TwoConditionsOfOneMutexAreNotifiedApart) {
  run([]() -> coro<> {
    mutex door;
    condition first(door), second(door);
    notes order;
    const auto waits = [](mutex& door, condition& on, notes& order, char mark) -> coro<> {
      co_await door.lock();
      EXPECT_TRUE(door.is_locked());
      guard held = guard::adopt(door);
      co_await on.wait(held);
      order += mark;
    };
    const task<> one = spawn(waits, std::ref(door), std::ref(first), std::ref(order), '1');
    co_await until_parked(one);
    const task<> two = spawn(waits, std::ref(door), std::ref(second), std::ref(order), '2');
    co_await until_parked(two);
    EXPECT_FALSE(door.is_locked());
    {
      const guard held = co_await door.scoped_lock();
      second.notify_all();
    }
    co_await two;
    EXPECT_EQ(order.text(), "2");
    {
      const guard held = co_await door.scoped_lock();
      first.notify_all();
    }
    co_await one;
    EXPECT_EQ(order.text(), "21");
    EXPECT_FALSE(door.is_locked());
  });
}

// ---- on a plain thread -------------------------------------------------------------------------------------------------------

TEST_P(CondOnEvery, APlainThreadWaitsAndNotifiesThroughGet) {
  room in;
  const entered current = rt().enter();
  const task<> notifier = rt().spawn(
      [](room& in) -> coro<> {
        co_await sleep_for(1h);
        co_await notify(in, 1);
      },
      std::ref(in));
  {
    guard held = in.door.scoped_lock().get();
    in.changed.wait(held).get();
    EXPECT_TRUE(in.door.is_locked());
    const auto truth = [] { return true; };
    EXPECT_TRUE(in.changed.wait(held, truth).get());
  }
  notifier.get();
  EXPECT_FALSE(in.door.is_locked());
}

// ---- many at once -----------------------------------------------------------------------------------------------------------

/// Producers and consumers of a bounded store, while others wait for it and are cancelled again and again.
TEST_P(CondOnPools, MtCond_ABoundedStoreKeepsEveryItem) {
  struct store {
    mutex door;
    condition not_empty{door}, not_full{door};
    std::deque<int> items;
  };
  constexpr int k_items = 300, k_producers = 3, k_consumers = 3;
  const auto put = [](store& into, int first) -> coro<> {
    for (int i = 0; i < k_items; ++i) {
      guard held = co_await into.door.scoped_lock();
      const auto has_room = [&] { return into.items.size() < 2; };
      co_await into.not_full.wait(held, has_room);
      into.items.push_back(first + i);
      into.not_empty.notify();
    }
  };
  const auto take = [](store& from, std::vector<int>& taken) -> coro<> {
    for (int i = 0; i < k_items * k_producers / k_consumers; ++i) {
      guard held = co_await from.door.scoped_lock();
      const auto has_items = [&] { return !from.items.empty(); };
      co_await from.not_empty.wait(held, has_items);
      taken.push_back(from.items.front());
      from.items.pop_front();
      from.not_full.notify();
    }
  };
  const auto disturb = [](store& in) -> coro<> {
    guard held = co_await in.door.scoped_lock();
    co_await in.not_empty.wait(held);
    in.not_empty.notify();  // not meant for it
  };
  store shared;
  std::vector<int> taken;
  run([&]() -> coro<> {
    std::vector<task<>> all;
    for (int i = 0; i < k_producers; ++i) all.push_back(spawn(put, std::ref(shared), i * k_items));
    for (int i = 0; i < k_consumers; ++i) all.push_back(spawn(take, std::ref(shared), std::ref(taken)));
    const auto ended = [&] {
      for (const task<>& each : all)
        if (!each.done()) return false;
      return true;
    };
    while (!ended()) {
      const task<> other = spawn(disturb, std::ref(shared));
      co_await this_task::yield();
      other.cancel();
      co_await until_complete(other);
    }
    for (const task<>& each : all) co_await each;
  });
  ASSERT_EQ(taken.size(), static_cast<std::size_t>(k_items * k_producers));
  std::vector<int> seen(taken.size());
  for (const int each : taken) ++seen[static_cast<std::size_t>(each)];
  for (const int each : seen) ASSERT_EQ(each, 1);
  EXPECT_FALSE(shared.door.is_locked());
}

}  // namespace
}  // namespace sheaf
