/// Queues: items of every kind, and those that throw when they are moved or compared.
#include <sheaf/queue.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <utility>
#include <vector>

#include <sheaf/runtime.hpp>

#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using test::drop_counter;
using test::until_parked;

SHEAF_ON_EVERY_FLAVOUR(QueueItemOnEvery);

template <class Queue>
coro<> give_to(Queue& to, typename Queue::value_type item) {
  co_await to.push(std::move(item));
}

TEST_P(QueueItemOnEvery, Queue14_ItemsMayBeMoveOnlyAndWithoutADefault) {
  drop_counter drops;
  run([&]() -> coro<> {
    queue<drop_counter::payload> items(2);
    co_await items.push(drops.make(1));
    co_await items.push(drops.make(2));
    const task<> putter = spawn(give_to<queue<drop_counter::payload>>, std::ref(items), drops.make(3));
    co_await until_parked(putter);
    for (int i = 1; i <= 3; ++i) {
      const drop_counter::payload got = co_await items.pop();
      EXPECT_EQ(got.value(), i);
      EXPECT_TRUE(got);
    }
    co_await putter;
    co_await items.push(drops.make(4));  // destroyed with the queue
    {
      auto dropped = items.push(drops.make(5));  // never awaited
    }
    EXPECT_EQ(items.size(), 1U);
  });
  EXPECT_EQ(drops.alive(), 0);
  EXPECT_EQ(drops.drops(), 5);
}

struct alignas(64) wide {
  int value;
};

TEST(QueueItem, Queue14_ItemsMayBeOverAligned) {
  queue<wide> items;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(items.try_push(wide{i}));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(items.try_pop()->value, i);
}

/// Throws when it is moved for the `fuse`-th time.
struct fragile {
  explicit fragile(int v, int* f) : value(v), fuse(f) {}
  fragile(fragile&& other) : value(other.value), fuse(other.fuse) {
    if (fuse != nullptr && --*fuse == 0) throw std::runtime_error("move");
  }
  bool operator<(const fragile& other) const { return value < other.value; }
  int value;
  int* fuse;
};

template <class Queue>
coro<> lose_one_to_its_move() {
  Queue items;
  int fuse = 0;
  for (const int each : {1, 2, 3}) co_await items.push(fragile(each, &fuse));
  fuse = 1;
  EXPECT_THROW(static_cast<void>(co_await items.push(fragile(4, &fuse))), std::runtime_error);
  fuse = 1;
  EXPECT_THROW(static_cast<void>(items.try_push(fragile(5, &fuse))), std::runtime_error);
  EXPECT_EQ(items.size(), 3U);
  fuse = 1;
  EXPECT_THROW(static_cast<void>(co_await items.pop()), std::runtime_error);
  fuse = 1;
  EXPECT_THROW(static_cast<void>(items.try_pop()), std::runtime_error);
  EXPECT_EQ(items.size(), 1U);
  const fragile left = co_await items.pop();
  EXPECT_GT(left.value, 0);
  items.task_done();
  co_await items.join();  // the lost ones count as done
  co_await items.push(fragile(6, nullptr));
  EXPECT_EQ(items.try_pop()->value, 6);
}

TEST_P(QueueItemOnEvery, AnItemWhoseMoveThrowsTakesNothingElseWithIt) {
  run(lose_one_to_its_move<queue<fragile>>());
  run(lose_one_to_its_move<lifo_queue<fragile>>());
  run(lose_one_to_its_move<priority_queue<fragile>>());
}

/// An attempt that fails on its item gives the place it had taken to who waits.
TEST_P(QueueItemOnEvery, AnAttemptThatFailsKeepsNoPlace) {
  run([]() -> coro<> {
    queue<fragile> one(1);
    int fuse = 1;
    EXPECT_THROW(static_cast<void>(one.try_push(fragile(1, &fuse))), std::runtime_error);
    EXPECT_FALSE(one.full());
    co_await one.push(fragile(2, nullptr));
    EXPECT_TRUE(one.full());
  });
}

struct refuses {
  bool* now;
  bool operator()(int a, int b) const {
    if (*now) throw std::runtime_error("compare");
    return a < b;
  }
};

TEST_P(QueueItemOnEvery, AComparisonThatThrowsLeavesThePriorityQueueWhole) {
  run([]() -> coro<> {
    bool throws = false;
    priority_queue<int, refuses> items(4, refuses{&throws});
    for (const int each : {5, 3, 4}) co_await items.push(each);
    throws = true;
    EXPECT_THROW(co_await items.push(1), std::runtime_error);
    EXPECT_THROW(static_cast<void>(items.try_push(1)), std::runtime_error);
    EXPECT_THROW(static_cast<void>(co_await items.pop()), std::runtime_error);
    EXPECT_THROW(static_cast<void>(items.try_pop()), std::runtime_error);
    EXPECT_EQ(items.size(), 3U);
    throws = false;
    EXPECT_TRUE(items.try_push(2));
    EXPECT_TRUE(items.full());
    for (const int each : {2, 3, 4, 5}) EXPECT_EQ(co_await items.pop(), each);
  });
}

/// Two putters are admitted, and their items cannot be compared when they resume: the error is theirs, the places are given up.
TEST_P(QueueItemOnEvery, AComparisonThatThrowsInAnAdmittedPutterGivesThePlaceUp) {
  bool throws = false;
  using numbers = priority_queue<int, refuses>;
  numbers two(2, refuses{&throws});
  const auto held = clock().hold();
  for (const int each : {1, 2}) EXPECT_TRUE(two.try_push(each));
  std::vector<task<>> putters;
  for (const int each : {3, 4}) {
    putters.push_back(rt().spawn(give_to<numbers>, std::ref(two), each));
    run([putter = putters.back()]() -> coro<> { co_await until_parked(putter); });
  }
  const test::gate release;
  occupy(release);
  EXPECT_EQ(two.try_pop(), 1);
  throws = true;
  release.open();
  for (const task<>& each : putters) EXPECT_THROW(each.get(), std::runtime_error);
  throws = false;
  EXPECT_EQ(two.size(), 1U);
  EXPECT_TRUE(two.try_push(0));
  EXPECT_TRUE(two.full());
  EXPECT_EQ(two.try_pop(), 0);
  EXPECT_EQ(two.try_pop(), 2);
}

}  // namespace
}  // namespace sheaf
