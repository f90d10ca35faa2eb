/// COND: what cancel requests do to those who wait for a condition. A notification is never lost, and the mutex is held in the end.
#include <sheaf/condition.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <sheaf/errors.hpp>
#include <sheaf/runtime.hpp>

#include "cases/cond_room.hpp"
#include "cases/race.hpp"
#include "support/children.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/notes.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using test::add_waiters;
using test::gate;
using test::notify;
using test::notify_here;
using test::room;
using test::spin_until;
using test::until_complete;
using test::until_parked;
using test::wait_once;

SHEAF_ON_EVERY_FLAVOUR(CondCancelOnEvery);
SHEAF_ON_NATIVE_POOLS(CondCancelOnPools);

// ---- COND-05, COND-07 --------------------------------------------------------------------------------------------------------

TEST_P(CondCancelOnEvery, Cond05_TheMutexIsHeldWhenCancelledArrives) {
  run([]() -> coro<> {
    room in;
    std::vector<task<>> waiters;
    co_await add_waiters(in, waiters, 3);
    waiters[1].cancel();  // the mutex is free
    co_await until_complete(waiters[1]);
    EXPECT_EQ(in.order.text(), "B");
    {
      const guard held = co_await in.door.scoped_lock();
      waiters[0].cancel();
      co_await until_parked(waiters[0]);  // asked, but it cannot leave without the mutex
      EXPECT_EQ(in.order.text(), "B");
    }
    co_await until_complete(waiters[0]);
    EXPECT_EQ(in.order.text(), "BA");
    co_await notify(in, 2);
    co_await waiters[2];
    EXPECT_EQ(in.order.text(), "BAc");
    EXPECT_FALSE(in.door.is_locked());
  });
}

TEST_P(CondCancelOnEvery, Cond07_TheReasonSentLastArrivesFromBothPhases) {
  run([]() -> coro<> {
    const auto tells = [](room& in) -> coro<> {
      guard held = co_await in.door.scoped_lock();
      std::string reason;
      try {
        co_await in.changed.wait(held);
      } catch (const cancelled& request) {
        reason = request.reason();
      }
      EXPECT_TRUE(in.door.is_locked());
      in.order += reason + ".";
    };
    room in;
    for (const bool notified : {false, true}) {
      const task<> waiter = spawn(tells, std::ref(in));
      co_await until_parked(waiter);
      guard held = co_await in.door.scoped_lock();
      if (notified) in.changed.notify();
      waiter.cancel("first");
      co_await until_parked(waiter);  // asked once, it waits for the mutex
      waiter.cancel("second");
      co_await until_parked(waiter);
      held.unlock();
      co_await waiter;
    }
    EXPECT_EQ(in.order.text(), "second.second.");
  });
}

// ---- a notification is never lost --------------------------------------------------------------------------------------------

/// Notified, it waits for the mutex and is cancelled: the next waiter is notified instead.
TEST_P(CondCancelOnEvery, ANotificationOfACancelledWaiterGoesToTheNext) {
  run([]() -> coro<> {
    room in;
    std::vector<task<>> waiters;
    co_await add_waiters(in, waiters, 3);
    {
      const guard held = co_await in.door.scoped_lock();
      in.changed.notify();
      waiters[0].cancel();
      co_await until_parked(waiters[0]);
    }
    co_await until_complete(waiters[0]);
    EXPECT_TRUE(waiters[0].cancelled());
    co_await waiters[1];
    EXPECT_EQ(in.order.text(), "Ab");
    EXPECT_TRUE(test::is_parked(waiters[2]));  // one notification, one waiter
    co_await notify(in, 1);
    co_await waiters[2];
  });
}

/// The same once it has been given the mutex too, but has not run: docs/decisions/cancel-on-the-worker.md.
TEST_P(CondCancelOnEvery, ANotificationGoesToTheNextAlsoWhenTheMutexHadBeenHandedOver) {
  room in;
  const auto time = clock().hold();
  std::vector<task<>> waiters;
  run([&]() -> coro<> { co_await add_waiters(in, waiters, 2); });
  const gate release;
  occupy(release);
  ASSERT_TRUE(in.door.try_lock());
  in.changed.notify();
  in.door.unlock();  // to the first, which cannot run yet
  EXPECT_TRUE(in.door.is_locked());
  EXPECT_TRUE(waiters[0].cancel());
  release.open();
  EXPECT_THROW(waiters[0].get(), task_cancelled);
  waiters[1].get();
  EXPECT_EQ(in.order.text(), "Ab");
  EXPECT_FALSE(in.door.is_locked());
}

/// A waiter that leaves takes no notification with it.
TEST_P(CondCancelOnEvery, AWaiterThatLeavesIsNotNotified) {
  run([]() -> coro<> {
    room in;
    std::vector<task<>> waiters;
    co_await add_waiters(in, waiters, 2);
    {
      const guard held = co_await in.door.scoped_lock();
      waiters[0].cancel();
      co_await until_parked(waiters[0]);  // out of the condition's queue, in the mutex's
      in.changed.notify();
    }
    co_await until_complete(waiters[0]);
    co_await waiters[1];
    EXPECT_EQ(in.order.text(), "Ab");
  });
}

// ---- on a plain thread -------------------------------------------------------------------------------------------------------

/// The thread gives up because its own task is asked to stop: the mutex is held all the same, and the notification goes on.
TEST_P(CondCancelOnPools, ABlockedTaskThatIsCancelledLosesNoNotification) {
  const auto time = clock().hold();
  for (int round = 0; round < 100; ++round) {
    room in;
    std::atomic<bool> waits{false};
    const task<> blocked = rt().spawn([&] {
      guard held = in.door.scoped_lock().get();
      waits.store(true);
      in.changed.wait(held).get();
      in.order += 'x';
    });
    spin_until([&] { return waits.load() && !in.door.is_locked(); });
    const task<> second = rt().spawn(wait_once, std::ref(in), 'b');
    spin_until([&] { return test::is_parked(second) && !in.door.is_locked(); });
    test::race(round, [&] { blocked.cancel(); }, [&] { notify_here(in); }, [&] { return !in.order.empty(); });
    try {
      blocked.get();
    } catch (const task_cancelled&) {
    }
    if (blocked.cancelled()) {
      second.get();
      ASSERT_EQ(in.order.text(), "b");
    } else {
      spin_until([&] { return test::is_parked(second); });
      ASSERT_EQ(in.order.text(), "x");
      notify_here(in);
      second.get();
    }
    ASSERT_FALSE(in.door.is_locked());
  }
}

// ---- races -------------------------------------------------------------------------------------------------------------------

/// One notification against the cancel of the first of two waiters: exactly one of the two is notified.
TEST_P(CondCancelOnPools, MtCond_NotifyAgainstCancel) {
  const auto time = clock().hold();
  int first_notified = 0;
  for (int round = 0; round < 300; ++round) {
    room in;
    std::vector<task<>> waiters;
    for (const char mark : {'a', 'b'}) {
      waiters.push_back(rt().spawn(wait_once, std::ref(in), mark));
      spin_until([&] { return test::is_parked(waiters.back()); });
    }
    test::race(round, [&] { waiters[0].cancel(); }, [&] { notify_here(in); }, [&] { return !in.order.empty(); });
    spin_until([&] { return waiters[0].done(); });
    if (waiters[0].cancelled()) {
      waiters[1].get();
      // The cancelled one may have come for the mutex before or after the one that was notified.
      ASSERT_TRUE(in.order.text() == "Ab" || in.order.text() == "bA") << in.order.text();
    } else {
      ++first_notified;
      spin_until([&] { return test::is_parked(waiters[1]); });
      ASSERT_EQ(in.order.text(), "a");
      notify_here(in);
      waiters[1].get();
    }
    ASSERT_FALSE(in.door.is_locked());
  }
  RecordProperty("first_notified", first_notified);
}

/// On the only worker, without a spare for it.
class without_a_spare {
 public:
  template <class Main>
  void run(Main&& main) {
    runtime_.run(std::forward<Main>(main));
  }

 private:
  runtime runtime_{{.workers = 1, .max_spares = 0}};
};

TEST(CondCancel, AGetThatWouldDeadlockHasTheMutexAgain) {
  mutex door;
  condition changed(door);
  without_a_spare().run([&]() -> coro<> {
    {
      guard held = co_await door.scoped_lock();
      EXPECT_THROW(changed.wait(held).get(), would_deadlock);
      EXPECT_TRUE(held);
      EXPECT_TRUE(door.is_locked());
    }
    EXPECT_FALSE(door.is_locked());
    EXPECT_TRUE(door.try_lock());
    door.unlock();
  });
}

/// The mutex went on to another task meanwhile: it is that task's, and the guard is empty.
TEST(CondCancel, AGetThatWouldDeadlockLeavesAnothersLockAlone) {
  mutex door;
  condition changed(door);
  without_a_spare().run([&]() -> coro<> {
    const gate leave;
    std::atomic<int> inside{0};
    const auto locks = [&]() -> coro<> {
      const guard mine = co_await door.scoped_lock();
      EXPECT_EQ(inside.fetch_add(1), 0);
      co_await leave;
      inside.fetch_sub(1);
    };
    task<> other;
    {
      guard held = co_await door.scoped_lock();
      other = spawn(locks);
      co_await test::until_parked(other);
      EXPECT_THROW(changed.wait(held).get(), would_deadlock);
      EXPECT_FALSE(held);
    }
    EXPECT_FALSE(door.try_lock());
    leave.open();
    co_await other;
    while (runtime::current()->tasks().size() > 1) co_await this_task::yield();
    EXPECT_FALSE(door.is_locked());
  });
}

}  // namespace
}  // namespace sheaf
