/// spawn_blocking: calls that may block, their values, their cancellation, their queue.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sheaf/runtime.hpp>
#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>

#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/run_test.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using test::drop_counter;
using test::gate;
using test::until_complete;

SHEAF_ON_EVERY_FLAVOUR(BlockingOnEvery);
SHEAF_ON_NATIVE_POOLS(BlockingOnPools);

TEST_P(BlockingOnEvery, Thread01_TheCallRunsOnceOnAnotherThreadAndItsValueComesBack) {
  run([]() -> coro<> {
    std::atomic<int> calls{0};
    const auto self = std::this_thread::get_id();
    auto call = spawn_blocking(
        [](std::atomic<int>& calls) {
          calls.fetch_add(1);
          return std::this_thread::get_id();
        },
        std::ref(calls));
    EXPECT_NE(co_await std::move(call), self);
    EXPECT_EQ(calls.load(), 1);
  });
}

TEST_P(BlockingOnEvery, Thread02_ItsErrorComesOutOfTheAwait) {
  run([]() -> coro<> {
    const task<> failing = spawn_blocking([] { throw std::runtime_error("in the call"); });
    EXPECT_THROW(co_await failing, std::runtime_error);
  });
}

TEST_P(BlockingOnEvery, Thread03_TenCallsAtOnce) {
  std::atomic<int> inside{0};
  const gate all_in;
  run([&]() -> coro<> {
    std::vector<task<int>> calls;
    for (int i = 0; i < 10; ++i) {
      calls.push_back(spawn_blocking(
          [](int number, std::atomic<int>& inside, gate all_in) {
            if (inside.fetch_add(1) + 1 == 10) all_in.open();
            all_in.wait();  // none returns before all run
            return number;
          },
          i, std::ref(inside), all_in));
    }
    for (int i = 0; i < 10; ++i) EXPECT_EQ(co_await std::move(calls[static_cast<std::size_t>(i)]), i);
  });
}

TEST_P(BlockingOnEvery, Thread04_ArgumentsArriveAsGiven) {
  run([]() -> coro<> {
    int target = 1;
    auto box = co_await spawn_blocking(
        [](std::unique_ptr<int> given, int& to, const std::string& text) {
          to = static_cast<int>(text.size());
          return given;
        },
        std::make_unique<int>(3), std::ref(target), std::string("four"));
    EXPECT_EQ(*box, 3);
    EXPECT_EQ(target, 4);
  });
}

TEST_P(BlockingOnEvery, ACallMaySpawnAndNameItself) {
  run([]() -> coro<> {
    auto call = spawn_blocking(spawn_options{.name = "reader"}, [] {
      EXPECT_EQ(this_task::name(), "reader");
      return spawn([] { return 5; }).get();
    });
    EXPECT_EQ(co_await std::move(call), 5);
  });
}

/// One blocking thread, which is busy: what is queued behind it is cancelled without waiting for it.
TEST_P(BlockingOnEvery, Thread07_CancelledBeforeItsStartItNeverRunsAndEndsAtOnce) {
  drop_counter drops;
  start({.max_blocking_threads = 1});
  bool ran = false;
  run([&]() -> coro<> {
    const gate leave;
    auto busy = spawn_blocking([](gate leave) { leave.wait(); }, leave);
    auto queued = spawn_blocking([](const drop_counter::payload&, bool& ran) { ran = true; }, drops.make(), std::ref(ran));
    EXPECT_TRUE(queued.cancel("not needed"));
    try {
      co_await queued;
      ADD_FAILURE() << "it ended otherwise";
    } catch (const task_cancelled& caught) {
      EXPECT_EQ(caught.reason(), "not needed");
    }
    EXPECT_EQ(drops.drops(), 1);
    leave.open();
    co_await busy;
    co_await spawn_blocking([] {});  // the queue has been passed
  });
  EXPECT_FALSE(ran);
}

/// The token turns on, and whoever owns the call waits for its return; its result is destroyed.
TEST_P(BlockingOnEvery, Mt05_CancellingARunningCallTurnsItsTokenOnAndTheAwaiterWaits) {
  drop_counter drops;
  run([&drops]() -> coro<> {
    const gate inside, asked, leave;
    const auto awaits = [](gate inside, gate asked, gate leave, drop_counter& drops) -> coro<> {
      auto call = spawn_blocking(
          [](const cancel_token& token, gate inside, gate asked, gate leave, drop_counter& drops) {
            const auto registered = token.on_cancel([&asked] { asked.open(); });
            inside.open();
            leave.wait();
            EXPECT_TRUE(token.requested());
            return drops.make();
          },
          inside, asked, leave, std::ref(drops));
      const auto value = co_await std::move(call);
      ADD_FAILURE() << "it went on";
    };
    const task<> awaiting = spawn(awaits, inside, asked, leave, std::ref(drops));
    co_await inside;
    co_await test::until_parked(awaiting);
    awaiting.cancel();
    co_await asked;
    EXPECT_FALSE(awaiting.done());
    leave.open();
    co_await until_complete(awaiting);
    EXPECT_TRUE(awaiting.cancelled());
    while (runtime::current()->tasks().size() > 1) co_await this_task::yield();
  });
  EXPECT_EQ(drops.drops(), 1);
}

TEST_P(BlockingOnEvery, Mt05_ACancelledCallThatReturnsAValueHasThatValue) {
  run([]() -> coro<> {
    const gate inside, leave;
    const task<int> call = spawn_blocking(
        [](gate inside, gate leave) {
          inside.open();
          leave.wait();
          return 6;
        },
        inside, leave);
    co_await inside;
    EXPECT_TRUE(call.cancel());
    leave.open();
    EXPECT_EQ(co_await call, 6);
    const task<> obeys = spawn_blocking([](const cancel_token& token) {
      while (!token.requested()) std::this_thread::yield();
      token.throw_if_requested();
    });
    obeys.cancel();
    co_await until_complete(obeys);
    EXPECT_TRUE(obeys.cancelled());
  });
}

/// The call was ended on a worker, which then went on with the awaiter before the call was counted off: manual time stood still.
TEST_P(BlockingOnPools, ACancelledQueuedCallIsOverBeforeItsAwaiterGoesOn) {
  start({.max_blocking_threads = 1});
  run([this]() -> coro<> {
    const gate in_call, leave;
    const auto wait_there = [](gate in_call, gate leave) {
      in_call.open();
      leave.wait();
    };
    const task<> busy = spawn_blocking(wait_there, in_call, leave);
    co_await in_call;
    const task<> queued = spawn_blocking([] { ADD_FAILURE() << "a cancelled call ran"; });
    const auto wait_for_it = [](task<> queued, gate leave) -> coro<> {
      try {
        co_await queued;
      } catch (const task_cancelled&) {
      }
      leave.open();
      spawn([]() -> coro<> { co_await sleep_for(std::chrono::hours(1)); }).get();
    };
    const task<> waiter = spawn(wait_for_it, queued, leave);
    co_await test::until_parked(waiter);
    queued.cancel();
    co_await waiter;
    EXPECT_EQ(clock().now(), std::chrono::hours(1));
  });
}

TEST_P(BlockingOnEvery, OneThreadServesCallsFirstInFirstOut) {
  start({.max_blocking_threads = 1});
  run([]() -> coro<> {
    const gate leave;
    std::vector<int> order;
    auto busy = spawn_blocking([](gate leave) { leave.wait(); }, leave);
    std::vector<task<>> calls;
    for (int i = 0; i < 20; ++i)
      calls.push_back(spawn_blocking([](int i, std::vector<int>& order) { order.push_back(i); }, i, std::ref(order)));
    EXPECT_LE(runtime::current()->metrics().blocking_threads, 1U);
    leave.open();
    for (task<>& each : calls) co_await std::move(each);
    co_await std::move(busy);
    EXPECT_EQ(order.size(), 20U);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
  });
}

TEST_P(BlockingOnEvery, Mt42_WithItsThreadsBusyOrdinaryTasksGoOn) {
  start({.max_blocking_threads = 2});
  run([]() -> coro<> {
    const gate leave;
    std::vector<task<>> calls;
    for (int i = 0; i < 10; ++i) calls.push_back(spawn_blocking([](gate leave) { leave.wait(); }, leave));
    for (int i = 0; i < 100; ++i) EXPECT_EQ(co_await spawn([](int n) { return n; }, i), i);
    EXPECT_GT(runtime::current()->metrics().blocking_queued, 0U);
    leave.open();
    for (task<>& each : calls) co_await std::move(each);
  });
}

/// Each call either runs or ends cancelled unrun; nothing is lost, nothing happens twice.
TEST_P(BlockingOnEvery, CancellingManyQueuedCallsAndStartingThemAtOnce) {
  drop_counter drops;
  std::atomic<int> ran{0};
  start({.max_blocking_threads = 2});
  run([&]() -> coro<> {
    int cancelled_calls = 0;
    for (int round = 0; round < 20; ++round) {
      std::vector<task<>> calls;
      for (int i = 0; i < 16; ++i) {
        calls.push_back(spawn_blocking([](const drop_counter::payload&, std::atomic<int>& ran) { ran.fetch_add(1); },
                                       drops.make(), std::ref(ran)));
      }
      for (std::size_t i = 0; i < calls.size(); i += 2) calls[i].cancel();
      for (const task<>& each : calls) {
        co_await until_complete(each);
        cancelled_calls += each.cancelled() ? 1 : 0;
      }
    }
    EXPECT_LE(cancelled_calls, 20 * 8);
    EXPECT_EQ(ran.load() + cancelled_calls, 20 * 16);
  });
  EXPECT_EQ(drops.drops(), 20 * 16);
}

}  // namespace
}  // namespace sheaf
