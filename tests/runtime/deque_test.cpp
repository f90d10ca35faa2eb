#include "deque.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

#include "runtime/pool_items.hpp"

namespace sheaf::detail {
namespace {

using test::counted;
using test::numbered_items;
using fifo = deque<deque_use::fifo>;
using lifo = deque<deque_use::lifo>;

template <class D>
concept can_pop = requires(D d) { d.pop(); };
template <class D>
concept can_steal_half = requires(D d, work_item** items) { d.steal_half(items, 1); };
static_assert(can_pop<lifo> && !can_pop<fifo>);
static_assert(can_steal_half<fifo> && !can_steal_half<lifo>);

std::size_t number_of(work_item* item) { return static_cast<counted*>(item)->number; }

class DequeShared : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(WithAndWithoutThieves, DequeShared, testing::Bool());

TEST_P(DequeShared, TakesOldestFirstAcrossGrowth) {
  fifo queue(GetParam(), 2);
  const auto items = numbered_items(1000);
  std::size_t pushed = 0, taken = 0;
  while (taken < 1000) {  // two in, one out: the ring wraps while it grows
    for (int i = 0; i < 2 && pushed < 1000; ++i) ASSERT_TRUE(queue.push(items[pushed++]));
    ASSERT_EQ(queue.take(), &items[taken++]);
  }
  EXPECT_EQ(queue.take(), nullptr);
  EXPECT_TRUE(queue.empty());
}

TEST_P(DequeShared, PopsNewestFirstAcrossGrowth) {
  lifo stack(GetParam(), 2);
  const auto items = numbered_items(1000);
  for (std::size_t i = 0; i < 1000; ++i) ASSERT_TRUE(stack.push(items[i]));
  for (std::size_t i = 1000; i-- > 0;) ASSERT_EQ(stack.pop(), &items[i]);
  EXPECT_EQ(stack.pop(), nullptr);
  ASSERT_TRUE(stack.push(items[7]));
  EXPECT_EQ(stack.pop(), &items[7]);
  EXPECT_TRUE(stack.empty());
}

TEST_P(DequeShared, PushesChainsAndArraysInOrder) {
  fifo queue(GetParam(), 2);
  const auto items = numbered_items(20);
  for (std::size_t i = 0; i < 9; ++i) items[i].next = &items[i + 1];
  work_item* first = &items[0];
  EXPECT_EQ(queue.push_chain(first, 10), 10U);
  EXPECT_EQ(first, nullptr);
  std::vector<work_item*> array;
  for (std::size_t i = 10; i < 20; ++i) array.push_back(&items[i]);
  EXPECT_EQ(queue.push_array(array.data(), array.size()), 10U);
  EXPECT_EQ(queue.push_array(array.data(), 0), 0U);
  for (std::size_t i = 0; i < 20; ++i) ASSERT_EQ(queue.take(), &items[i]);
  EXPECT_TRUE(queue.empty());
}

TEST(Deque, ThiefStealsTheOldest) {
  lifo stack(true);
  const auto items = numbered_items(3);
  for (std::size_t i = 0; i < 3; ++i) ASSERT_TRUE(stack.push(items[i]));
  work_item* stolen = nullptr;
  EXPECT_EQ(stack.steal(stolen), steal_result::got);
  EXPECT_EQ(stolen, &items[0]);
  EXPECT_EQ(stack.pop(), &items[2]);
  EXPECT_EQ(stack.pop(), &items[1]);
  EXPECT_EQ(stack.pop(), nullptr);
  EXPECT_EQ(stack.steal(stolen), steal_result::empty);
}

TEST(Deque, StealsTheOldestHalfRoundedUpWithinTheLimit) {
  fifo queue(true);
  const auto items = numbered_items(100);
  for (std::size_t i = 0; i < 100; ++i) ASSERT_TRUE(queue.push(items[i]));
  work_item* batch[64];
  EXPECT_EQ(queue.steal_half(batch, 32), 32U);
  for (std::size_t i = 0; i < 32; ++i) EXPECT_EQ(batch[i], &items[i]);
  EXPECT_EQ(queue.steal_half(batch, 64), 34U);  // of 68
  EXPECT_EQ(batch[0], &items[32]);
  for (std::size_t left = 34; left > 0; --left) ASSERT_NE(queue.take(), nullptr);
  EXPECT_EQ(queue.steal_half(batch, 64), 0U);
  ASSERT_TRUE(queue.push(items[0]));
  EXPECT_EQ(queue.steal_half(batch, 64), 1U);  // the only one
  EXPECT_EQ(batch[0], &items[0]);
}

// ---- owner against thieves; every payload must turn up exactly once

class DequeThieves : public testing::TestWithParam<int> {
 protected:
  static constexpr std::size_t k_items = 60'000;

  /// Runs `owner` beside thieves that call `steal` (returning how many it got) until the owner is done and nothing is left.
  template <class Owner, class Steal>
  void race(Owner owner, Steal steal) {
    std::atomic<bool> done{false};
    std::atomic<int> ready{0};
    std::vector<std::thread> thieves;
    for (int i = 0; i < GetParam(); ++i) {
      thieves.emplace_back([&] {
        ready.fetch_add(1);
        for (bool last = false;; last = done.load()) {
          if (steal() == 0 && last) break;
        }
      });
    }
    while (ready.load() != GetParam()) std::this_thread::yield();
    owner();
    done.store(true);
    for (auto& thief : thieves) thief.join();
  }

  void expect_each_once(const counted* items) {
    for (std::size_t i = 0; i < k_items; ++i) ASSERT_EQ(items[i].runs(), 1) << "item " << i;
  }
};
INSTANTIATE_TEST_SUITE_P(Count, DequeThieves, testing::Values(1, 2, 8));

TEST_P(DequeThieves, FifoOwnerTakesWhileThievesStealBatches) {
  fifo queue(true, 2);
  const auto items = numbered_items(k_items);
  std::atomic<bool> in_order{true};
  race(
      [&] {
        std::size_t last = 0;
        const auto consume = [&](work_item* item) {
          if (number_of(item) < last) in_order.store(false);
          last = number_of(item);
          item->run();
        };
        for (std::size_t i = 0; i < k_items; ++i) {
          while (!queue.push(items[i])) ADD_FAILURE() << "no memory";
          if (i % 3 == 0) {
            if (work_item* const item = queue.take()) consume(item);
          }
          if (i % 1024 == 0) {  // to the empty end, where owner and thieves meet
            while (work_item* const item = queue.take()) consume(item);
          }
        }
        while (work_item* const item = queue.take()) consume(item);
      },
      [&]() -> std::size_t {
        work_item* batch[16];
        const std::size_t got = queue.steal_half(batch, 16);
        for (std::size_t i = 0; i < got; ++i) {
          if (number_of(batch[i]) != number_of(batch[0]) + i) in_order.store(false);
          batch[i]->run();
        }
        return got;
      });
  EXPECT_TRUE(in_order.load());
  expect_each_once(items.get());
}

TEST_P(DequeThieves, FifoThievesMixSingleStealsAndBatches) {
  fifo queue(true, 2);
  const auto items = numbered_items(k_items);
  std::atomic<unsigned> calls{0};
  race(
      [&] {
        for (std::size_t i = 0; i < k_items; ++i) ASSERT_TRUE(queue.push(items[i]));
      },
      [&]() -> std::size_t {
        work_item* batch[4];
        if (calls.fetch_add(1) % 2 == 0) {
          if (queue.steal(batch[0]) != steal_result::got) return queue.empty() ? 0 : 1;
          batch[0]->run();
          return 1;
        }
        const std::size_t got = queue.steal_half(batch, 4);
        for (std::size_t i = 0; i < got; ++i) batch[i]->run();
        return got + (queue.empty() ? 0 : 1);
      });
  expect_each_once(items.get());
}

TEST_P(DequeThieves, LifoOwnerPushesAndPopsWhileThievesSteal) {
  lifo stack(true, 2);
  const auto items = numbered_items(k_items);
  race(
      [&] {
        std::size_t depth = 0;
        for (std::size_t i = 0; i < k_items; ++i) {
          ASSERT_TRUE(stack.push(items[i]));
          // Saw-tooth: mostly near the empty end, sometimes deep enough to grow.
          if (++depth > i % 97) {
            for (; depth > 0; --depth) {
              if (work_item* const item = stack.pop()) item->run();
            }
          }
        }
        while (work_item* const item = stack.pop()) item->run();
        EXPECT_TRUE(stack.empty());
      },
      [&]() -> std::size_t {
        work_item* item = nullptr;
        if (stack.steal(item) != steal_result::got) return 0;
        item->run();
        return 1;
      });
  expect_each_once(items.get());
}

TEST_P(DequeThieves, LifoOnlyItemIsPoppedOrStolenNeverBoth) {
  lifo stack(true, 2);
  const auto items = numbered_items(k_items);
  race(
      [&] {
        for (std::size_t i = 0; i < k_items; ++i) {
          ASSERT_TRUE(stack.push(items[i]));
          if (work_item* const item = stack.pop()) {
            ASSERT_EQ(item, &items[i]);  // the older ones are gone
            item->run();
          }
        }
      },
      [&]() -> std::size_t {
        work_item* item = nullptr;
        if (stack.steal(item) != steal_result::got) return 0;
        item->run();
        return 1;
      });
  expect_each_once(items.get());
}

}  // namespace
}  // namespace sheaf::detail
