/// LOCK: mutex and guard. Awaiting the mutex itself (LOCK-06) is refused in tests/compile_fail/await_of_a_mutex.cpp.
#include <sheaf/mutex.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sheaf/errors.hpp>
#include <sheaf/runtime.hpp>
#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>

#include "cases/race.hpp"
#include "support/children.hpp"
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
using test::spin_until;
using test::until_complete;
using test::until_parked;

SHEAF_ON_EVERY_FLAVOUR(LockOnEvery);
SHEAF_ON_NATIVE_POOLS(LockOnPools);

/// Notes that it has the mutex, and keeps it until `leave` opens.
coro<> visit(mutex& door, notes& order, char mark, gate leave) {
  const guard held = co_await door.scoped_lock();
  order += mark;
  co_await leave;
}

gate open_gate() {
  gate made;
  made.open();
  return made;
}

// ---- LOCK-01 -----------------------------------------------------------------------------------------------------------------

TEST_P(LockOnEvery, Lock01_LockedUntilItIsUnlocked) {
  run([]() -> coro<> {
    mutex door;
    EXPECT_FALSE(door.is_locked());
    co_await door.lock();
    EXPECT_TRUE(door.is_locked());
    EXPECT_FALSE(door.try_lock());
    EXPECT_FALSE(door.try_scoped_lock());
    door.unlock();
    EXPECT_FALSE(door.is_locked());
    EXPECT_TRUE(door.try_lock());
    EXPECT_TRUE(door.is_locked());
    door.unlock();
    EXPECT_FALSE(door.is_locked());
  });
}

TEST_P(LockOnEvery, Lock01_TheGuardUnlocksAtTheEndOfItsScope) {
  run([]() -> coro<> {
    mutex door;
    {
      const guard held = co_await door.scoped_lock();
      EXPECT_TRUE(held);
      EXPECT_TRUE(door.is_locked());
    }
    EXPECT_FALSE(door.is_locked());
    try {
      const guard held = co_await door.scoped_lock();
      throw test::boom(1);
    } catch (const test::boom&) {
    }
    EXPECT_FALSE(door.is_locked());
  });
}

TEST(Lock, Lock01_GuardsMoveUnlockEarlyDetachAndAdopt) {
  mutex door;
  {
    guard first = door.try_scoped_lock();
    guard moved = std::move(first);
    EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move)
    EXPECT_TRUE(moved);
    guard swapped;
    swapped = std::move(moved);
    EXPECT_TRUE(door.is_locked());
    swapped.unlock();
    EXPECT_FALSE(swapped);
    EXPECT_FALSE(door.is_locked());
  }
  {
    guard kept = door.try_scoped_lock();
    kept.detach();
  }
  EXPECT_TRUE(door.is_locked());
  {
    const guard adopted = guard::adopt(door);
  }
  EXPECT_FALSE(door.is_locked());
}

TEST(Lock, Lock01_AFreeMutexIsLockedWithoutASuspension) {
  mutex door;
  test::run_test(
      [&]() -> coro<> {
        const test::bystander other;
        co_await door.lock();
        EXPECT_FALSE(other.has_run());
        door.unlock();
        co_await other.done();
      },
      1);
}

// ---- LOCK-02 -----------------------------------------------------------------------------------------------------------------

TEST_P(LockOnEvery, Lock02_WaitersAreAdmittedOnePerUnlockInOrder) {
  run([]() -> coro<> {
    mutex door;
    notes order;
    std::vector<gate> leave(4);
    std::vector<task<>> visitors;
    guard mine = co_await door.scoped_lock();
    for (int i = 0; i < 4; ++i) {
      visitors.push_back(spawn(visit, std::ref(door), std::ref(order), static_cast<char>('a' + i), leave[i]));
      co_await until_parked(visitors.back());
    }
    EXPECT_EQ(order.text(), "");
    mine.unlock();
    for (std::size_t i = 0; i < 4; ++i) {
      const auto inside = [&] { return leave[i].parked() == 1; };
      co_await test::until(inside);
      EXPECT_EQ(order.text(), std::string("abcd").substr(0, i + 1));
      leave[i].open();
    }
    for (const task<>& each : visitors) co_await each;
    EXPECT_FALSE(door.is_locked());
  });
}

TEST_P(LockOnEvery, Lock02_NobodyOvertakesThoseWhoWait) {
  run([]() -> coro<> {
    mutex door;
    notes order;
    const gate leave;
    guard mine = co_await door.scoped_lock();
    const task<> waiter = spawn(visit, std::ref(door), std::ref(order), 'w', leave);
    co_await until_parked(waiter);
    mine.unlock();
    EXPECT_TRUE(door.is_locked());  // handed over, whether or not the waiter has run
    EXPECT_FALSE(door.try_lock());
    const task<> second = spawn(visit, std::ref(door), std::ref(order), 's', leave);
    co_await until_parked(second);
    leave.open();
    const guard again = co_await door.scoped_lock();
    EXPECT_EQ(order.text(), "ws");
  });
}

// ---- LOCK-03 -----------------------------------------------------------------------------------------------------------------

TEST_P(LockOnEvery, Lock03_ACancelledWaiterLeavesNoEntry) {
  run([]() -> coro<> {
    for (unsigned cancelled_ones = 0; cancelled_ones < 8; ++cancelled_ones) {
      mutex door;
      notes order;
      std::vector<task<>> waiters;
      guard mine = co_await door.scoped_lock();
      for (const char mark : {'a', 'b', 'c'}) {
        waiters.push_back(spawn(visit, std::ref(door), std::ref(order), mark, open_gate()));
        co_await until_parked(waiters.back());
      }
      std::string expected;
      for (unsigned i = 0; i < 3; ++i) {
        if ((cancelled_ones >> i & 1) != 0) {
          waiters[i].cancel();
          co_await until_complete(waiters[i]);
          EXPECT_TRUE(waiters[i].cancelled());
        } else {
          expected += static_cast<char>('a' + i);
        }
      }
      EXPECT_TRUE(door.is_locked());
      mine.unlock();
      for (const task<>& each : waiters) co_await until_complete(each);
      EXPECT_EQ(order.text(), expected);
      EXPECT_FALSE(door.is_locked());
    }
  });
}

/// A mutex handed to a wait that is cancelled before it has run is passed on: docs/decisions/cancel-on-the-worker.md.
TEST_P(LockOnEvery, Lock03_AMutexHandedOverAndCancelledAtOnceIsPassedOn) {
  mutex door;
  notes order;
  const auto time = clock().hold();
  ASSERT_TRUE(door.try_lock());
  const task<> first = rt().spawn(visit, std::ref(door), std::ref(order), '1', open_gate());
  run([first]() -> coro<> { co_await until_parked(first); });
  const task<> second = rt().spawn(visit, std::ref(door), std::ref(order), '2', open_gate());
  run([second]() -> coro<> { co_await until_parked(second); });
  const gate release;
  occupy(release);
  door.unlock();                // to the first, which cannot run yet
  EXPECT_TRUE(first.cancel());  // decided when it resumes
  release.open();
  EXPECT_THROW(first.get(), task_cancelled);
  second.get();
  EXPECT_EQ(order.text(), "2");
  EXPECT_FALSE(door.is_locked());
}

TEST_P(LockOnEvery, Lock03_ALoopOfReadyLocksIsCancellableAndLeavesTheMutexFree) {
  run([]() -> coro<> {
    mutex door;
    this_task::handle().cancel();
    int rounds = 0;
    bool delivered = false;
    for (; rounds < 1000 && !delivered; ++rounds) {
      try {
        const guard held = co_await door.scoped_lock();
      } catch (const cancelled&) {
        delivered = true;
      }
    }
    this_task::uncancel();
    EXPECT_TRUE(delivered);
    EXPECT_GT(rounds, 1);  // not waiting is no suspension
    EXPECT_FALSE(door.is_locked());
  });
}

// ---- LOCK-05, LOCK-06, LOCK-07 -----------------------------------------------------------------------------------------------

TEST(Lock, Lock05_UnlockingWhatIsNotLockedIsRefused) {
  mutex door;
  EXPECT_THROW(door.unlock(), invalid_state);
  EXPECT_THROW(static_cast<void>(guard::adopt(door)), invalid_state);
  guard empty;
  EXPECT_THROW(empty.unlock(), invalid_state);
  guard held = door.try_scoped_lock();
  door.unlock();
  EXPECT_THROW(held.unlock(), invalid_state);
  EXPECT_FALSE(door.is_locked());
}

TEST_P(LockOnEvery, Lock06_TasksOfTwoRuntimesShareAMutex) {
  mutex door;
  notes order;
  const gate leave;
  const auto time = clock().hold();
  runtime other({.workers = 1});
  const task<> there = other.spawn(visit, std::ref(door), std::ref(order), 'o', leave);
  spin_until([&] { return leave.parked() == 1; });
  const task<> here = rt().spawn(visit, std::ref(door), std::ref(order), 'h', open_gate());
  run([here]() -> coro<> { co_await until_parked(here); });
  const task<> again = other.spawn(visit, std::ref(door), std::ref(order), 'a', open_gate());
  spin_until([&] { return test::is_parked(again); });
  leave.open();
  here.get();
  there.get();
  again.get();
  EXPECT_EQ(order.text(), "oha");
  EXPECT_FALSE(door.is_locked());
}

TEST_P(LockOnEvery, Lock07_ATaskThatEndsWhileItHoldsAGuardFreesTheMutex) {
  run([]() -> coro<> {
    mutex door;
    notes order;
    const gate never;
    const task<> stopped = spawn(visit, std::ref(door), std::ref(order), 's', never);
    co_await until_parked(stopped);
    EXPECT_TRUE(door.is_locked());
    stopped.cancel();
    co_await until_complete(stopped);
    EXPECT_FALSE(door.is_locked());

    const auto fails = [](mutex& door) -> coro<> {
      const guard held = co_await door.scoped_lock();
      throw test::boom(1);
    };
    EXPECT_THROW(co_await spawn(fails, std::ref(door)), test::boom);
    EXPECT_FALSE(door.is_locked());
  });
}

TEST_P(LockOnEvery, Lock07_ATaskThatNeverStartsFreesTheMutexOfItsArgument) {
  mutex door;
  const gate release;
  occupy(release);
  const task<> unstarted = rt().spawn([](const guard&) {}, door.try_scoped_lock());
  EXPECT_TRUE(door.is_locked());
  EXPECT_TRUE(unstarted.cancel());
  release.open();
  EXPECT_THROW(unstarted.get(), task_cancelled);
  EXPECT_FALSE(door.is_locked());
}

// ---- on a plain thread -------------------------------------------------------------------------------------------------------

TEST_P(LockOnEvery, APlainThreadLocksThroughGet) {
  mutex door;
  notes order;
  const auto time = clock().hold();
  const entered current = rt().enter();
  door.lock().get();
  EXPECT_TRUE(door.is_locked());
  const task<> waiter = rt().spawn(visit, std::ref(door), std::ref(order), 'w', open_gate());
  run([waiter]() -> coro<> { co_await until_parked(waiter); });
  door.unlock();
  {
    const guard held = door.scoped_lock().get();  // behind the waiter
    EXPECT_EQ(order.text(), "w");
    EXPECT_TRUE(door.is_locked());
  }
  waiter.get();
  EXPECT_FALSE(door.is_locked());
}

/// The thread gives up because its own task is asked to stop: what was locked for it meanwhile is unlocked.
TEST_P(LockOnPools, ABlockedTaskThatIsCancelledLosesNoMutex) {
  const auto time = clock().hold();
  for (int round = 0; round < 100; ++round) {
    mutex door;
    ASSERT_TRUE(door.try_lock());
    std::atomic<bool> locked{false};
    const task<> blocked = rt().spawn([&] {
      door.lock().get();
      locked.store(true);
    });
    run([&]() -> coro<> {
      const auto begun = [&] { return blocked.status() == task_status::running; };
      co_await test::until(begun);
    });
    test::race(round, [&] { blocked.cancel(); }, [&] { door.unlock(); }, [&] { return locked.load(); });
    try {
      blocked.get();
    } catch (const task_cancelled&) {
    }
    ASSERT_EQ(door.is_locked(), locked.load());  // had by the caller, or by nobody
  }
}

// ---- races -------------------------------------------------------------------------------------------------------------------

/// The first waiter is cancelled while it is handed the mutex; the second gets it either way.
TEST_P(LockOnPools, MtLock_HandingOverAgainstCancel) {
  const auto time = clock().hold();
  int first_had_it = 0;
  for (int round = 0; round < 300; ++round) {
    mutex door;
    notes order;
    ASSERT_TRUE(door.try_lock());
    const task<> first = rt().spawn(visit, std::ref(door), std::ref(order), '1', open_gate());
    spin_until([&] { return test::is_parked(first); });
    const task<> second = rt().spawn(visit, std::ref(door), std::ref(order), '2', open_gate());
    spin_until([&] { return test::is_parked(second); });
    test::race(round, [&] { first.cancel(); }, [&] { door.unlock(); }, [&] { return !order.empty(); });
    spin_until([&] { return first.done(); });
    second.get();
    ASSERT_EQ(order.text(), first.cancelled() ? "2" : "12");
    ASSERT_FALSE(door.is_locked());
    if (!first.cancelled()) ++first_had_it;
  }
  RecordProperty("first_had_it", first_had_it);
}

/// Many tasks change a plain number under the mutex while some of them are cancelled.
TEST_P(LockOnPools, MtLock_OneAtATimeUnderCancellation) {
  mutex door;
  int inside = 0, changes = 0;
  std::atomic<int> counted{0};
  const auto changes_it = [](mutex& door, int& inside, int& changes, std::atomic<int>& counted) -> coro<> {
    for (int i = 0; i < 100; ++i) {
      const guard held = co_await door.scoped_lock();
      EXPECT_EQ(++inside, 1);
      ++changes;
      counted.fetch_add(1);
      --inside;
      if (i % 8 == 0) co_await this_task::yield();
    }
  };
  run([&]() -> coro<> {
    std::vector<task<>> all;
    for (int i = 0; i < 16; ++i)
      all.push_back(spawn(changes_it, std::ref(door), std::ref(inside), std::ref(changes), std::ref(counted)));
    for (std::size_t i = 0; i < all.size(); i += 2) {
      co_await this_task::yield();
      all[i].cancel();
    }
    for (const task<>& each : all) co_await until_complete(each);
  });
  EXPECT_EQ(inside, 0);
  EXPECT_EQ(changes, counted.load());
  EXPECT_GE(changes, 8 * 100);
  EXPECT_FALSE(door.is_locked());
}

}  // namespace
}  // namespace sheaf
