/// Where the items of a queue lie: order, items that come back, comparisons that throw.
#include <sheaf/detail/queue_store.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <random>
#include <stdexcept>
#include <vector>

namespace sheaf::detail {
namespace {

constexpr std::uint64_t k_any = UINT64_MAX;

struct valued : queue_node {
  valued(std::uint64_t at, int v) : value(v) { number = at; }
  int value;
};

class int_heap final : public queue_heap {
 public:
  mutable std::size_t comparisons = 0;
  std::size_t throw_after = SIZE_MAX;

 private:
  bool less(const queue_node& a, const queue_node& b) const override {
    if (comparisons == throw_after) throw std::runtime_error("comparison");
    ++comparisons;
    return static_cast<const valued&>(a).value < static_cast<const valued&>(b).value;
  }
};

std::vector<std::uint64_t> numbers_of(queue_store& store) {
  std::vector<std::uint64_t> numbers;
  while (const queue_node* const node = store.take(k_any)) numbers.push_back(node->number);
  return numbers;
}

std::size_t length(const queue_node* all) {
  std::size_t count = 0;
  for (; all != nullptr; all = all->next) ++count;
  return count;
}

template <class Line>
void put_all(Line& line, std::deque<valued>& nodes, const std::vector<std::uint64_t>& order) {
  for (const std::uint64_t number : order) line.put(nodes.emplace_back(number, 0));
}

TEST(QueueLine, IsSortedByNumberWhateverTheOrderOfArrival) {
  std::vector<std::uint64_t> order{0, 1, 2, 3, 4};
  do {
    std::deque<valued> nodes;
    fifo_line oldest_first;
    put_all(oldest_first, nodes, order);
    EXPECT_EQ(numbers_of(oldest_first), (std::vector<std::uint64_t>{0, 1, 2, 3, 4}));
    lifo_line newest_first;
    put_all(newest_first, nodes, order);
    EXPECT_EQ(numbers_of(newest_first), (std::vector<std::uint64_t>{4, 3, 2, 1, 0}));
  } while (std::ranges::next_permutation(order).found);
}

TEST(QueueLine, NothingGoesAheadOfAnEarlierNumber) {
  std::deque<valued> nodes;
  fifo_line line;
  put_all(line, nodes, {2, 4});
  EXPECT_EQ(line.take(1), nullptr);
  EXPECT_EQ(line.take(3)->number, 2U);
  EXPECT_EQ(line.take(3), nullptr);
  EXPECT_EQ(line.take(k_any)->number, 4U);
}

TEST(QueueLine, GivesUpAllAtOnce) {
  std::deque<valued> nodes;
  lifo_line line;
  put_all(line, nodes, {1, 2, 3});
  EXPECT_EQ(length(line.take_all()), 3U);
  EXPECT_EQ(line.take(k_any), nullptr);
  EXPECT_EQ(line.take_all(), nullptr);
}

TEST(QueueHeap, GivesTheLeastFirstAndEqualOnesInOrder) {
  std::mt19937 random(1);
  for (int round = 0; round < 50; ++round) {
    std::deque<valued> nodes;
    int_heap heap;
    std::vector<const valued*> inside;
    for (std::uint64_t step = 0; step < 300; ++step) {
      if (inside.empty() || random() % 3 != 0) {
        valued& made = nodes.emplace_back(step, static_cast<int>(random() % 20));
        heap.put(made);
        inside.push_back(&made);
        continue;
      }
      const auto least = std::ranges::min_element(inside, [](const valued* a, const valued* b) {
        return a->value != b->value ? a->value < b->value : a->number < b->number;
      });
      queue_node* const taken = heap.take(k_any);
      ASSERT_EQ(taken, *least);
      if (random() % 4 == 0) {
        heap.put_back(*taken);  // and it is the next one again
        ASSERT_EQ(heap.take(k_any), taken);
      }
      inside.erase(least);
    }
    EXPECT_EQ(length(heap.take_all()), inside.size());
  }
}

TEST(QueueHeap, NoOperationMakesManyComparisons) {
  for (const bool rising : {true, false}) {
    constexpr int k_items = 1 << 12;
    std::deque<valued> nodes;
    int_heap heap;
    std::size_t most = 0;
    const auto counted = [&](auto operation) {
      heap.comparisons = 0;
      operation();
      most = std::max(most, heap.comparisons);
    };
    for (int i = 0; i < k_items; ++i) {
      valued& made = nodes.emplace_back(static_cast<std::uint64_t>(i), rising ? i : -i);
      counted([&] { heap.put(made); });
    }
    for (int i = 0; i < k_items; ++i) counted([&] { ASSERT_NE(heap.take(k_any), nullptr); });
    EXPECT_LE(most, 2U * 13U);
  }
}

/// N2: a comparison may throw at any point of any operation; the operation has no effect then.
TEST(QueueHeap, AComparisonThatThrowsChangesNothing) {
  for (std::size_t point = 0; point < 200; ++point) {
    std::mt19937 random(7);
    std::deque<valued> nodes;
    int_heap heap;
    heap.throw_after = point;
    std::vector<int> inside;
    for (std::uint64_t step = 0; step < 40; ++step) {
      valued& made = nodes.emplace_back(step, static_cast<int>(random() % 10));
      try {
        heap.put(made);
      } catch (const std::runtime_error&) {
        heap.throw_after = SIZE_MAX;
        heap.put(made);
      }
      inside.push_back(made.value);
    }
    std::ranges::sort(inside);
    for (const int expected : inside) {
      queue_node* taken = nullptr;
      try {
        taken = heap.take(k_any);
      } catch (const std::runtime_error&) {
        heap.throw_after = SIZE_MAX;
        taken = heap.take(k_any);
      }
      ASSERT_NE(taken, nullptr);
      EXPECT_EQ(static_cast<const valued*>(taken)->value, expected);
    }
    EXPECT_EQ(heap.take(k_any), nullptr);
  }
}

TEST(QueueHeap, WhatCannotBeComparedOnItsWayBackIsSortedInLater) {
  std::deque<valued> nodes;
  int_heap heap;
  for (const int value : {3, 1, 2}) heap.put(nodes.emplace_back(nodes.size(), value));
  queue_node* const least = heap.take(k_any);
  queue_node* const second = heap.take(k_any);
  heap.throw_after = heap.comparisons;
  heap.put_back(*second);
  heap.put_back(*least);
  EXPECT_THROW(heap.take(k_any), std::runtime_error);
  heap.throw_after = SIZE_MAX;
  EXPECT_EQ(heap.take(k_any), least);
  heap.throw_after = heap.comparisons;
  heap.put_back(*least);
  EXPECT_EQ(length(heap.take_all()), 3U);
}

}  // namespace
}  // namespace sheaf::detail
