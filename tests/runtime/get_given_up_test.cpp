/// A blocking get() that ends before its task does: nothing it was given is lost, nothing of the caller stays in use.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include <sheaf/event.hpp>
#include <sheaf/mutex.hpp>
#include <sheaf/queue.hpp>
#include <sheaf/runtime.hpp>
#include <sheaf/sleep.hpp>
#include <sheaf/spawn.hpp>
#include <sheaf/this_task.hpp>

#include "support/flavour.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
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
