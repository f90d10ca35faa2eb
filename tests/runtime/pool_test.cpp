/// Posting, order, fairness and parking. Waiting and hand-over are in pool_block_test.cpp.
#include "pool.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

#include "runtime/pool_items.hpp"

namespace sheaf::detail {
namespace {

using test::action;
using test::counted;
using test::gate;
using test::numbered_items;
using test::run_on;

pool_options with_workers(unsigned workers) { return {.workers = workers}; }

/// Keeps every worker but one inside an item, so that only that one takes from the queues.
class all_but_one_held {
 public:
  explicit all_but_one_held(pool& p) : held_(p.workers() - 1), gone_(p.workers() - 1) {
    for (unsigned i = 1; i < p.workers(); ++i) {
      holds_.emplace_back([this] {
        held_.count_down();
        release_.wait();
        gone_.count_down();
      });
      p.post(holds_.back());
    }
    held_.wait();
  }
  ~all_but_one_held() {
    release_.open();
    gone_.wait();
  }

 private:
  gate release_;
  std::latch held_, gone_;
  std::deque<action<std::function<void()>>> holds_;
};

// ---- exactly once

/// Every run posts two more in a different way each, down to `depth`.
class tree_item : public work_item {
 public:
  tree_item(pool& p, std::atomic<std::size_t>& left, unsigned depth)
      : work_item(&run_this), pool_(p), left_(left), depth_(depth) {}

 private:
  static void run_this(work_item& item) noexcept {
    auto& self = static_cast<tree_item&>(item);
    if (self.depth_ > 0) {
      for (unsigned i = 0; i < 2; ++i) self.post(*new tree_item(self.pool_, self.left_, self.depth_ - 1), self.depth_ * 2 + i);
    }
    auto& left = self.left_;
    delete &self;
    left.fetch_sub(1);
  }
  void post(tree_item& child, unsigned how) {
    worker* const seat = context().seat;
    ASSERT_TRUE(pool_.owns(seat));
    switch (how % 5) {
      case 0:
        pool_.post(child);
        break;
      case 1:
        pool_.post_newest(child);
        break;
      case 2:
        pool_.post_last(child);
        break;
      case 3:
        pool_.push_fork(*seat, child);
        break;
      default:
        pool_.post_chain(&child, 1);
    }
  }
  pool& pool_;
  std::atomic<std::size_t>& left_;
  const unsigned depth_;
};

class PoolWorkers : public testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Count, PoolWorkers, testing::Values(1U, 2U, 8U));

TEST_P(PoolWorkers, RunsEveryItemOnceFromOutsideProducersAndFromItems) {
  constexpr std::size_t k_producers = 3, k_each = 5'000, k_trees = 20;
  constexpr unsigned k_depth = 8;
  pool p(with_workers(GetParam()));
  std::unique_ptr<counted[]> items[k_producers];
  std::atomic<std::size_t> left{k_producers * k_trees * ((std::size_t{2} << k_depth) - 1)};
  std::vector<std::thread> producers;
  for (auto& mine : items) {
    mine = numbered_items(k_each);
    producers.emplace_back([&] {
      for (std::size_t i = 0; i < k_each; ++i) {
        if (i % (k_each / k_trees) == 0) p.post(*new tree_item(p, left, k_depth));
        p.post(mine[i]);
      }
    });
  }
  for (auto& producer : producers) producer.join();
  while (left.load() != 0) std::this_thread::yield();
  p.stop();  // runs what was posted before
  for (const auto& mine : items) {
    for (std::size_t i = 0; i < k_each; ++i) ASSERT_EQ(mine[i].runs(), 1);
  }
}

TEST_P(PoolWorkers, RunsChains) {
  pool p(with_workers(GetParam()));
  const auto items = numbered_items(3000);
  const auto link = [&](std::size_t from, std::size_t to) {
    for (std::size_t i = from; i + 1 < to; ++i) items[i].next = &items[i + 1];
  };
  link(0, 1500);
  p.post_chain(&items[0], 1500);
  run_on(p, [&] {
    link(1500, 3000);
    p.post_chain(&items[1500], 1500);
    p.post_chain(nullptr, 0);
  });
  p.stop();
  for (std::size_t i = 0; i < 3000; ++i) ASSERT_EQ(items[i].runs(), 1);
}

TEST_P(PoolWorkers, KnowsItsSeats) {
  pool p(with_workers(GetParam())), other(with_workers(1));
  EXPECT_EQ(p.workers(), GetParam());
  EXPECT_FALSE(p.owns(nullptr));
  EXPECT_EQ(context().seat, nullptr);
  run_on(p, [&] {
    EXPECT_TRUE(p.owns(context().seat));
    EXPECT_FALSE(other.owns(context().seat));
  });
}

TEST(Pool, PostOnAnotherPoolsWorkerIsInjected) {
  pool p(with_workers(1)), other(with_workers(2));
  run_on(other, [&] { run_on(p, [&] { EXPECT_TRUE(p.owns(context().seat)); }); });
}

TEST(Pool, MayBeStoppedWhileThePostOfTheLastItemReturns) {
  for (int round = 0; round < 300; ++round) {
    auto p = std::make_unique<pool>(with_workers(2));
    gate ran;
    action item([&] { ran.open(); });
    std::thread producer([&raw = *p, &item] { raw.post(item); });
    ran.wait();
    p.reset();
    producer.join();
  }
}

// ---- order

TEST(Pool, OneWorkerRunsPostsInOrder) {
  pool p(with_workers(1));
  std::vector<int> order;
  std::deque<action<std::function<void()>>> items;
  const auto note = [&](int i) -> work_item& { return items.emplace_back([&order, i] { order.push_back(i); }); };
  run_on(p, [&] {
    for (int i = 0; i < 300; ++i) p.post(note(i));
    p.post_last(note(1000));
    for (int i = 300; i < 600; ++i) p.post(note(i));
    p.post_newest(note(600));  // with one worker like post()
  });
  p.stop();
  ASSERT_EQ(order.size(), 602U);
  std::size_t last = 0;
  for (std::size_t i = 0, expected = 0; i < order.size(); ++i) {
    if (order[i] == 1000) {
      last = i;
    } else {
      ASSERT_EQ(order[i], static_cast<int>(expected++));
    }
  }
  EXPECT_GE(last, 300U) << "post_last() overtook what was queued before it";
}

TEST(Pool, OneWorkerRunsOneProducersPostsInOrder) {
  pool p(with_workers(1));
  std::vector<int> order;
  std::deque<action<std::function<void()>>> items;
  for (int i = 0; i < 2000; ++i) p.post(items.emplace_back([&order, i] { order.push_back(i); }));
  p.stop();
  ASSERT_EQ(order.size(), 2000U);
  for (int i = 0; i < 2000; ++i) ASSERT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST(Pool, NewestRunsFirstAndDisplacesToReady) {
  pool p(with_workers(2));
  const all_but_one_held held(p);
  std::vector<int> order;
  gate done;
  action a([&] { order.push_back(1); });
  action b([&] { order.push_back(2); });
  action c([&] { order.push_back(3); });
  action last([&] { done.open(); });
  run_on(p, [&] {
    p.post(a);
    p.post_newest(b);
    p.post_newest(c);  // displaces b, which goes behind a
    p.post_last(last);
  });
  done.wait();
  EXPECT_EQ(order, (std::vector<int>{3, 1, 2}));
}

TEST(Pool, ForkIsPoppedByItsWorkerNewestFirst) {
  for (const unsigned workers : {1U, 2U}) {
    pool p(with_workers(workers));
    const all_but_one_held held(p);
    run_on(p, [&] {
      worker& seat = *context().seat;
      counted a, b;
      p.push_fork(seat, a);
      p.push_fork(seat, b);
      EXPECT_EQ(p.pop_fork(seat), &b);
      EXPECT_EQ(p.pop_fork(seat), &a);
      EXPECT_EQ(p.pop_fork(seat), nullptr);
    });
  }
}

// ---- fairness: an endless supply in one queue does not starve another. Each test would hang.

/// Posts itself again through `again` until told to end.
class endless {
 public:
  explicit endless(std::function<void(work_item&)> again) : again_(std::move(again)) {}
  void start() { again_(item_); }
  void end() { ending_.store(true); }
  [[nodiscard]] int runs() const { return runs_; }
  void wait_ended() const { ended_.wait(); }

 private:
  void step() {
    ++runs_;
    if (ending_.load()) return ended_.open();
    again_(item_);
  }
  struct stepper {
    endless* self;
    void operator()() const { self->step(); }
  };
  std::function<void(work_item&)> again_;
  action<stepper> item_{stepper{this}};
  std::atomic<bool> ending_{false};
  int runs_ = 0;
  gate ended_;
};

TEST(PoolFairness, NewestHasThreeTurnsBeforeReady) {
  pool p(with_workers(2));
  const all_but_one_held held(p);
  endless newest([&](work_item& item) { p.post_newest(item); });
  int runs_before_ready = 0;
  action ready([&] {
    runs_before_ready = newest.runs();
    newest.end();
  });
  run_on(p, [&] {
    newest.start();
    p.post(ready);
  });
  newest.wait_ended();
  EXPECT_LE(runs_before_ready, 3);
}

TEST(PoolFairness, NewestDoesNotStarveForksNorForksReadyNorReadyInjection) {
  pool p(with_workers(2));
  const all_but_one_held held(p);
  endless newest([&](work_item& item) { p.post_newest(item); });
  endless forks([&](work_item& item) { p.push_fork(*context().seat, item); });
  endless ready([&](work_item& item) { p.post(item); });
  gate ready_ran, fork_ran, injected_ran;
  action one_ready([&] { ready_ran.open(); });
  action one_fork([&] { fork_ran.open(); });
  action injected([&] { injected_ran.open(); });
  run_on(p, [&] {
    p.push_fork(*context().seat, one_fork);
    newest.start();
    forks.start();
    ready.start();
    p.post(one_ready);
  });
  p.post(injected);
  ready_ran.wait();
  injected_ran.wait();
  forks.end();
  forks.wait_ended();  // one_fork lies under it
  fork_ran.wait();
  newest.end();
  ready.end();
  newest.wait_ended();
  ready.wait_ended();
}

TEST(PoolFairness, OneWorkersReadyDoesNotStarveInjection) {
  pool p(with_workers(1));
  endless ready([&](work_item& item) { p.post(item); });
  run_on(p, [&] { ready.start(); });
  run_on(p, [&] { ready.end(); });
  ready.wait_ended();
}

// ---- nothing hides behind a long computation, whatever the others were doing at that moment

enum class place { ready, newest, forks, injection, chain };
class PoolHidden : public testing::TestWithParam<place> {};
INSTANTIATE_TEST_SUITE_P(In, PoolHidden,
                         testing::Values(place::ready, place::newest, place::forks, place::injection, place::chain));

void put(pool& p, place where, work_item& item) {
  switch (where) {
    case place::ready:
      p.post(item);
      break;
    case place::newest:
      p.post_newest(item);
      break;
    case place::forks:
      p.push_fork(*context().seat, item);
      break;
    case place::injection:
      p.post_last(item);
      break;
    case place::chain:
      p.post_chain(&item, 1);
      break;
  }
}

TEST_P(PoolHidden, ItemIsTakenFromBehindALongComputation) {
  for (const unsigned workers : {2U, 8U}) {
    pool p(with_workers(workers));
    for (int round = 0; round < 500; ++round) {
      run_on(p, [&] {
        gate taken;
        action hidden([&] { taken.open(); });
        put(p, GetParam(), hidden);
        taken.wait();  // the long computation
      });
    }
  }
}

TEST_P(PoolHidden, EverySleeperIsWokenInTurn) {
  constexpr unsigned k_workers = 8;
  pool p(with_workers(k_workers));
  for (int round = 0; round < 50; ++round) {
    std::latch all(k_workers);
    std::latch gone(k_workers - 1);
    std::deque<action<std::function<void()>>> items;
    for (unsigned i = 1; i < k_workers; ++i) {
      items.emplace_back([&] {
        all.arrive_and_wait();
        gone.count_down();
      });
    }
    run_on(p, [&] {
      for (auto& item : items) put(p, GetParam(), item);
      all.arrive_and_wait();  // needs all eight workers at once
    });
    gone.wait();
  }
}

TEST(Pool, InjectedBurstReachesEveryWorker) {
  constexpr unsigned k_workers = 8;
  pool p(with_workers(k_workers));
  for (int round = 0; round < 50; ++round) {
    std::latch all(k_workers), gone(k_workers);
    std::deque<action<std::function<void()>>> items;
    for (unsigned i = 0; i < k_workers; ++i) {
      items.emplace_back([&] {
        all.arrive_and_wait();
        gone.count_down();
      });
    }
    for (auto& item : items) p.post(item);
    gone.wait();
  }
}

/// The forks of a wide fork-join come to a thief by the batch: one for one, each would cost both of them a line.
TEST(Pool, ManyForksAreStolenInFewSteals) {
  constexpr std::size_t k_forks = 200;
  pool p(with_workers(2));
  std::latch run(k_forks);
  std::deque<action<std::function<void()>>> items;
  for (std::size_t i = 0; i < k_forks; ++i) items.emplace_back([&run] { run.count_down(); });
  gate begun, pushed;
  action busy([&] {
    begun.open();
    pushed.wait();
  });
  run_on(p, [&] {
    p.post(busy);
    begun.wait();
    for (auto& item : items) p.push_fork(*context().seat, item);
    pushed.open();
    run.wait();  // the other worker runs them all
  });
  EXPECT_LT(p.seat(0).steals() + p.seat(1).steals(), k_forks / 2);
  EXPECT_GT(p.seat(0).steals() + p.seat(1).steals(), 0U);
}

// ---- parking

TEST(PoolParking, IdleWorkersSleepAndAPushWakesOne) {
  pool p(with_workers(4));
  while (p.read_metrics().parks < 4) std::this_thread::yield();
  const auto idle = p.read_metrics();
  EXPECT_EQ(idle.steals, 0U);
  run_on(p, [] {});
  EXPECT_EQ(p.read_metrics().wakes, 1U);
}

// ---- start and stop

TEST(Pool, EveryThreadRunsTheStartHookFirst) {
  struct tally {
    std::atomic<int> started{0};
    std::latch all{3};
  } seen;
  {
    pool p({.workers = 3,
            .on_thread_start =
                [](void* raw) noexcept {
                  static_cast<tally*>(raw)->started.fetch_add(1);
                  static_cast<tally*>(raw)->all.count_down();
                  EXPECT_EQ(context().seat, nullptr);
                },
            .argument = &seen});
    seen.all.wait();
    run_on(p, [&] { EXPECT_EQ(seen.started.load(), 3); });
  }
  EXPECT_EQ(seen.started.load(), 3);
}

TEST(Pool, StopIsIdempotentAndRunsWhatWasPosted) {
  for (int round = 0; round < 200; ++round) {
    const auto items = numbered_items(50);
    pool p(with_workers(static_cast<unsigned>(round % 4)));  // 0 counts as 1
    for (std::size_t i = 0; i < 50; ++i) p.post(items[i]);
    p.stop();
    p.stop();
    for (std::size_t i = 0; i < 50; ++i) ASSERT_EQ(items[i].runs(), 1);
  }
}

/// A thread of the pool that has lost its seat may post when the last worker has gone.
TEST(Pool, WhatAThreadWithoutASeatPostsWhileThePoolStopsIsRunOrRefused) {
  for (int round = 0; round < 200; ++round) {
    const auto items = numbered_items(1);
    pool p(with_workers(1));
    sync::parker go;
    gate blocks;
    int refused = 0;
    action late([&] {
      blocks.open();
      EXPECT_EQ(p.block(go), pool::block_result::signalled);
      while (!p.stopping()) std::this_thread::yield();
      refused = p.post(items[0]) ? 0 : 1;
    });
    p.post(late);
    blocks.wait();
    std::thread stops([&] { p.stop(); });
    go.signal();
    stops.join();
    ASSERT_EQ(items[0].runs() + refused, 1);
    ASSERT_EQ(p.left_over().count, 0);
  }
}

TEST(Pool, PostsOfForeignThreadsAreRefusedAfterStop) {
  const auto items = numbered_items(3);
  pool p(with_workers(2));
  p.stop();
  EXPECT_FALSE(p.post(items[0]));
  EXPECT_FALSE(p.post_newest(items[1]));
  EXPECT_FALSE(p.post_last(items[2]));
  EXPECT_FALSE(p.post_chain(&items[0], 1));
  EXPECT_FALSE(p.has_work());
}

}  // namespace
}  // namespace sheaf::detail
