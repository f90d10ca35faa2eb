/// block(): handing seats over, waiting without a spare, and saying so when nobody is left to run.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <latch>
#include <thread>
#include <vector>

#include "pool.hpp"
#include "runtime/pool_items.hpp"

namespace sheaf::detail {
namespace {

using result = pool::block_result;
using test::action;
using test::gate;
using test::run_on;

constexpr sync::nanoseconds k_millisecond = 1'000'000;

TEST(PoolBlock, OneWorkerMakesProgressThroughASpare) {
  pool p({.workers = 1});
  for (int round = 0; round < 100; ++round) {
    sync::parker until;
    gate done;
    std::thread::id blocked_on, ran_on;
    action signaller([&] {
      ran_on = std::this_thread::get_id();
      EXPECT_TRUE(p.owns(context().seat));
      until.signal();
    });
    gate posted_later_ran;
    action posted_later([&] { posted_later_ran.open(); });
    action blocker([&] {
      blocked_on = std::this_thread::get_id();
      p.post(signaller);
      EXPECT_EQ(p.block(until), result::signalled);
      EXPECT_EQ(context().seat, nullptr);
      p.post(posted_later);
      done.open();
    });
    p.post(blocker);
    done.wait();
    posted_later_ran.wait();
    EXPECT_NE(blocked_on, ran_on);
  }
  EXPECT_LE(p.read_metrics().spares, 2U) << "spares are not used again";
}

TEST(PoolBlock, TheSeatGoesWithAllItsQueues) {
  for (const unsigned workers : {1U, 2U}) {
    pool p({.workers = workers});
    for (int round = 0; round < 100; ++round) {
      sync::parker until;
      std::atomic<int> left{3};
      const auto step = [&] {
        if (left.fetch_sub(1) == 1) until.signal();
      };
      action ready(step), fork(step), newest(step);
      run_on(p, [&] {
        p.post(ready);
        p.push_fork(*context().seat, fork);
        p.post_newest(newest);
        EXPECT_EQ(p.block(until), result::signalled);
      });
    }
  }
}

TEST(PoolBlock, NestedWaitsEachTakeASpareAndTheSparesLeave) {
  constexpr int k_depth = 20;
  pool p({.workers = 1});
  for (int round = 0; round < 3; ++round) {
    std::deque<sync::parker> untils(k_depth + 1);
    std::deque<action<std::function<void()>>> items;
    std::latch gone(k_depth);
    for (int i = 0; i < k_depth; ++i) {
      items.emplace_back([&, i] {
        if (i + 1 < k_depth) {
          p.post(items[static_cast<std::size_t>(i) + 1]);
          EXPECT_EQ(p.block(untils[static_cast<std::size_t>(i)]), result::signalled);
        }
        if (i > 0) untils[static_cast<std::size_t>(i) - 1].signal();
        gone.count_down();
      });
    }
    p.post(items[0]);
    gone.wait();
    EXPECT_GE(p.read_metrics().spares, static_cast<std::uint64_t>(k_depth) - 1);
  }
  p.stop();  // with idle spares, and with some that have left
}

TEST(PoolBlock, ReturnsAtOnceWhenSignalledOrLate) {
  pool p({.workers = 1});
  run_on(p, [&] {
    sync::parker until;
    EXPECT_EQ(p.block(until, sync::now() - 1), result::timed_out);
    until.signal();
    EXPECT_EQ(p.block(until), result::signalled);
    EXPECT_TRUE(p.owns(context().seat));
  });
  EXPECT_EQ(p.read_metrics().spares, 0U);
}

TEST(PoolBlock, TimesOut) {
  pool p({.workers = 1});
  run_on(p, [&] {
    sync::parker until;
    EXPECT_EQ(p.block(until, sync::now() + k_millisecond), result::timed_out);
    EXPECT_EQ(context().seat, nullptr);
  });
}

TEST(PoolBlock, ForeignThreadJustWaits) {
  pool p({.workers = 1, .max_spares = 0}), other({.workers = 1, .max_spares = 0});
  sync::parker until, until_other;
  action signaller([&] { until.signal(); });
  p.post(signaller);
  EXPECT_EQ(p.block(until), result::signalled);
  run_on(other, [&] {  // a worker of another pool is foreign, too
    action signal_other([&] { until_other.signal(); });
    p.post(signal_other);
    EXPECT_EQ(p.block(until_other), result::signalled);
    EXPECT_TRUE(other.owns(context().seat));
  });
}

TEST(PoolBlock, LastWorkerWithoutASpareWouldDeadlock) {
  pool p({.workers = 1, .max_spares = 0});
  run_on(p, [&] {
    sync::parker until;
    EXPECT_EQ(p.block(until), result::would_deadlock);
    EXPECT_TRUE(p.owns(context().seat)) << "nothing may have changed";
  });
  run_on(p, [] {});
}

TEST(PoolBlock, WithoutASpareTheFirstWaitsInItsSeatAndTheLastWouldDeadlock) {
  pool p({.workers = 2, .max_spares = 0});
  for (int round = 0; round < 50; ++round) {
    sync::parker first_until, second_until;
    std::atomic<int> deadlocks{0};
    std::latch both(2), gone(2);
    const auto step = [&](sync::parker& mine, sync::parker& others) {
      both.arrive_and_wait();
      worker* const seat = context().seat;
      if (p.block(mine) == result::would_deadlock) {
        deadlocks.fetch_add(1);
        others.signal();
      }
      EXPECT_EQ(context().seat, seat);
      gone.count_down();
    };
    action first([&] { step(first_until, second_until); });
    action second([&] { step(second_until, first_until); });
    p.post(first);
    p.post(second);
    gone.wait();
    EXPECT_EQ(deadlocks.load(), 1);
  }
}

TEST(PoolBlock, ItemsOfABlockedSeatAreTakenByOthers) {
  pool p({.workers = 2, .max_spares = 0});
  for (int round = 0; round < 100; ++round) {
    sync::parker until;
    std::atomic<int> left{3};
    const auto step = [&] {
      if (left.fetch_sub(1) == 1) until.signal();
    };
    action ready(step), fork(step), newest(step);
    run_on(p, [&] {
      p.post(ready);
      p.push_fork(*context().seat, fork);
      p.post_newest(newest);
      EXPECT_EQ(p.block(until), result::signalled);
      EXPECT_TRUE(p.owns(context().seat));
    });
  }
}

TEST(PoolBlock, SignalledButNotAwakeCountsAsRunning) {
  pool p({.workers = 2, .max_spares = 0});
  for (int round = 0; round < 1000; ++round) {
    sync::parker first_until, second_until;
    std::latch both(2), gone(2);
    action first([&] {
      both.arrive_and_wait();
      EXPECT_EQ(p.block(first_until), result::signalled);
      second_until.signal();
      gone.count_down();
    });
    action second([&] {
      both.arrive_and_wait();
      first_until.signal();
      EXPECT_EQ(p.block(second_until), result::signalled);
      gone.count_down();
    });
    p.post(first);
    p.post(second);
    gone.wait();
  }
}

/// One worker, one spare: A hands its seat to the spare, which runs B; B wakes A and waits in the seat for C, which A posts as a
/// thread without a seat; A then becomes a spare and must adopt B's seat to run C.
TEST(PoolBlock, ThreadBecomingASpareAdoptsABlockedSeat) {
  pool p({.workers = 1, .max_spares = 1});
  for (int round = 0; round < 100; ++round) {
    sync::parker a_until, b_until;
    gate b_done;
    action c([&] { b_until.signal(); });
    action b([&] {
      a_until.signal();
      EXPECT_EQ(p.block(b_until), result::signalled);
      EXPECT_EQ(context().seat, nullptr) << "its seat was adopted";
      b_done.open();
    });
    action a([&] {
      p.post(b);
      EXPECT_EQ(p.block(a_until), result::signalled);
      EXPECT_EQ(context().seat, nullptr);
      p.post(c);
    });
    p.post(a);
    b_done.wait();
  }
  EXPECT_EQ(p.read_metrics().spares, 1U);
}

/// A thread becomes an idle spare just when the last seated one looks for a spare, then whether anybody runs: it was neither, once, and
/// the wait was refused as a deadlock.
TEST(PoolBlock, ASpareThatComesBetweenTheLooksTakesTheSeat) {
  pool p({.workers = 1, .max_spares = 1});
  for (unsigned round = 0; round < 20000; ++round) {
    sync::parker a_until, b_until;
    std::atomic<bool> leaves{false};
    gate b_done;
    action c([&] { b_until.signal(); });
    action b([&] {
      a_until.signal();
      for (unsigned spins = 0; !leaves.load(); ++spins) {
        if (spins < 2000) {
          sync::spin_pause();
        } else {
          std::this_thread::yield();
        }
      }
      for (unsigned i = round % 8; i != 0; --i) sync::spin_pause();
      p.post(c);
      EXPECT_EQ(p.block(b_until), result::signalled);
      b_done.open();
    });
    action a([&] {
      p.post(b);
      EXPECT_EQ(p.block(a_until), result::signalled);
      leaves.store(true);  // and becomes the spare
    });
    p.post(a);
    b_done.wait();
    if (testing::Test::HasFailure()) return;
  }
}

/// A, on its second wait without a seat, and B, in the only one, wait for each other: whichever comes last is told.
TEST(PoolBlock, ThreadWithoutASeatIsCountedToo) {
  pool p({.workers = 1, .max_spares = 1});
  sync::parker a_until, b_until;
  std::atomic<int> deadlocks{0};
  std::latch gone(2);
  const auto wait = [&](sync::parker& mine, sync::parker& others) {
    if (p.block(mine) == result::would_deadlock) {
      deadlocks.fetch_add(1);
      others.signal();
    }
    gone.count_down();
  };
  action b([&] { wait(b_until, a_until); });
  action a([&] {
    sync::parker until;
    action wake([&] { until.signal(); });
    p.post(wake);
    EXPECT_EQ(p.block(until), result::signalled);
    EXPECT_EQ(context().seat, nullptr);
    p.post(b);
    wait(a_until, b_until);
  });
  p.post(a);
  gone.wait();
  EXPECT_EQ(deadlocks.load(), 1);
}

TEST(PoolBlock, ManyWaitersAllReturnHoweverFewTheSpares) {
  for (const unsigned spares : {0U, 1U, 3U, 64U}) {
    constexpr int k_pairs = 200;
    pool p({.workers = 2, .max_spares = spares});
    std::deque<sync::parker> untils(k_pairs);
    std::deque<action<std::function<void()>>> items;
    std::latch gone(k_pairs);
    for (auto& until : untils) {
      work_item& waker = items.emplace_back([&] { until.signal(); });
      work_item& waiter = items.emplace_back([&] {
        p.post(waker);
        EXPECT_NE(p.block(until), result::timed_out);  // would_deadlock: this one goes on, and the others are served
        gone.count_down();
      });
      p.post(waiter);
    }
    gone.wait();
    p.stop();
    EXPECT_LE(p.read_metrics().spares, static_cast<std::uint64_t>(k_pairs));
  }
}

TEST(PoolBlock, StartHookRunsOnSparesToo) {
  std::atomic<int> started{0};
  pool p({.workers = 1,
          .on_thread_start = [](void* raw) noexcept { static_cast<std::atomic<int>*>(raw)->fetch_add(1); },
          .argument = &started});
  sync::parker until;
  action signaller([&] {
    EXPECT_EQ(started.load(), 2);
    until.signal();
  });
  run_on(p, [&] {
    p.post(signaller);
    EXPECT_EQ(p.block(until), result::signalled);
  });
}

}  // namespace
}  // namespace sheaf::detail
