/// A blocking get() that ends before its task does: nothing it was given is lost, nothing of the caller stays in use.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <utility>

#include <sheaf/clock.hpp>
#include <sheaf/event.hpp>
#include <sheaf/inline_executor.hpp>
#include <sheaf/mutex.hpp>
#include <sheaf/queue.hpp>
#include <sheaf/runtime.hpp>
#include <sheaf/sleep.hpp>
#include <sheaf/spawn.hpp>
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
using test::until_complete;

SHEAF_ON_NATIVE_POOLS(GivenUpGetOnPools);

coro<int> sleep_then(std::chrono::nanoseconds length, int value) { co_return co_await sleep_for(length, value); }

/// Whatever wakes the thread before its time, the limit counts from the call.
TEST_P(GivenUpGetOnPools, ALimitDoesNotBeginAnewWhenACallbackIsRegistered) {
  run([this]() -> coro<> {
    const task<int> slow = spawn(sleep_then, 1h, 5);
    cancel_token token;
    const auto blocks = [&token, slow]() -> coro<> {
      token = this_task::token();
      this_task::handle().cancel();
      EXPECT_THROW(co_await this_task::yield(), cancelled);  // delivered, but it stands: callbacks are called at once
      EXPECT_THROW(static_cast<void>(slow.get_for(100ms)), timeout_error);
    };
    const task<> blocked = spawn(blocks);
    co_await sleep_for(60ms);
    bool called = false;
    {
      const auto late = token.on_cancel([&called] { called = true; });
    }
    EXPECT_TRUE(called);
    co_await blocked;
    EXPECT_EQ(clock().now(), 100ms);
    slow.cancel();
    co_await until_complete(slow);
  });
}

/// Without anybody to run the task that waits, this thread ends it: nothing of the caller stays in use.
TEST(GivenUpGet, AWaitThatWouldDeadlockIsEndedInPlace) {
  runtime rt({.workers = 1, .max_spares = 0});
  rt.run([]() -> coro<> {
    {
      event never;
      EXPECT_THROW(never.wait().get(), would_deadlock);
    }
    {
      mutex taken;
      EXPECT_TRUE(taken.try_lock());
      EXPECT_THROW(taken.lock().get(), would_deadlock);
      taken.unlock();
      EXPECT_FALSE(taken.is_locked());
    }
    {
      queue<int> empty;
      EXPECT_THROW(static_cast<void>(empty.pop().get()), would_deadlock);
    }
    EXPECT_EQ(runtime::current()->tasks().size(), 1U);
    co_await this_task::yield();
  });
}

/// Nor does a blocking call of the task's go on with it.
TEST(GivenUpGet, ACallOfTheTaskIsWaitedFor) {
  for (int round = 0; round < 100; ++round) {
    runtime rt({.workers = 1, .max_spares = 0});
    rt.run([]() -> coro<> {
      std::atomic<bool> begun{false}, ended{false};
      const auto call = [&](cancel_token token) {
        begun.store(true);
        while (!token.requested()) std::this_thread::yield();
        for (int i = 0; i < 100; ++i) std::this_thread::yield();
        ended.store(true);
      };
      const auto work = [&]() -> coro<> { co_await spawn_blocking(call); };
      EXPECT_THROW(work().get(), would_deadlock);
      EXPECT_EQ(begun.load(), ended.load());
      co_return;
    });
  }
}

/// A call that some other task has made, and will not end, is none of this wait's.
TEST(GivenUpGet, ACallOfAnotherTaskIsNotWaitedFor) {
  const test::gate leave;
  runtime rt({.workers = 1, .max_spares = 0});
  const task<> other = rt.spawn_blocking([](test::gate leave) { leave.wait(); }, leave);
  rt.run([]() -> coro<> {
    event never;
    EXPECT_THROW(never.wait().get(), would_deadlock);
    co_return;
  });
  leave.open();
  other.get();
}

/// Waits to be asked to stop, then for its cleanup, and ends cancelled.
template <class Cleanup>
coro<> stop_slowly(Cleanup& cleanup, bool& cleaned) {
  const bool asked = co_await test::until_asked_to_stop();
  if (!asked) co_return;
  co_await cleanup();
  cleaned = true;
  throw cancelled();
}

// What follows needs more than this stack: the only thread that could go on with it is the one that waits. Pools have one thread.

class GivenUpGetOfTheLastThread : public ::testing::Test {
 protected:
  template <class F>
  static void run(F&& body, runtime_options options = {}) {
    options.workers = 1;
    options.max_spares = 0;
    runtime rt(std::move(options));
    rt.run(std::forward<F>(body));
  }
};

/// A cleanup that waits is the task's as much as any other step of it.
TEST_F(GivenUpGetOfTheLastThread, ACleanupThatSleepsIsWaitedFor) {
  run([]() -> coro<> {
    bool cleaned = false;
    const auto cleanup = [] { return sleep_for(5ms); };
    EXPECT_THROW(stop_slowly(cleanup, cleaned).get(), would_deadlock);
    EXPECT_TRUE(cleaned);
    co_return;
  });
}

TEST_F(GivenUpGetOfTheLastThread, ACleanupThatWaitsForAnotherThreadIsWaitedFor) {
  std::atomic<event*> awaited{nullptr};
  std::thread outside([&] {
    test::spin_until([&] { return awaited.load() != nullptr; });
    awaited.load()->set();
  });
  run([&]() -> coro<> {
    event done;
    bool cleaned = false;
    const auto cleanup = [&] {
      awaited.store(&done);
      return done.wait();
    };
    EXPECT_THROW(stop_slowly(cleanup, cleaned).get(), would_deadlock);
    EXPECT_TRUE(cleaned);
    co_return;
  });
  outside.join();
}

/// Its children are queued on the thread that waits.
TEST_F(GivenUpGetOfTheLastThread, ChildrenEndBeforeIt) {
  run([]() -> coro<> {
    event never;
    drop_counter drops;
    const auto child = [&](const drop_counter::payload&) -> coro<> { co_await never.wait(); };
    const auto begin = [&](drop_counter::payload a, drop_counter::payload b) -> coro<> { co_await when_all(child(a), child(b)); };
    const auto work = [&]() -> coro<> { co_await begin(drops.make(), drops.make()); };
    EXPECT_THROW(work().get(), would_deadlock);
    EXPECT_EQ(drops.drops(), 2);
    EXPECT_EQ(drops.alive(), 0);
    co_return;
  });
}

/// A call one level down is waiting for the only thread that makes calls: the request to end it is queued on the thread that waits.
TEST_F(GivenUpGetOfTheLastThread, ACallOfAChildThatWaitsForAThreadEndsBeforeIt) {
  const test::gate leave;
  run(
      [leave]() -> coro<> {
        const task<> busy = spawn_blocking([](test::gate leave) { leave.wait(); }, leave);
        drop_counter drops;
        const auto call = [](const drop_counter::payload&) { ADD_FAILURE() << "it was asked to stop before it began"; };
        const auto inner = [&]() -> coro<> { co_await spawn_blocking(call, drops.make()); };
        const auto outer = [&]() -> coro<> { co_await inner(); };
        EXPECT_THROW(outer().get(), would_deadlock);
        EXPECT_EQ(drops.alive(), 0);
        leave.open();
        co_await busy;
      },
      {.max_blocking_threads = 1});
}

/// In a task of an inline executor every get() of what has begun is refused; what it gives up is run to its end all the same.
TEST(GivenUpGet, OnAnInlineExecutorWhatIsQueuedIsRunHere) {
  inline_executor host;
  runtime rt({.executor = &host});
  bool cleaned = false;
  const task<> main = rt.spawn([&]() -> coro<> {
    event never;
    const auto child = [&]() -> coro<> { co_await never.wait(); };
    const auto work = [&]() -> coro<> {
      bool stopped = false;
      try {
        co_await when_all(child(), child());
      } catch (const cancelled&) {
        stopped = true;
      }
      if (!stopped) co_return;
      co_await sleep_for(2ms);
      cleaned = true;
      throw cancelled();
    };
    EXPECT_THROW(work().get(), would_deadlock);
    EXPECT_TRUE(cleaned);
    co_return;
  });
  main.get();
}

// ---- on a manual clock

/// Time moves for the cleanup, and whoever else waits is told that nothing can move any more.
TEST(GivenUpGet, OnAManualClockTheCleanupsSleepPasses) {
  manual_clock clock;
  runtime rt({.workers = 2, .clock = &clock});
  rt.run([]() -> coro<> {
    bool cleaned = false;
    const auto cleanup = [] { return sleep_for(1h); };
    EXPECT_THROW(stop_slowly(cleanup, cleaned).get(), would_deadlock);
    EXPECT_TRUE(cleaned);
    co_return;
  });
  EXPECT_EQ(clock.now(), 1h);
}

/// On a stack of two runtimes, of which one has a clock: a wait for the other has told that clock nothing.
TEST(GivenUpGet, OnAManualClockTimePassesForAGetInACleanupOfAnotherRuntime) {
  manual_clock clock;
  runtime timed({.workers = 2, .clock = &clock}), other({.workers = 1, .max_spares = 0});
  std::atomic<bool> begun{false}, ends{false};
  // The other runtime's only worker is busy, so that the cleanup runs on the waiting stack.
  const auto busy = [&]() -> coro<> {
    test::spin_until([&] { return ends.load(); });
    co_return;
  };
  const task<> holder = other.spawn(borrowed(busy()));
  timed.run([&]() -> coro<> {
    const auto sleeps = []() -> coro<> { co_await sleep_for(10s); };
    const task<> sleeper = timed.spawn(sleeps);
    const auto target = [&]() -> coro<> {
      begun.store(true);
      const bool asked = co_await test::until_asked_to_stop();
      if (asked) sleeper.get();
    };
    const auto eager = [&]() -> coro<> {
      target().get();  // a value: what its cleanup has done counts
      co_return;
    };
    std::thread canceller([&] {
      test::spin_until([&] { return begun.load(); });
      for (const any_task& each : other.tasks()) {
        if (each.name() == "eager") each.cancel();
      }
    });
    const task<> made = other.spawn(spawn_options{.name = "eager", .eager = true}, borrowed(eager()));
    canceller.join();
    co_await made;
  });
  ends.store(true);
  holder.get();
  EXPECT_EQ(clock.now(), 10s);
}

/// The caller, inside a blocking call, waits for an event from outside; run() is told that time cannot help.
TEST(GivenUpGet, OnAManualClockAnotherWaiterIsTold) {
  manual_clock clock;
  runtime rt({.workers = 1, .clock = &clock});
  event outside;
  std::atomic<bool> ended{false};
  const auto calls = [&] {
    event never;
    const auto work = [&]() -> coro<> {
      try {
        co_await never.wait();
      } catch (const cancelled&) {
      }
      co_await outside.wait();
      ended.store(true);
      throw cancelled();
    };
    EXPECT_THROW(work().get(), would_deadlock);
    EXPECT_TRUE(ended.load());
  };
  const task<> call = rt.spawn_blocking(calls);
  EXPECT_THROW(call.get(), would_deadlock);
  EXPECT_THROW(call.get(), would_deadlock);
  EXPECT_FALSE(ended.load());
  outside.set();
  call.get();
}

/// What a wait was given before its get() was cancelled is not lost: the value counts, the next wait is cancelled.
TEST_P(GivenUpGetOnPools, AnItemThatWasHandedOverBeforeTheCancelArrives) {
  const auto time = clock().hold();
  int both = 0;
  for (int round = 0; round < 500; ++round) {
    queue<int> items;
    std::atomic<bool> got{false}, cancelled_later{false};
    const auto pops = [&]() -> coro<> {
      got.store(items.pop().get() == 1);
      try {
        co_await this_task::yield();
      } catch (const cancelled&) {
        cancelled_later.store(true);
        throw;
      }
    };
    const task<> job = rt().spawn(borrowed(pops()));
    test::spin_until([&] { return rt().metrics().live_tasks == 2; });
    EXPECT_TRUE(items.try_push(1));
    for (int i = 0; i < round % 50; ++i) std::this_thread::yield();
    job.cancel();
    test::spin_until([&] { return job.done(); });
    EXPECT_EQ(items.size() + (got.load() ? 1 : 0), 1U);
    both += cancelled_later.load() ? 1 : 0;
  }
  RecordProperty("value_and_request", both);
}

}  // namespace
}  // namespace sheaf
