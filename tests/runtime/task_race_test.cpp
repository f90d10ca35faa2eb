/// Tasks under fire from several threads. Which side wins differs from run to run; what must hold does not.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sheaf/event.hpp>
#include <sheaf/gather.hpp>
#include <sheaf/mutex.hpp>
#include <sheaf/queue.hpp>
#include <sheaf/runtime.hpp>
#include <sheaf/semaphore.hpp>
#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>
#include <sheaf/when_all.hpp>

#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::drop_counter;
using test::gate;
using test::spin_until;

SHEAF_ON_NATIVE_POOLS(TaskRaces);

coro<int> value_after(gate at, int value) {
  co_await at;
  co_return value;
}

/// Waits for the end without looking at the outcome.
template <class T>
task_status end_of(const task<T>& handle) {
  try {
    static_cast<void>(handle.get());
  } catch (const task_cancelled&) {
  } catch (const std::runtime_error&) {
  }
  return handle.status();
}

// ---- cancel against progress -------------------------------------------------------------------------------------------------

/// MT-01: both threads start at the same gate; in one half of the rounds the canceller waits for the body to be nearly done. How often each
/// outcome occurs is up to the machine and only noted; that both can is the test below with the order forced.
TEST_P(TaskRaces, Mt01_CancelAgainstCompletion) {
  runtime& pool = start({}, false);
  drop_counter drops;
  int values = 0, cancelled_ones = 0;
  for (int round = 0; round < 200; ++round) {
    const gate open, nearly_done;
    const task<drop_counter::payload> raced = pool.spawn(
        [](gate open, gate nearly_done, drop_counter& drops) -> coro<drop_counter::payload> {
          co_await open;
          nearly_done.open();
          co_await this_task::yield();
          co_return drops.make(1);
        },
        open, nearly_done, std::ref(drops));
    spin_until([&] { return open.parked() == 1; });
    std::thread canceller([&] {
      if (round % 2 == 0) nearly_done.wait();
      raced.cancel();
    });
    open.open();
    const task_status end = end_of(raced);
    canceller.join();
    ASSERT_EQ(raced.status(), end);  // the same for every observer
    ASSERT_FALSE(raced.cancel());
    if (end == task_status::succeeded) {
      ASSERT_EQ(raced.result().value(), 1);
      ++values;
    } else {
      ASSERT_EQ(end, task_status::cancelled);
      ++cancelled_ones;
    }
  }
  EXPECT_EQ(drops.alive(), 0);
  EXPECT_EQ(values, drops.drops());
  RecordProperty("values", values);
  RecordProperty("cancelled", cancelled_ones);
}

/// TASK-13: a task and the one it observes are cancelled at the same moment. Whichever it hears of first, a handler for other tasks'
/// outcomes never swallows its own request, which comes once.
TEST_P(TaskRaces, Task13_BothAreCancelledAtOnce) {
  const auto held = clock().hold();
  for (int round = 0; round < 200; ++round) {
    const gate never;
    const task<int> target = rt().spawn(value_after, never, 1);
    std::atomic<int> own{0};
    const task<> observer = rt().spawn(
        [](task<int> target, std::atomic<int>& own) -> coro<> {
          try {
            try {
              co_await target;
            } catch (const std::exception&) {
            }
            co_await sleep_for(1h);  // until the request comes
          } catch (const cancelled&) {
            own.fetch_add(1);
          }
          co_await this_task::yield();
          throw cancelled("both");
        },
        target, std::ref(own));
    spin_until([&] { return test::waiters_of(target) == 1 && test::is_parked(target); });
    std::thread other([&] { target.cancel(); });
    EXPECT_TRUE(observer.cancel());
    other.join();
    ASSERT_EQ(end_of(observer), task_status::cancelled);
    ASSERT_EQ(own.load(), 1);
    ASSERT_EQ(end_of(target), task_status::cancelled);
  }
}

/// MT-01 with the order forced each way.
TEST_P(TaskRaces, Mt01_CancelThenCompletionAndCompletionThenCancel) {
  const auto held = clock().hold();
  const gate open;
  const task<int> early = rt().spawn(value_after, open, 1);
  spin_until([&] { return test::is_parked(early); });
  EXPECT_TRUE(early.cancel());
  EXPECT_EQ(end_of(early), task_status::cancelled);
  open.open();
  const task<int> late = rt().spawn(value_after, open, 1);
  EXPECT_EQ(end_of(late), task_status::succeeded);
  EXPECT_FALSE(late.cancel());
}

TEST_P(TaskRaces, Mt02_CancelFromEightThreadsAtOnce) {
  const auto held = clock().hold();
  for (int round = 0; round < 20; ++round) {
    const gate leave, go;
    std::atomic<int> delivered{0};
    const task<unsigned> target = rt().spawn(
        [](gate leave, std::atomic<int>& delivered) -> coro<unsigned> {
          co_await test::pass_stubbornly(leave, &delivered);
          co_return this_task::cancelling();
        },
        leave, std::ref(delivered));
    spin_until([&] { return leave.parked() == 1; });
    std::atomic<int> recorded{0};
    std::vector<std::thread> cancellers;
    for (int i = 0; i < 8; ++i) {
      cancellers.emplace_back([&] {
        go.wait();
        for (int n = 0; n < 4; ++n) recorded.fetch_add(target.cancel() ? 1 : 0);
      });
    }
    go.open();
    for (std::thread& each : cancellers) each.join();
    spin_until([&] { return delivered.load() != 0; });
    leave.open();
    EXPECT_EQ(target.get(), 32U);
    EXPECT_EQ(recorded.load(), 32);
    EXPECT_LE(delivered.load(), 32);
  }
}

/// Wherever it is parked, it resumes on its own runtime, never on the canceller's stack, and its entry is gone.
TEST_P(TaskRaces, Mt06_CancelFromAForeignThreadWhereverItIsParked) {
  auto held = std::make_optional(clock().hold());
  runtime& mine = rt();
  runtime other({.workers = 1});
  const auto foreign = other.enter();
  const auto canceller = std::this_thread::get_id();
  semaphore none(0);
  mutex door;
  ASSERT_TRUE(door.try_lock());
  queue<int> empty, full(1), unfinished;
  ASSERT_TRUE(full.try_push(1) && unfinished.try_push(1));
  event unset;
  const gate never;
  const task<int> target = mine.spawn(value_after, never, 1);

  std::vector<task<>> parked;
  const auto park = [&](auto waits) {
    const auto checked = [&mine, canceller, waits]() -> coro<> {
      try {
        co_await waits();
        ADD_FAILURE() << "it went on";
      } catch (const cancelled&) {
        EXPECT_NE(std::this_thread::get_id(), canceller);
        EXPECT_EQ(runtime::current(), &mine);
        throw;
      }
    };
    parked.push_back(mine.spawn(checked));
  };
  park([]() -> coro<> { co_await sleep_for(1h); });
  park([&none]() -> coro<> { const permit one = co_await none.acquire(); });
  park([&door]() -> coro<> { const auto guard = co_await door.scoped_lock(); });
  park([&empty]() -> coro<> { co_await empty.pop(); });
  park([&full]() -> coro<> { co_await full.push(2); });
  park([&unfinished]() -> coro<> { co_await unfinished.join(); });
  park([&unset]() -> coro<> { co_await unset.wait(); });
  park([&target]() -> coro<> { co_await target; });
  park([never]() -> coro<> { co_await spawn(value_after, never, 1); });
  park([never]() -> coro<> { co_await gather(value_after(never, 1), value_after(never, 2)); });
  park([never]() -> coro<> { co_await when_all(value_after(never, 1), value_after(never, 2)); });
  park([]() -> coro<> {
    co_await spawn_blocking([](const cancel_token& token) { spin_until([&token] { return token.requested(); }); });
  });
  for (const task<>& each : parked) {
    spin_until([&] { return test::is_parked(each); });
    EXPECT_TRUE(each.cancel());
    EXPECT_EQ(end_of(each), task_status::cancelled);
  }

  EXPECT_EQ(test::waiters_of(target), 0U);
  EXPECT_EQ(never.parked(), 1U);  // the target
  none.release();
  EXPECT_EQ(none.available(), 1U);
  door.unlock();
  EXPECT_FALSE(door.is_locked());
  EXPECT_TRUE(empty.try_push(3));
  EXPECT_EQ(empty.size(), 1U);
  EXPECT_EQ(full.try_pop(), 1);
  EXPECT_TRUE(full.empty());
  unfinished.task_done();
  unset.set();
  held.reset();
  leaves_tasks_on_purpose();
  EXPECT_THROW(run([never]() -> coro<> { co_await never; }), would_deadlock);
  EXPECT_EQ(clock().now(), 0ns);  // there is no timer to move it
  never.open();
  EXPECT_EQ(target.get(), 1);
}

/// MT-07: the grant and the cancel come together: resumed exactly once, and the permit is either held or back.
TEST_P(TaskRaces, Mt07_GrantAgainstCancel) {
  runtime& pool = start({}, false);
  int had_it = 0;
  for (int round = 0; round < 200; ++round) {
    semaphore sem(0);
    int resumed = 0;
    const task<int> waiter = pool.spawn(
        [](semaphore& sem, int& resumed) -> coro<int> {
          try {
            const permit mine = co_await sem.acquire();
            ++resumed;
            co_return 1;
          } catch (const cancelled&) {
            ++resumed;
            throw;
          }
        },
        std::ref(sem), std::ref(resumed));
    spin_until([&] { return test::is_parked(waiter); });
    std::thread canceller([&] { waiter.cancel(); });
    sem.release();
    had_it += end_of(waiter) == task_status::succeeded ? 1 : 0;
    canceller.join();
    ASSERT_EQ(resumed, 1);
    ASSERT_EQ(sem.available(), 1U);
  }
  RecordProperty("had_it", had_it);
}

/// The same with a timer: fired or cancelled, once.
TEST_P(TaskRaces, Mt07_TimerAgainstCancel) {
  const auto held = clock().hold();
  for (int round = 0; round < 100; ++round) {
    int resumed = 0;
    const task<> sleeper = rt().spawn(
        [](int& resumed) -> coro<> {
          try {
            co_await sleep_for(1s);
          } catch (const cancelled&) {
            ++resumed;
            throw;
          }
          ++resumed;
        },
        std::ref(resumed));
    spin_until([&] { return test::is_parked(sleeper); });
    std::thread canceller([&] { sleeper.cancel(); });
    clock().advance(1s);
    end_of(sleeper);
    canceller.join();
    ASSERT_EQ(resumed, 1);
  }
}

/// MT-09: the waker runs before the waiting task's step has ended.
TEST_P(TaskRaces, Mt09_WokenBeforeItsStepHasEnded) {
  runtime& pool = start({}, false);
  for (int round = 0; round < 300; ++round) {
    const gate open, about_to_wait;
    const task<int> waits = pool.spawn(
        [](gate open, gate about_to_wait) -> coro<int> {
          about_to_wait.open();
          co_await open;
          co_return 1;
        },
        open, about_to_wait);
    about_to_wait.wait();
    open.open();
    ASSERT_EQ(waits.get(), 1);
  }
}

// ---- many observers ----------------------------------------------------------------------------------------------------------

TEST_P(TaskRaces, Mt13_ManyObserversSeeOneObject) {
  runtime& pool = start({}, false);
  for (int round = 0; round < 50; ++round) {
    const gate open;
    const task<std::string> target = pool.spawn(
        [](gate open) -> coro<std::string> {
          co_await open;
          co_return std::string(100, 'z');
        },
        open);
    std::vector<task<const void*>> observers;
    for (int i = 0; i < 8; ++i) {
      observers.push_back(pool.spawn(
          [](task<std::string> target) -> coro<const void*> {
            const std::string& seen = co_await target;
            EXPECT_EQ(seen.size(), 100U);
            co_return &seen;
          },
          target));
    }
    open.open();
    const void* const object = &target.get();
    for (const auto& each : observers) ASSERT_EQ(each.get(), object);
  }
}

/// MT-15: a thousand waiters register while it completes: each resumes exactly once.
TEST_P(TaskRaces, Mt15_AThousandWaitersRegisterWhileItCompletes) {
  runtime& pool = start({}, false);
  for (int round = 0; round < 5; ++round) {
    const gate open;
    std::atomic<int> resumed{0};
    const task<int> target = pool.spawn(value_after, open, 3);
    std::vector<task<>> waiters;
    for (int i = 0; i < 1000; ++i) {
      waiters.push_back(pool.spawn(
          [](task<int> target, std::atomic<int>& resumed) -> coro<> {
            EXPECT_EQ(co_await target, 3);
            resumed.fetch_add(1);
          },
          target, std::ref(resumed)));
      if (i == 100 * round) open.open();
    }
    for (const task<>& each : waiters) each.get();
    ASSERT_EQ(resumed.load(), 1000);
  }
}

/// Waiters leave by cancellation while the target completes.
TEST_P(TaskRaces, WaitersLeaveWhileItCompletes) {
  runtime& pool = start({}, false);
  for (int round = 0; round < 50; ++round) {
    const gate open;
    const task<int> target = pool.spawn(value_after, open, 3);
    std::vector<task<int>> waiters;
    for (int i = 0; i < 16; ++i)
      waiters.push_back(pool.spawn([](task<int> target) -> coro<int> { co_return co_await target; }, target));
    spin_until([&] { return test::waiters_of(target) == 16; });
    std::thread canceller([&] {
      for (std::size_t i = 0; i < waiters.size(); i += 2) waiters[i].cancel();
    });
    open.open();
    for (std::size_t i = 0; i < waiters.size(); ++i) {
      const task_status end = end_of(waiters[i]);
      if (i % 2 != 0) ASSERT_EQ(end, task_status::succeeded);
      if (end == task_status::succeeded) ASSERT_EQ(waiters[i].result(), 3);
    }
    canceller.join();
  }
}

TEST_P(TaskRaces, Mt17_AReaderKeepsTheResultWhileOthersDropTheirHandles) {
  runtime& pool = start({}, false);
  drop_counter drops;
  for (int round = 0; round < 100; ++round) {
    task<drop_counter::payload> made = pool.spawn([](drop_counter& drops) { return drops.make(4); }, std::ref(drops));
    std::array<task<>, 4> readers;
    for (auto& each : readers) {
      each = pool.spawn([](const task<drop_counter::payload>& mine) -> coro<> { EXPECT_EQ((co_await mine).value(), 4); }, made);
    }
    made = {};
    for (auto& each : readers) each.get();
  }
  spin_until([&] { return drops.alive() == 0; });
  EXPECT_EQ(drops.drops(), 100);
}

TEST_P(TaskRaces, Mt18_OneErrorIsRethrownInSeveralThreads) {
  runtime& pool = start({}, false);
  for (int round = 0; round < 20; ++round) {
    const task<> failing = pool.spawn([] { throw std::runtime_error("shared"); });
    std::vector<std::thread> readers;
    for (int i = 0; i < 4; ++i) {
      readers.emplace_back([&failing] {
        try {
          failing.get();
          ADD_FAILURE() << "no error";
        } catch (const std::runtime_error& error) {
          EXPECT_STREQ(error.what(), "shared");
        }
      });
    }
    for (std::thread& each : readers) each.join();
  }
}

/// MT-19: plain writes before the end are visible after get() and await, through chains of tasks.
TEST_P(TaskRaces, Mt19_WritesBeforeTheEndAreSeenAfterIt) {
  runtime& pool = start({}, false);
  for (int round = 0; round < 200; ++round) {
    int plain = 0;
    const task<> writer = pool.spawn([](int& plain) { plain = 1; }, std::ref(plain));
    const task<> adder = pool.spawn(
        [](task<> writer, int& plain) -> coro<> {
          co_await writer;
          ++plain;
        },
        writer, std::ref(plain));
    adder.get();
    ASSERT_EQ(plain, 2);
  }
}

// ---- lifetime ----------------------------------------------------------------------------------------------------------------

TEST_P(TaskRaces, HandlesAreDroppedWhileTheTaskEnds) {
  runtime& pool = start({}, false);
  drop_counter drops;
  for (int round = 0; round < 200; ++round) {
    const gate open;
    task<drop_counter::payload> first = pool.spawn(
        [](gate open, drop_counter& drops) -> coro<drop_counter::payload> {
          co_await open;
          co_return drops.make();
        },
        open, std::ref(drops));
    task<drop_counter::payload> second = first;
    std::thread dropper([&] { second = {}; });
    open.open();
    first = {};
    dropper.join();
  }
  pool.run([&]() -> coro<> {
    while (drops.drops() != 200) co_await this_task::yield();
    while (runtime::current()->tasks().size() != 1) co_await this_task::yield();
  });
}

TEST_P(TaskRaces, AFailureIsReportedOnceHoweverItsHandlesGo) {
  std::atomic<int> reports{0};
  runtime& pool =
      start({.on_unobserved_error = [&reports](std::string_view, const std::exception_ptr&) { reports.fetch_add(1); }}, false);
  for (int round = 0; round < 200; ++round) {
    const gate open;
    task<> first = pool.spawn(
        [](gate open) -> coro<> {
          co_await open;
          throw std::runtime_error("lost");
        },
        open);
    task<> second = first;
    std::thread dropper([&] { second = {}; });
    open.open();
    first = {};
    dropper.join();
  }
  pool.run([&]() -> coro<> {
    while (reports.load() != 200) co_await this_task::yield();
    while (runtime::current()->tasks().size() != 1) co_await this_task::yield();
  });
  EXPECT_EQ(reports.load(), 200);
}

/// get() from several plain threads, with limits that pass while the task ends.
TEST_P(TaskRaces, GetForAgainstCompletion) {
  runtime& pool = start({}, false);
  int in_time = 0;
  for (int round = 0; round < 100; ++round) {
    const gate open;
    const task<int> target = pool.spawn(value_after, open, 5);
    std::thread opener([&] { open.open(); });
    try {
      EXPECT_EQ(target.get_for(std::chrono::microseconds(round)), 5);
      ++in_time;
    } catch (const timeout_error&) {
    }
    opener.join();
    ASSERT_EQ(target.get(), 5);
    ASSERT_EQ(test::waiters_of(target), 0U);
  }
  RecordProperty("in_time", in_time);
}

/// A worker blocked in get() is cancelled while its target completes.
TEST_P(TaskRaces, CancelAgainstTheEndOfABlockingGet) {
  runtime& pool = start({}, false);
  for (int round = 0; round < 100; ++round) {
    const gate open;
    const task<int> target = pool.spawn(value_after, open, 5);
    const task<int> blocked = pool.spawn([](const task<int>& target) { return target.get(); }, target);
    spin_until([&] { return test::waiters_of(target) == 1; });
    std::thread canceller([&] { blocked.cancel(); });
    open.open();
    const task_status end = end_of(blocked);
    canceller.join();
    ASSERT_TRUE(end == task_status::succeeded || end == task_status::cancelled);
    ASSERT_EQ(target.get(), 5);
    ASSERT_EQ(test::waiters_of(target), 0U);
  }
}

// ---- MT-36 -------------------------------------------------------------------------------------------------------------------

/// Five permits, a thousand tasks, every third cancelled: never more than five inside, five permits at the end.
TEST_P(TaskRaces, Mt36_ASemaphoreUnderRandomCancels) {
  runtime& pool = start({}, false);
  semaphore sem(5);
  std::atomic<int> inside{0};
  std::vector<task<>> all;
  for (int i = 0; i < 1000; ++i) {
    all.push_back(pool.spawn(
        [](semaphore& sem, std::atomic<int>& inside) -> coro<> {
          const permit mine = co_await sem.acquire();
          EXPECT_LE(inside.fetch_add(1) + 1, 5);
          struct leave {
            explicit leave(std::atomic<int>& count) : count_(&count) {}
            leave(const leave&) = delete;
            leave& operator=(const leave&) = delete;
            ~leave() { count_->fetch_sub(1); }
            std::atomic<int>* count_;
          };
          const leave at_the_end(inside);
          co_await this_task::yield();
        },
        std::ref(sem), std::ref(inside)));
    if (i % 3 == 0) all[static_cast<std::size_t>(i) * 7 % all.size()].cancel();
  }
  for (const task<>& each : all) end_of(each);
  EXPECT_EQ(inside.load(), 0);
  EXPECT_EQ(sem.available(), 5U);
}

/// MT-20, MT-21: the children of a fork end, or fail, on several workers at once.
TEST_P(TaskRaces, Mt20_ChildrenOfAForkEndAtOnce) {
  runtime& pool = start({}, false);
  for (int round = 0; round < 100; ++round) {
    const gate together;
    const auto whole = [](gate together, bool failing) -> coro<int> {
      const auto child = [](gate together, int value, bool failing) -> coro<int> {
        co_await together;
        if (failing) throw value;
        co_return value;
      };
      std::vector<coro<int>> children;
      for (int i = 0; i < 8; ++i) children.push_back(child(together, i, failing && i % 2 == 0));
      int sum = 0;
      for (const int each : co_await when_all(std::move(children))) sum += each;
      co_return sum;
    };
    const task<int> parent = pool.spawn(whole, together, round % 2 == 1);
    spin_until([&] { return together.parked() == 8; });
    together.open();
    if (round % 2 == 0) {
      ASSERT_EQ(parent.get(), 28);
    } else {
      ASSERT_THROW(static_cast<void>(parent.get()), int);
    }
  }
}

}  // namespace
}  // namespace sheaf
