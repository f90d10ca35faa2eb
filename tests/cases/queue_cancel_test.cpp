/// Queues: what a cancelled getter or putter leaves behind. Decision: no effect, whatever it had been granted.
#include <sheaf/queue.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sheaf/runtime.hpp>
#include <sheaf/this_task.hpp>
#include <sheaf/wait_for.hpp>

#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::drop_counter;
using test::gate;
using test::until_complete;
using test::until_parked;

SHEAF_ON_EVERY_FLAVOUR(QueueCancelOnEvery);

template <class Queue>
coro<int> take_from(Queue& from) {
  co_return co_await from.pop();
}
template <class Queue>
coro<> give_to(Queue& to, int item) {
  co_await to.push(item);
}
coro<> parked(any_task waiter) { co_await until_parked(std::move(waiter)); }

TEST_P(QueueCancelOnEvery, Queue07_AnItemHandedToACancelledGetterGoesToTheNext) {
  queue<int> items;
  const auto held = clock().hold();
  const task<int> first = rt().spawn(take_from<queue<int>>, std::ref(items));
  run(parked(first));
  const task<int> second = rt().spawn(take_from<queue<int>>, std::ref(items));
  run(parked(second));
  const gate release;
  occupy(release);
  EXPECT_TRUE(items.try_push(1));  // to the first, which cannot run yet
  EXPECT_TRUE(items.empty());
  EXPECT_TRUE(first.cancel());  // decided when it resumes
  release.open();
  EXPECT_THROW(static_cast<void>(first.get()), task_cancelled);
  EXPECT_EQ(second.get(), 1);
  EXPECT_TRUE(items.empty());
}

/// Items 1 and 2 have been handed over, 0 and 3 come after; then both getters are cancelled.
template <class Queue>
std::string order_after_two_came_back(runtime& rt, const std::function<void(const gate&)>& occupy) {
  Queue items;
  const task<int> first = rt.spawn(take_from<Queue>, std::ref(items));
  rt.run(parked(first));
  const task<int> second = rt.spawn(take_from<Queue>, std::ref(items));
  rt.run(parked(second));
  const gate release;
  occupy(release);
  for (const int each : {1, 2, 0, 3}) EXPECT_TRUE(items.try_push(each));
  EXPECT_EQ(items.size(), 2U);
  first.cancel();
  second.cancel();
  release.open();
  EXPECT_THROW(static_cast<void>(first.get()), task_cancelled);
  EXPECT_THROW(static_cast<void>(second.get()), task_cancelled);
  std::string order;
  while (const std::optional<int> item = items.try_pop()) order += std::to_string(*item);
  return order;
}

TEST_P(QueueCancelOnEvery, Queue07_AnItemThatComesBackGoesWhereItBelongs) {
  const auto held = clock().hold();
  const auto busy = [this](const gate& until) { occupy(until); };
  EXPECT_EQ(order_after_two_came_back<queue<int>>(rt(), busy), "1203");
  EXPECT_EQ(order_after_two_came_back<lifo_queue<int>>(rt(), busy), "3021");
  EXPECT_EQ(order_after_two_came_back<priority_queue<int>>(rt(), busy), "0123");
}

TEST_P(QueueCancelOnEvery, Queue07_AnItemThatComesBackToAFullQueueHoldsPuttersBack) {
  queue<int> one(1);
  const auto held = clock().hold();
  const task<int> getter = rt().spawn(take_from<queue<int>>, std::ref(one));
  run(parked(getter));
  const gate release;
  occupy(release);
  EXPECT_TRUE(one.try_push(1));
  EXPECT_TRUE(one.try_push(2));
  EXPECT_TRUE(one.full());
  getter.cancel();
  release.open();
  EXPECT_THROW(static_cast<void>(getter.get()), task_cancelled);
  EXPECT_EQ(one.size(), 2U);
  EXPECT_EQ(one.try_pop(), 1);
  EXPECT_FALSE(one.try_push(3));
  EXPECT_EQ(one.try_pop(), 2);
  EXPECT_TRUE(one.try_push(3));
}

TEST_P(QueueCancelOnEvery, Queue08_ThePlaceOfACancelledPutterGoesToTheNext) {
  queue<int> one(1);
  const auto held = clock().hold();
  EXPECT_TRUE(one.try_push(1));
  const task<> second = rt().spawn(give_to<queue<int>>, std::ref(one), 2);
  run(parked(second));
  const task<> third = rt().spawn(give_to<queue<int>>, std::ref(one), 3);
  run(parked(third));
  const gate release;
  occupy(release);
  EXPECT_EQ(one.try_pop(), 1);   // the place is the second's, which cannot run yet
  EXPECT_TRUE(second.cancel());  // decided when it resumes
  release.open();
  EXPECT_THROW(second.get(), task_cancelled);
  third.get();
  EXPECT_EQ(one.try_pop(), 3);
  EXPECT_TRUE(one.empty());
}

/// A putter that was admitted and has yet to resume holds back the items admitted after its own; cancelled, it lets them go.
TEST_P(QueueCancelOnEvery, Queue08_ACancelledPutterHoldsNobodyBack) {
  queue<int> one(2);
  const auto held = clock().hold();
  EXPECT_TRUE(one.try_push(0));
  EXPECT_TRUE(one.try_push(1));
  const task<> putter = rt().spawn(give_to<queue<int>>, std::ref(one), 2);
  run(parked(putter));
  const gate release;
  occupy(release);
  EXPECT_EQ(one.try_pop(), 0);  // admits the putter
  EXPECT_EQ(one.try_pop(), 1);
  EXPECT_TRUE(one.try_push(3));
  EXPECT_TRUE(one.empty());  // of what is to be had
  EXPECT_FALSE(one.try_pop().has_value());
  putter.cancel();
  release.open();
  EXPECT_THROW(putter.get(), task_cancelled);
  EXPECT_EQ(one.try_pop(), 3);
}

TEST_P(QueueCancelOnEvery, Queue08_ACancelledPutterPutsNothing) {
  run([]() -> coro<> {
    queue<int> one(1);
    co_await one.push(1);
    const task<> putter = spawn(give_to<queue<int>>, std::ref(one), 2);
    co_await until_parked(putter);
    putter.cancel();
    co_await until_complete(putter);
    EXPECT_TRUE(putter.cancelled());
    EXPECT_EQ(co_await one.pop(), 1);
    EXPECT_TRUE(one.empty());
    EXPECT_FALSE(one.full());
  });
}

TEST_P(QueueCancelOnEvery, Queue09_CancelledWaitersLeaveNoEntry) {
  run([]() -> coro<> {
    queue<int> one(1);
    for (unsigned cancelled_ones = 0; cancelled_ones < 8; ++cancelled_ones) {
      std::vector<task<int>> getters;
      for (int i = 0; i < 3; ++i) {
        getters.push_back(spawn(take_from<queue<int>>, std::ref(one)));
        co_await until_parked(getters.back());
      }
      for (unsigned i = 0; i < 3; ++i) {
        if ((cancelled_ones >> i & 1) == 0) continue;
        getters[i].cancel();
        co_await until_complete(getters[i]);
      }
      int next = 0;
      for (unsigned i = 0; i < 3; ++i) {
        if ((cancelled_ones >> i & 1) != 0) continue;
        co_await one.push(next);
        EXPECT_EQ(co_await getters[i], next++);
      }
      co_await one.push(9);
      EXPECT_EQ(one.size(), 1U);  // nobody is left to take it
      EXPECT_EQ(one.try_pop(), 9);
    }
  });
}

TEST_P(QueueCancelOnEvery, Queue09_WaitersThatTimeOutLeaveNoEntry) {
  run([]() -> coro<> {
    queue<int> one(1);
    for (int i = 0; i < 20; ++i) {
      auto popping = take_from(one);
      EXPECT_THROW(static_cast<void>(co_await wait_for(std::move(popping), 1s)), timeout_error);
    }
    co_await one.push(1);
    for (int i = 0; i < 20; ++i) {
      auto pushing = give_to(one, 2);
      EXPECT_THROW(co_await wait_for(std::move(pushing), 1s), timeout_error);
    }
    EXPECT_EQ(one.size(), 1U);
    EXPECT_EQ(co_await one.pop(), 1);
    EXPECT_FALSE(one.full());
    EXPECT_TRUE(one.empty());
  });
}

TEST_P(QueueCancelOnEvery, Queue09_ACancelledJoinLeavesNoEntry) {
  run([]() -> coro<> {
    queue<int> items;
    co_await items.push(1);
    const auto joins = [](queue<int>& queue) -> coro<> { co_await queue.join(); };
    const task<> leaving = spawn(joins, std::ref(items));
    const task<> staying = spawn(joins, std::ref(items));
    co_await until_parked(leaving);
    co_await until_parked(staying);
    leaving.cancel();
    co_await until_complete(leaving);
    EXPECT_TRUE(leaving.cancelled());
    EXPECT_FALSE(staying.done());
    EXPECT_EQ(co_await items.pop(), 1);
    items.task_done();
    co_await staying;
  });
}

TEST_P(QueueCancelOnEvery, Queue14_TheItemOfACancelledPutIsDestroyedOnce) {
  drop_counter drops;
  queue<drop_counter::payload> one(1);
  const auto held = clock().hold();
  EXPECT_TRUE(one.try_push(drops.make(1)));
  const auto gives = [](queue<drop_counter::payload>& to, drop_counter::payload item) -> coro<> {
    co_await to.push(std::move(item));
  };
  const task<> waiting = rt().spawn(gives, std::ref(one), drops.make(2));
  run(parked(waiting));
  const task<> admitted = rt().spawn(gives, std::ref(one), drops.make(3));
  run(parked(admitted));
  waiting.cancel();
  EXPECT_THROW(waiting.get(), task_cancelled);
  EXPECT_EQ(drops.drops(), 1);
  const gate release;
  occupy(release);
  EXPECT_EQ(one.try_pop()->value(), 1);
  admitted.cancel();
  release.open();
  EXPECT_THROW(admitted.get(), task_cancelled);
  EXPECT_EQ(drops.drops(), 3);
  EXPECT_EQ(drops.alive(), 0);
  EXPECT_TRUE(one.empty());
}

/// After many ready operations in one step the next one yields, and there a request is delivered; without an effect.
TEST_P(QueueCancelOnEvery, ALoopOfReadyPopsIsCancellableAndLosesNothing) {
  run([]() -> coro<> {
    queue<int> items;
    for (int i = 0; i < 1000; ++i) EXPECT_TRUE(items.try_push(i));
    this_task::handle().cancel();
    int next = 0;
    bool delivered = false;
    while (!delivered) {
      try {
        EXPECT_EQ(co_await items.pop(), next);
        ++next;
      } catch (const cancelled&) {
        delivered = true;
      }
    }
    this_task::uncancel();
    EXPECT_LT(next, 1000);
    EXPECT_EQ(items.size(), 1000U - next);
    EXPECT_EQ(co_await items.pop(), next);
  });
}

TEST_P(QueueCancelOnEvery, ALoopOfReadyPushesIsCancellableAndPutsWhatItSays) {
  run([]() -> coro<> {
    queue<int> items(1000);
    this_task::handle().cancel();
    int next = 0;
    bool delivered = false;
    while (!delivered) {
      try {
        co_await items.push(next);
        ++next;
      } catch (const cancelled&) {
        delivered = true;
      }
    }
    this_task::uncancel();
    EXPECT_LT(next, 1000);
    EXPECT_EQ(items.size(), static_cast<std::size_t>(next));
    for (int i = 0; i < next; ++i) EXPECT_EQ(items.try_pop(), i);
    for (int i = 0; i < 1000; ++i) EXPECT_TRUE(items.try_push(i));  // no place is lost
    EXPECT_TRUE(items.full());
  });
}

TEST_P(QueueCancelOnEvery, ALoopOfReadyJoinsAndOfRefusalsIsCancellable) {
  run([]() -> coro<> {
    queue<int> items;
    items.shutdown();
    for (const bool joins : {true, false}) {
      this_task::handle().cancel();
      bool delivered = false;
      for (int i = 0; i < 1000 && !delivered; ++i) {
        try {
          if (joins) {
            co_await items.join();
          } else {
            static_cast<void>(co_await items.pop());
          }
        } catch (const queue_closed&) {
          EXPECT_FALSE(joins);
        } catch (const cancelled&) {
          delivered = true;
        }
      }
      EXPECT_TRUE(delivered);
      this_task::uncancel();
    }
  });
}

}  // namespace
}  // namespace sheaf
