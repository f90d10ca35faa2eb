/// Queues: order, room, and waiting.
#include <sheaf/queue.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sheaf/runtime.hpp>
#include <sheaf/this_task.hpp>

#include "support/children.hpp"
#include "support/flavour.hpp"
#include "support/notes.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using test::bystander;
using test::is_parked;
using test::notes;
using test::until_parked;

SHEAF_ON_EVERY_FLAVOUR(QueueOnEvery);

template <class Queue>
coro<typename Queue::value_type> take_from(Queue& from) {
  co_return co_await from.pop();
}
template <class Queue>
coro<> give_to(Queue& to, typename Queue::value_type item) {
  co_await to.push(std::move(item));
}

template <class Queue>
coro<std::string> order_of_132() {
  Queue items;
  for (const int each : {1, 3, 2}) co_await items.push(each);
  std::string order;
  while (!items.empty()) order += std::to_string(co_await items.pop());
  co_return order;
}

TEST_P(QueueOnEvery, Queue01_OldestNewestAndLeastFirst) {
  EXPECT_EQ(run(order_of_132<queue<int>>()), "132");
  EXPECT_EQ(run(order_of_132<lifo_queue<int>>()), "231");
  EXPECT_EQ(run(order_of_132<priority_queue<int>>()), "123");
  EXPECT_EQ((run(order_of_132<priority_queue<int, std::greater<int>>>())), "321");
}

struct by_first {
  bool operator()(const std::pair<int, char>& a, const std::pair<int, char>& b) const { return a.first < b.first; }
};

TEST(Queue, Queue01_OfEqualPrioritiesTheOnePushedFirstComesFirst) {
  priority_queue<std::pair<int, char>, by_first> items;
  for (const char mark : {'a', 'b', 'c', 'd', 'e'}) EXPECT_TRUE(items.try_push(std::pair(mark == 'c' ? 0 : 1, mark)));
  std::string order;
  while (const auto item = items.try_pop()) order += item->second;
  EXPECT_EQ(order, "cabde");
}

TEST(Queue, Queue02_EmptyFullAndTheAttempts) {
  queue<int> two(2);
  EXPECT_TRUE(two.empty());
  EXPECT_FALSE(two.full());
  EXPECT_FALSE(two.try_pop().has_value());
  EXPECT_TRUE(two.try_push(1));
  EXPECT_FALSE(two.empty());
  EXPECT_FALSE(two.full());
  EXPECT_TRUE(two.try_push(2));
  EXPECT_TRUE(two.full());
  EXPECT_EQ(two.size(), 2U);
  EXPECT_FALSE(two.try_push(3));
  EXPECT_EQ(two.try_pop(), 1);
  EXPECT_FALSE(two.full());
}

TEST(Queue, Queue02_AMaximumOfZeroOrLessIsNone) {
  for (const int max : {0, -1, -100}) {
    lifo_queue<int> endless(max);
    for (int i = 0; i < 1000; ++i) EXPECT_TRUE(endless.try_push(i));
    EXPECT_FALSE(endless.full());
    EXPECT_EQ(endless.size(), 1000U);
    EXPECT_EQ(endless.try_pop(), 999);
  }
}

TEST(Queue, Queue02_ARefusedAttemptLeavesTheItemAsItWas) {
  queue<std::unique_ptr<int>> one(1);
  EXPECT_TRUE(one.try_push(std::make_unique<int>(1)));
  auto second = std::make_unique<int>(2);
  EXPECT_FALSE(one.try_push(std::move(second)));
  ASSERT_NE(second, nullptr);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(**one.try_pop(), 1);
}

TEST_P(QueueOnEvery, Queue03_APushIntoAFullQueueWaitsForOnePop) {
  run([]() -> coro<> {
    queue<int> one(1);
    co_await one.push(1);
    const task<> putter = spawn(give_to<queue<int>>, std::ref(one), 2);
    co_await until_parked(putter);
    EXPECT_TRUE(one.full());
    EXPECT_EQ(one.size(), 1U);
    EXPECT_FALSE(one.try_push(3));
    EXPECT_EQ(co_await one.pop(), 1);
    co_await putter;
    EXPECT_EQ(one.size(), 1U);
    EXPECT_EQ(co_await one.pop(), 2);
  });
}

TEST_P(QueueOnEvery, Queue03_APushThatNeedNotWaitDoesNotSuspend) {
  run([this]() -> coro<> {
    queue<int> endless;
    queue<int> roomy(10);
    const bystander other;
    for (int i = 0; i < 10; ++i) {
      co_await endless.push(i);
      co_await roomy.push(i);
    }
    if (one_thread()) {
      EXPECT_FALSE(other.has_run());
    }
    co_await other.done();
  });
}

TEST_P(QueueOnEvery, Queue04_APopOfAnEmptyQueueWaitsForTheNextItem) {
  run([]() -> coro<> {
    queue<int> items;
    const task<int> getter = spawn(take_from<queue<int>>, std::ref(items));
    co_await until_parked(getter);
    co_await items.push(7);
    EXPECT_TRUE(items.empty());  // it has been handed over
    EXPECT_EQ(co_await getter, 7);
  });
}

TEST_P(QueueOnEvery, Queue04_APopThatNeedNotWaitDoesNotSuspend) {
  run([this]() -> coro<> {
    queue<int> items;
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(items.try_push(i));
    const bystander other;
    for (int i = 0; i < 10; ++i) EXPECT_EQ(co_await items.pop(), i);
    if (one_thread()) {
      EXPECT_FALSE(other.has_run());
    }
    co_await other.done();
  });
}

TEST_P(QueueOnEvery, Queue04_ItemsGoToThoseWhoWaitInTheirOrder) {
  run([]() -> coro<> {
    queue<int> items;
    std::vector<task<int>> getters;
    for (int i = 0; i < 5; ++i) {
      getters.push_back(spawn(take_from<queue<int>>, std::ref(items)));
      co_await until_parked(getters.back());
    }
    for (int i = 0; i < 5; ++i) co_await items.push(i);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(co_await getters[i], i);
  });
}

TEST_P(QueueOnEvery, Queue05_APopAdmitsExactlyOnePutter) {
  run([]() -> coro<> {
    queue<int> one(1);
    co_await one.push(1);
    const task<> second = spawn(give_to<queue<int>>, std::ref(one), 2);
    co_await until_parked(second);
    const task<> third = spawn(give_to<queue<int>>, std::ref(one), 3);
    co_await until_parked(third);
    EXPECT_EQ(co_await one.pop(), 1);
    co_await second;
    EXPECT_TRUE(is_parked(third));
    EXPECT_TRUE(one.full());
    EXPECT_EQ(co_await one.pop(), 2);
    co_await third;
    EXPECT_EQ(co_await one.pop(), 3);
  });
}

TEST_P(QueueOnEvery, Queue05_ProducerAndConsumerOverOnePlaceBothFinish) {
  run([]() -> coro<> {
    queue<int> one(1);
    const task<> producer = spawn(
        [](queue<int>& to) -> coro<> {
          for (int i = 0; i < 1000; ++i) co_await to.push(i);
        },
        std::ref(one));
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(co_await one.pop(), i);
    co_await producer;
    EXPECT_TRUE(one.empty());
  });
}

/// Two putters are admitted one after the other and may resume in any order, on two workers.
TEST_P(QueueOnEvery, Queue05_ItemsOfWaitingPuttersComeInTheOrderOfTheirWaiting) {
  run([]() -> coro<> {
    for (int round = 0; round < 50; ++round) {
      queue<int> two(2);
      co_await two.push(0);
      co_await two.push(1);
      std::vector<task<>> putters;
      for (int i = 2; i < 10; ++i) {
        putters.push_back(spawn(give_to<queue<int>>, std::ref(two), i));
        co_await until_parked(putters.back());
      }
      for (int i = 0; i < 10; ++i) EXPECT_EQ(co_await two.pop(), i);
      for (task<>& each : putters) co_await std::move(each);
    }
  });
}

TEST_P(QueueOnEvery, NobodyOvertakesThoseWhoWait) {
  queue<int> one(1);
  const auto held = clock().hold();
  EXPECT_TRUE(one.try_push(1));
  const task<> putter = rt().spawn(give_to<queue<int>>, std::ref(one), 2);
  run([putter]() -> coro<> { co_await until_parked(putter); });
  const test::gate release;
  occupy(release);
  EXPECT_EQ(one.try_pop(), 1);
  EXPECT_FALSE(one.try_push(3));  // the place is the putter's, who has not run yet
  EXPECT_TRUE(one.full());
  EXPECT_TRUE(one.empty());
  EXPECT_FALSE(one.try_pop().has_value());
  release.open();
  putter.get();
  EXPECT_EQ(one.try_pop(), 2);
}

TEST_P(QueueOnEvery, OperationsHaveGetOnAPlainThread) {
  const auto held = clock().hold();
  const auto current = rt().enter();
  queue<std::string> items(1);
  items.push("one").get();
  std::thread consumer([&] {
    const auto here = rt().enter();
    for (const char* expected : {"one", "two"}) {
      EXPECT_EQ(items.pop().get(), expected);
      items.task_done();
    }
  });
  items.push("two").get();
  items.join().get();
  consumer.join();
  EXPECT_TRUE(items.empty());
}

}  // namespace
}  // namespace sheaf
