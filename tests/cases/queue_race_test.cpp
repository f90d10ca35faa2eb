/// Queues under contention: every payload comes out once or is destroyed once, whoever is cancelled and whenever the queue ends.
#include <sheaf/queue.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include <sheaf/runtime.hpp>
#include <sheaf/this_task.hpp>

#include "support/children.hpp"
#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using test::drop_counter;
using test::join;
using test::racing_threads;
using test::until_complete;

SHEAF_ON_NATIVE_POOLS(QueueOnPools);

constexpr int k_rounds = 300;

template <class Queue>
coro<int> take_from(Queue& from) {
  const auto got = co_await from.pop();
  from.task_done();
  co_return got.value();
}
template <class Queue>
coro<> give_to(Queue& to, drop_counter::payload item) {
  co_await to.push(std::move(item));
}

struct by_value {
  bool operator()(const drop_counter::payload& a, const drop_counter::payload& b) const { return a.value() < b.value(); }
};
using payloads = queue<drop_counter::payload>;

/// A hand-over against a cancel: the item is the getter's or still there.
template <class Queue>
void push_against_cancel(runtime& rt) {
  drop_counter drops;
  for (int round = 0; round < k_rounds; ++round) {
    Queue items;
    const task<int> first = rt.spawn(take_from<Queue>, std::ref(items));
    const task<int> second = rt.spawn(take_from<Queue>, std::ref(items));
    {
      racing_threads both;
      both.add([&] { EXPECT_TRUE(items.try_push(drops.make(round))); });
      both.add([&] { first.cancel(); });
      both.go();
    }
    rt.run(join(first));
    if (first.cancelled()) {
      EXPECT_EQ(second.get(), round);
    } else {
      EXPECT_EQ(first.get() + (items.try_push(drops.make(1)) ? second.get() : 0), round + 1);
    }
    EXPECT_TRUE(items.empty());
    EXPECT_FALSE(items.try_pop().has_value());
  }
  EXPECT_EQ(drops.alive(), 0);
}

TEST_P(QueueOnPools, Queue07_APushAgainstTheCancelOfItsGetter) {
  push_against_cancel<payloads>(rt());
  push_against_cancel<lifo_queue<drop_counter::payload>>(rt());
  push_against_cancel<priority_queue<drop_counter::payload, by_value>>(rt());
}

/// A place that becomes free against the cancel of the putter it goes to.
TEST_P(QueueOnPools, Queue08_APopAgainstTheCancelOfAPutter) {
  drop_counter drops;
  for (int round = 0; round < k_rounds; ++round) {
    payloads one(1);
    EXPECT_TRUE(one.try_push(drops.make(1)));
    const task<> second = rt().spawn(give_to<payloads>, std::ref(one), drops.make(2));
    run([second]() -> coro<> { co_await test::until_parked(second); });
    const task<> third = rt().spawn(give_to<payloads>, std::ref(one), drops.make(3));
    {
      racing_threads both;
      both.add([&] { EXPECT_EQ(one.try_pop()->value(), 1); });
      both.add([&] { second.cancel(); });
      both.go();
    }
    run(join(second));
    if (!second.cancelled()) {
      EXPECT_EQ(one.try_pop()->value(), 2);
    }
    third.get();
    EXPECT_EQ(one.try_pop()->value(), 3);
    EXPECT_TRUE(one.empty());
    EXPECT_FALSE(one.full());
  }
  EXPECT_EQ(drops.alive(), 0);
}

/// Many of each over few places, and somebody cancels at random: what was pushed is what was popped and what is left.
TEST_P(QueueOnPools, ProducersConsumersAndCancelsLoseAndDoubleNothing) {
  drop_counter drops;
  payloads few(3);
  std::atomic<int> pushed{0}, popped{0};
  constexpr int k_tasks = 60, k_each = 40;
  const auto produce = [](payloads& to, drop_counter& drops, std::atomic<int>& pushed) -> coro<> {
    for (int i = 0; i < k_each; ++i) {
      co_await to.push(drops.make(i));
      pushed.fetch_add(1);
    }
  };
  const auto consume = [](payloads& from, std::atomic<int>& popped) -> coro<> {
    for (;;) {
      const drop_counter::payload got = co_await from.pop();
      EXPECT_TRUE(got);
      popped.fetch_add(1);
      from.task_done();
    }
  };
  std::vector<task<>> producers, consumers;
  for (int i = 0; i < k_tasks; ++i) {
    producers.push_back(rt().spawn(produce, std::ref(few), std::ref(drops), std::ref(pushed)));
    consumers.push_back(rt().spawn(consume, std::ref(few), std::ref(popped)));
  }
  for (int i = 0; i < k_tasks; i += 3) {
    producers[i].cancel();
    consumers[i].cancel();
  }
  for (const task<>& each : producers) run(join(each));
  run([&]() -> coro<> { co_await few.join(); });
  few.shutdown();
  for (const task<>& each : consumers) run(join(each));
  EXPECT_EQ(pushed.load(), popped.load());
  EXPECT_EQ(drops.alive(), 0);
  EXPECT_FALSE(few.full());
}

/// The queue ends in the middle: what entered comes out, or is dropped; whoever waits is told.
template <class Queue>
void shutdown_against_all(runtime& rt, bool immediate) {
  drop_counter drops;
  for (int round = 0; round < k_rounds / 6; ++round) {
    Queue few(2);
    std::atomic<int> pushed{0}, popped{0};
    const auto produce = [](Queue& to, drop_counter& drops, std::atomic<int>& pushed) -> coro<> {
      for (int i = 0;; ++i) {
        co_await to.push(drops.make(i));
        pushed.fetch_add(1);
      }
    };
    const auto consume = [](Queue& from, std::atomic<int>& popped) -> coro<> {
      for (;;) {
        const auto got = co_await from.pop();
        popped.fetch_add(1);
        from.task_done();
      }
    };
    std::vector<task<>> all;
    for (int i = 0; i < 3; ++i) {
      all.push_back(rt.spawn(produce, std::ref(few), std::ref(drops), std::ref(pushed)));
      all.push_back(rt.spawn(consume, std::ref(few), std::ref(popped)));
    }
    test::spin_until([&] { return popped.load() > round; });
    {
      racing_threads some;
      some.add([&] { few.shutdown(immediate); });
      some.add([&] { all[round % 6].cancel(); });
      some.add([&] {
        try {
          if (few.try_push(drops.make(0))) pushed.fetch_add(1);
        } catch (const queue_closed&) {
        }
      });
      some.add([&] {
        try {
          if (few.try_pop().has_value()) {
            popped.fetch_add(1);
            few.task_done();
          }
        } catch (const queue_closed&) {
        }
      });
      some.go();
    }
    for (const task<>& each : all) {
      rt.run(join(each));
      EXPECT_TRUE(each.status() == task_status::failed || each.cancelled());
    }
    rt.run([&]() -> coro<> { co_await few.join(); });
    EXPECT_TRUE(few.empty());
    EXPECT_THROW(few.task_done(), invalid_state);
    if (immediate) {
      EXPECT_GE(pushed.load(), popped.load());
    } else {
      EXPECT_EQ(pushed.load(), popped.load());
    }
    EXPECT_EQ(drops.alive(), 0);
  }
}

TEST_P(QueueOnPools, Queue11_ShutdownAgainstPushesPopsAndCancels) {
  shutdown_against_all<payloads>(rt(), false);
  shutdown_against_all<lifo_queue<drop_counter::payload>>(rt(), false);
  shutdown_against_all<priority_queue<drop_counter::payload, by_value>>(rt(), false);
}

TEST_P(QueueOnPools, Queue13_ImmediateShutdownAgainstPushesPopsAndCancels) {
  shutdown_against_all<payloads>(rt(), true);
  shutdown_against_all<lifo_queue<drop_counter::payload>>(rt(), true);
  shutdown_against_all<priority_queue<drop_counter::payload, by_value>>(rt(), true);
}

/// Each producer's items come out in its order, and those of one consumer of many producers too.
TEST_P(QueueOnPools, Queue01_EachProducersOrderIsKept) {
  constexpr int k_producers = 8, k_each = 300;
  queue<std::pair<int, int>> few(4);
  const auto produce = [](queue<std::pair<int, int>>& to, int who) -> coro<> {
    for (int i = 0; i < k_each; ++i) co_await to.push(std::pair(who, i));
  };
  std::vector<task<>> producers;
  for (int who = 0; who < k_producers; ++who) producers.push_back(rt().spawn(produce, std::ref(few), who));
  run([&]() -> coro<> {
    std::vector<int> next(k_producers, 0);
    for (int i = 0; i < k_producers * k_each; ++i) {
      const auto [who, number] = co_await few.pop();
      EXPECT_EQ(number, next[who]++);
    }
  });
  for (const task<>& each : producers) each.get();
}

}  // namespace
}  // namespace sheaf
