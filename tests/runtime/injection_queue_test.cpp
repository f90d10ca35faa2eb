#include "injection_queue.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/pool_items.hpp"

namespace sheaf::detail {
namespace {

using test::counted;
using test::numbered_items;

TEST(InjectionQueue, DrainsEverythingOldestFirst) {
  injection_queue queue;
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.drain().count, 0U);
  const auto items = numbered_items(5);
  for (std::size_t i = 0; i < 5; ++i) queue.push(items[i]);
  EXPECT_FALSE(queue.empty());
  work_chain chain = queue.drain();
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(chain.count, 5U);
  for (std::size_t i = 0; i < 5; ++i) {
    ASSERT_EQ(chain.first, &items[i]);
    chain.first = chain.first->next;
  }
  EXPECT_EQ(chain.first, nullptr);
}

TEST(InjectionQueue, TakesAChainWholeBehindWhatIsThere) {
  injection_queue queue;
  const auto items = numbered_items(5);
  for (std::size_t i = 1; i < 3; ++i) items[i].next = &items[i + 1];
  queue.push_chain({});
  EXPECT_TRUE(queue.empty());
  queue.push(items[0]);
  queue.push_chain({&items[1], 3});
  queue.push(items[4]);
  work_chain chain = queue.drain();
  EXPECT_EQ(chain.count, 5U);
  for (std::size_t i = 0; i < 5; ++i) {
    ASSERT_EQ(chain.first, &items[i]);
    chain.first = chain.first->next;
  }
  EXPECT_EQ(chain.first, nullptr);
}

TEST(InjectionQueue, KeepsEachProducersOrderWhileSeveralDrain) {
  constexpr std::size_t k_producers = 3, k_each = 30'000;
  injection_queue queue;
  std::unique_ptr<counted[]> items[k_producers];
  for (auto& mine : items) mine = numbered_items(k_each);
  std::atomic<std::size_t> drained{0};
  std::atomic<bool> in_order{true};

  const auto consume = [&] {
    while (drained.load() < k_producers * k_each) {
      std::size_t next_of[k_producers] = {};  // within one drain; an earlier drain of another consumer may be younger in time
      work_chain chain = queue.drain();
      for (std::size_t i = 0; i < chain.count; ++i) {
        auto* const item = static_cast<counted*>(std::exchange(chain.first, chain.first->next));
        for (std::size_t p = 0; p < k_producers; ++p) {
          if (item < items[p].get() || item >= items[p].get() + k_each) continue;
          if (item->number < next_of[p]) in_order.store(false);
          next_of[p] = item->number + 1;
        }
        item->run();
      }
      if (chain.first != nullptr) in_order.store(false);
      drained.fetch_add(chain.count);
    }
  };
  std::vector<std::thread> threads;
  for (std::size_t p = 0; p < k_producers; ++p) {
    threads.emplace_back([&, p] {
      for (std::size_t i = 0; i < k_each; ++i) queue.push(items[p][i]);
    });
  }
  threads.emplace_back(consume);
  consume();
  for (auto& thread : threads) thread.join();

  EXPECT_TRUE(in_order.load());
  EXPECT_TRUE(queue.empty());
  for (const auto& mine : items) {
    for (std::size_t i = 0; i < k_each; ++i) ASSERT_EQ(mine[i].runs(), 1);
  }
}

}  // namespace
}  // namespace sheaf::detail
