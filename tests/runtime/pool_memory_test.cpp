/// The pool when there is no memory: nothing is lost and nothing leaks. Replaces the global allocation functions of its program,
/// with the same behaviour unless a test asks for failures. Empty where they cannot be replaced.
#include "support/replaced_new.hpp"

#ifndef SHEAF_TEST_FIXED_ALLOCATION

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iterator>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include "deque.hpp"
#include "pool.hpp"
#include "runtime/pool_items.hpp"
#include "support/until.hpp"

namespace {
/// This thread's allocations by the nothrow form until the first failure; negative: none fails.
thread_local long allowed = -1;
}  // namespace

void* sheaf::test::take_memory(std::size_t size, form asked) noexcept {
  if (asked == form::nothrow) {
    if (allowed == 0) return nullptr;
    if (allowed > 0) --allowed;
  }
  return std::malloc(size != 0 ? size : 1);
}

namespace sheaf::detail {
namespace {

using test::action;
using test::gate;
using test::numbered_items;

class no_memory {
 public:
  explicit no_memory(long until_failure = 0) { allowed = until_failure; }
  ~no_memory() { allowed = -1; }
};

std::size_t threads_of_this_process() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

TEST(DequeWithoutMemory, PushSaysSoAndChangesNothing) {
  const auto items = numbered_items(6);
  deque<deque_use::fifo> queue(true, 2);
  ASSERT_TRUE(queue.push(items[0]));
  for (std::size_t i = 1; i < 5; ++i) items[i].next = &items[i + 1];
  work_item* rest = &items[1];
  {
    const no_memory here;
    EXPECT_EQ(queue.push_chain(rest, 5), 1U);
    EXPECT_EQ(rest, &items[2]);
    EXPECT_FALSE(queue.push(items[2]));
    EXPECT_EQ(queue.push_chain(rest, 4), 0U);
  }
  EXPECT_EQ(queue.push_chain(rest, 4), 4U);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(queue.take(), &items[i]);
}

TEST(DequeWithoutMemory, ConstructionThrows) {
  const no_memory here;
  EXPECT_THROW(deque<deque_use::lifo>{true}, std::bad_alloc);
}

TEST(PoolWithoutMemory, PostsAreNotLost) {
  constexpr std::size_t k_items = 5000;
  for (const unsigned workers : {1U, 4U}) {
    const auto items = numbered_items(k_items);
    pool p({.workers = workers});
    action poster([&] {
      const no_memory here;
      const auto third = k_items / 3;
      for (std::size_t i = 0; i < third; ++i) p.post(items[i]);
      for (std::size_t i = third; i < 2 * third; ++i) p.post_newest(items[i]);
      for (std::size_t i = 2 * third; i + 1 < k_items; ++i) items[i].next = &items[i + 1];
      p.post_chain(&items[2 * third], k_items - 2 * third);
    });
    p.post(poster);
    p.stop();
    for (std::size_t i = 0; i < k_items; ++i) ASSERT_EQ(items[i].runs(), 1);
  }
}

TEST(PoolWithoutMemory, TheOldestForksMakeRoom) {
  constexpr std::size_t k_items = 1000, k_capacity = deque<deque_use::lifo>::k_initial_capacity;
  const auto items = numbered_items(k_items);
  pool p({.workers = 1});
  action forker([&] {
    worker& seat = *context().seat;
    const no_memory here;
    for (std::size_t i = 0; i < k_items; ++i) p.push_fork(seat, items[i]);
    for (std::size_t i = k_items; i-- > k_items - k_capacity;) {
      work_item* const newest = p.pop_fork(seat);
      ASSERT_EQ(newest, &items[i]);
      newest->run();
    }
    EXPECT_EQ(p.pop_fork(seat), nullptr);
  });
  p.post(forker);
  p.stop();
  for (std::size_t i = 0; i < k_items; ++i) ASSERT_EQ(items[i].runs(), 1);
}

TEST(PoolWithoutMemory, ConstructionThrowsAndLeavesNoThread) {
  std::thread([] {}).join();  // g++'s ThreadSanitizer starts a thread of its own beside the first one
  const std::size_t threads_before = threads_of_this_process();
  constexpr unsigned k_workers = 4;
  long failures = 0;
  for (bool made = false; !made; ++failures) {
    const no_memory after(failures);
    try {
      const pool p({.workers = k_workers});
      made = true;
    } catch (const std::exception&) {
      test::spin_until(
          [&] { return threads_of_this_process() == threads_before; });  // joined, a thread is listed for a moment yet
    }
  }
  EXPECT_GT(failures, static_cast<long>(k_workers)) << "failing thread starts were among them";
}

TEST(PoolWithoutMemory, NoThreadToBeHadIsNoSpare) {
  pool p({.workers = 1});
  gate done;
  action blocker([&] {
    sync::parker until;
    {
      const no_memory here;
      EXPECT_EQ(p.block(until), pool::block_result::would_deadlock);
      EXPECT_TRUE(p.owns(context().seat));
    }
    action signaller([&] { until.signal(); });
    p.post(signaller);
    EXPECT_EQ(p.block(until), pool::block_result::signalled);
    done.open();
  });
  p.post(blocker);
  done.wait();
  EXPECT_EQ(p.read_metrics().spares, 1U);
}

}  // namespace
}  // namespace sheaf::detail

#endif
