/// semaphore: first come first served, no permit lost, none doubled.
#include <sheaf/semaphore.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sheaf/runtime.hpp>
#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>

#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/notes.hpp"
#include "support/run_test.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::gate;
using test::notes;
using test::run_test;
using test::until_complete;
using test::until_parked;

SHEAF_ON_EVERY_FLAVOUR(SemaphoreOnEvery);

/// Notes that it has been admitted, and keeps the permit until `leave` opens.
coro<> visit(semaphore& sem, notes& order, char mark, gate leave) {
  const permit inside = co_await sem.acquire();
  order += mark;
  co_await leave;
}

TEST(Semaphore, Sem01_ZeroIsLegalAndLockedNegativeIsNot) {
  semaphore empty(0);
  EXPECT_EQ(empty.available(), 0U);
  EXPECT_FALSE(empty.try_acquire());
  EXPECT_THROW(semaphore(-1), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(empty.acquire(0)), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(empty.try_acquire(0)), std::invalid_argument);
}

TEST(Semaphore, Sem07_APlainSemaphoreMayGrowBeyondItsStart) {
  semaphore sem(1);
  sem.release(3);
  EXPECT_EQ(sem.available(), 4U);
}

TEST(Semaphore, PermitsMoveReleaseEarlyAndDetach) {
  semaphore sem(5);
  {
    permit three = sem.try_acquire(3);
    EXPECT_TRUE(three);
    EXPECT_EQ(sem.available(), 2U);
    permit moved = std::move(three);
    EXPECT_FALSE(three);  // NOLINT(bugprone-use-after-move)
    permit one = sem.try_acquire();
    one = std::move(moved);  // swaps
    one.release();
    EXPECT_EQ(sem.available(), 4U);
    one.release();
    EXPECT_EQ(sem.available(), 4U);
  }
  EXPECT_EQ(sem.available(), 5U);
  {
    permit kept = sem.try_acquire(2);
    kept.detach();
  }
  EXPECT_EQ(sem.available(), 3U);
  sem.release(2);
  EXPECT_EQ(sem.available(), 5U);
  EXPECT_FALSE(sem.try_acquire(6));
  EXPECT_EQ(sem.available(), 5U);
}

TEST(Semaphore, Sem02_WaitersAreAdmittedAsPermitsComeBack) {
  semaphore sem(3);
  notes order;
  run_test(
      [&]() -> coro<> {
        permit first = co_await sem.acquire();
        permit second = co_await sem.acquire();
        const gate leave;
        std::vector<task<>> visitors;
        for (const char mark : {'a', 'b', 'c', 'd'}) {
          visitors.push_back(spawn(visit, std::ref(sem), std::ref(order), mark, leave));
          co_await until_parked(visitors.back());
        }
        EXPECT_EQ(order.text(), "a");
        EXPECT_EQ(sem.available(), 0U);
        first.release();
        second.release();
        co_await test::yield_times(3);
        EXPECT_EQ(order.text(), "abc");
        leave.open();
        for (task<>& each : visitors) co_await std::move(each);
      },
      1);
  EXPECT_EQ(order.text(), "abcd");
  EXPECT_EQ(sem.available(), 3U);
}

TEST_P(SemaphoreOnEvery, Sem03_ACancelledWaiterLeavesTheQueue) {
  semaphore sem(0);
  run([&]() -> coro<> {
    notes order;
    const gate leave;
    const task<> waiter = spawn(visit, std::ref(sem), std::ref(order), 'x', leave);
    co_await until_parked(waiter);
    waiter.cancel();
    co_await until_complete(waiter);
    EXPECT_TRUE(waiter.cancelled());
    sem.release();
    EXPECT_EQ(sem.available(), 1U);
    EXPECT_EQ(order.text(), "");
  });
}

/// Every pair of four waiters is cancelled; one release admits exactly the first that is left.
TEST_P(SemaphoreOnEvery, Sem04_CancelledWaitersAreNotAdmitted) {
  run([]() -> coro<> {
    for (unsigned cancelled_ones = 0; cancelled_ones < 15; ++cancelled_ones) {
      semaphore sem(0);
      notes order;
      const gate leave;
      std::vector<task<>> waiters;
      for (const char mark : {'a', 'b', 'c', 'd'}) {
        waiters.push_back(spawn(visit, std::ref(sem), std::ref(order), mark, leave));
        co_await until_parked(waiters.back());
      }
      std::string expected;
      for (unsigned i = 0; i < 4; ++i) {
        if ((cancelled_ones >> i & 1) != 0) {
          waiters[i].cancel();
        } else {
          expected += static_cast<char>('a' + i);
        }
      }
      for (unsigned i = 0; i < 4; ++i) {
        if ((cancelled_ones >> i & 1) != 0) co_await until_complete(waiters[i]);
      }
      sem.release();
      while (order.empty()) co_await this_task::yield();
      co_await test::yield_times(2);
      EXPECT_EQ(order.text(), expected.substr(0, 1));
      leave.open();
      sem.release(4);
      for (const task<>& each : waiters) co_await until_complete(each);
      std::string all = order.text();
      std::ranges::sort(all);
      EXPECT_EQ(all, expected);
      EXPECT_EQ(sem.available(), 5U);
    }
  });
}

TEST(Semaphore, Sem08_AFirstRoundOfAllComesBeforeAnySecond) {
  semaphore sem(0);
  notes order;
  run_test(
      [&]() -> coro<> {
        const auto twice = [](semaphore& sem, notes& order, char mark) -> coro<> {
          for (int round = 0; round < 2; ++round) {
            const permit inside = co_await sem.acquire();
            order += mark;
            co_await this_task::yield();
          }
        };
        std::vector<task<>> all;
        for (const char mark : {'a', 'b', 'c'}) {
          all.push_back(spawn(twice, std::ref(sem), std::ref(order), mark));
          co_await until_parked(all.back());
        }
        sem.release();
        for (task<>& each : all) co_await std::move(each);
      },
      1);
  EXPECT_EQ(order.text(), "abcabc");
}

TEST(Semaphore, Sem08_NobodyOvertakesThoseWhoWait) {
  semaphore sem(1);
  notes order;
  run_test(
      [&]() -> coro<> {
        permit mine = co_await sem.acquire();
        const gate leave;
        leave.open();
        const task<> waiter = spawn(visit, std::ref(sem), std::ref(order), 'w', leave);
        co_await until_parked(waiter);
        mine.release();
        EXPECT_FALSE(sem.try_acquire());  // granted to the waiter, which has not run yet
        EXPECT_EQ(sem.available(), 0U);
        mine = co_await sem.acquire();
        order += 'm';
      },
      1);
  EXPECT_EQ(order.text(), "wm");
}

TEST(Semaphore, Sem10_ThreeReleasesAtOnceAdmitThreeInOrder) {
  semaphore sem(0);
  notes order;
  run_test(
      [&]() -> coro<> {
        const gate leave;
        std::vector<task<>> waiters;
        for (const char mark : {'a', 'b', 'c'}) {
          waiters.push_back(spawn(visit, std::ref(sem), std::ref(order), mark, leave));
          co_await until_parked(waiters.back());
        }
        sem.release(3);
        EXPECT_EQ(sem.available(), 0U);
        EXPECT_FALSE(sem.try_acquire());
        while (order.size() < 3) co_await this_task::yield();
        leave.open();
        for (task<>& each : waiters) co_await std::move(each);
      },
      1);
  EXPECT_EQ(order.text(), "abc");
  EXPECT_EQ(sem.available(), 3U);
}

TEST_P(SemaphoreOnEvery, Sem11_APermitComesBackOnErrorAndOnCancel) {
  semaphore sem(1);
  run([&]() -> coro<> {
    const auto fails = [](semaphore& sem) -> coro<> {
      const permit inside = co_await sem.acquire();
      throw std::runtime_error("inside");
    };
    EXPECT_THROW(co_await spawn(fails, std::ref(sem)), std::runtime_error);
    EXPECT_EQ(sem.available(), 1U);
    const auto stays = [](semaphore& sem) -> coro<> {
      const permit inside = co_await sem.acquire();
      co_await sleep_for(1h);
    };
    const task<> cancelled_inside = spawn(stays, std::ref(sem));
    co_await until_parked(cancelled_inside);
    EXPECT_EQ(sem.available(), 0U);
    cancelled_inside.cancel();
    co_await until_complete(cancelled_inside);
    EXPECT_EQ(sem.available(), 1U);
  });
}

TEST_P(SemaphoreOnEvery, Sem12_ALargeRequestAtTheHeadHoldsSmallOnesBack) {
  semaphore sem(2);
  run([&]() -> coro<> {
    notes order;
    const auto take = [](semaphore& sem, notes& order, std::size_t count) -> coro<> {
      const permit inside = co_await sem.acquire(count);
      order += std::to_string(count);
    };
    const task<> large = spawn(take, std::ref(sem), std::ref(order), 3);
    co_await until_parked(large);
    const task<> small = spawn(take, std::ref(sem), std::ref(order), 1);
    co_await until_parked(small);
    EXPECT_EQ(order.text(), "");
    EXPECT_FALSE(sem.try_acquire());
    sem.release();
    co_await large;
    co_await small;
    EXPECT_EQ(order.text(), "31");
    EXPECT_EQ(sem.available(), 3U);
  });
}

TEST_P(SemaphoreOnEvery, Sem12_CancellingTheLargeOneLetsTheSmallOnesPass) {
  semaphore sem(2);
  run([&]() -> coro<> {
    notes order;
    const gate leave;
    const auto take = [](semaphore& sem, std::size_t count) -> coro<> { const permit inside = co_await sem.acquire(count); };
    const task<> large = spawn(take, std::ref(sem), 3);
    co_await until_parked(large);
    const task<> small = spawn(visit, std::ref(sem), std::ref(order), 's', leave);
    co_await until_parked(small);
    large.cancel();
    co_await until_complete(large);
    while (order.empty()) co_await this_task::yield();
    leave.open();
    co_await small;
    EXPECT_EQ(sem.available(), 2U);
  });
}

/// What was granted to a wait that is cancelled before it has run is passed on: docs/decisions/cancel-on-the-worker.md.
TEST_P(SemaphoreOnEvery, APermitGrantedAndCancelledAtOnceIsPassedOn) {
  semaphore sem(0);
  notes order;
  const gate leave;
  leave.open();
  const auto held = clock().hold();
  const task<> first = rt().spawn(visit, std::ref(sem), std::ref(order), '1', leave);
  run([first]() -> coro<> { co_await until_parked(first); });
  const task<> second = rt().spawn(visit, std::ref(sem), std::ref(order), '2', leave);
  run([second]() -> coro<> { co_await until_parked(second); });
  const gate release;
  occupy(release);
  sem.release();                // to the first, which cannot run yet
  EXPECT_TRUE(first.cancel());  // decided when it resumes
  release.open();
  EXPECT_THROW(first.get(), task_cancelled);
  second.get();
  EXPECT_EQ(order.text(), "2");
  EXPECT_EQ(sem.available(), 1U);
}

TEST_P(SemaphoreOnEvery, APermitGrantedAtOnceAndCancelledBeforeTheYieldIsGivenBack) {
  semaphore sem(1);
  run([&]() -> coro<> {
    this_task::handle().cancel();
    // Not waiting at all is no suspension: the permit is had, the request stays pending.
    {
      const permit inside = co_await sem.acquire();
      EXPECT_EQ(sem.available(), 0U);
    }
    EXPECT_THROW(co_await this_task::yield(), cancelled);
    this_task::uncancel();
    EXPECT_EQ(sem.available(), 1U);
    // After many ready awaits the next one yields, and there the request is delivered.
    this_task::handle().cancel();
    bool delivered = false;
    for (int i = 0; i < 1000 && !delivered; ++i) {
      try {
        const permit inside = co_await sem.acquire();
      } catch (const cancelled&) {
        delivered = true;
      }
    }
    EXPECT_TRUE(delivered);
    EXPECT_EQ(sem.available(), 1U);
    this_task::uncancel();
  });
}

TEST_P(SemaphoreOnEvery, ReleaseFromAPlainThreadAndFromDestructors) {
  semaphore sem(0);
  const auto held = clock().hold();
  notes order;
  const gate leave;
  leave.open();
  const task<> waiter = rt().spawn(visit, std::ref(sem), std::ref(order), 'w', leave);
  run([waiter]() -> coro<> { co_await until_parked(waiter); });
  std::thread([&sem] { sem.release(); }).join();
  waiter.get();
  EXPECT_EQ(order.text(), "w");
  EXPECT_EQ(sem.available(), 1U);
}

/// Ten at a time, each for 0.2 s: two seconds for all.
TEST_P(SemaphoreOnEvery, Program68_AHundredJobsWithTenPermits) {
  semaphore sem(10);
  run([&]() -> coro<> {
    std::atomic<int> inside{0}, most{0};
    const auto job = [](semaphore& sem, std::atomic<int>& inside, std::atomic<int>& most) -> coro<> {
      const permit mine = co_await sem.acquire();
      const int now = inside.fetch_add(1) + 1;
      int seen = most.load();
      while (seen < now && !most.compare_exchange_weak(seen, now)) {
      }
      co_await sleep_for(200ms);
      inside.fetch_sub(1);
    };
    std::vector<task<>> all;
    for (int i = 0; i < 100; ++i) all.push_back(spawn(job, std::ref(sem), std::ref(inside), std::ref(most)));
    for (task<>& each : all) co_await std::move(each);
    EXPECT_EQ(most.load(), 10);
    EXPECT_EQ(clock().now(), 2s);
  });
  EXPECT_EQ(sem.available(), 10U);
}

}  // namespace
}  // namespace sheaf
