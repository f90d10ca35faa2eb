/// Blocking for a task: on a plain thread, on a worker (claimed in place, handed over, refused), on a blocking thread.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sheaf/inline_executor.hpp>
#include <sheaf/runtime.hpp>
#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>

#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/run_test.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::gate;
using test::until_complete;
using test::until_parked;

SHEAF_ON_EVERY_FLAVOUR(GetOnEvery);
SHEAF_ON_NATIVE_POOLS(GetOnPools);

coro<int> value_after(gate at, int value) {
  co_await at;
  co_return value;
}
coro<int> value_after_sleep(std::chrono::nanoseconds length, int value) { co_return co_await sleep_for(length, value); }

bool names(const std::exception& error, std::string_view what) {
  return std::string_view(error.what()).find(what) != std::string_view::npos;
}

// ---- on a plain thread -------------------------------------------------------------------------------------------------------

TEST_P(GetOnEvery, APlainThreadGetsValueErrorAndCancelled) {
  task<std::string> value = rt().spawn([] { return std::string("a value that lives on the heap, being long"); });
  const std::string& seen = value.get();
  EXPECT_EQ(&seen, &value.result());
  EXPECT_EQ(std::move(value).get(), "a value that lives on the heap, being long");
  EXPECT_FALSE(value);  // NOLINT(bugprone-use-after-move)
  const task<> failing = rt().spawn([] { throw std::runtime_error("got"); });
  EXPECT_THROW(failing.get(), std::runtime_error);
  EXPECT_THROW(failing.get(), std::runtime_error);
  const gate never;
  const task<int> stopped = rt().spawn(value_after, never, 1);
  stopped.cancel();
  EXPECT_THROW(stopped.get(), task_cancelled);
}

TEST_P(GetOnEvery, GetForGivesUpInTimeAndTheTaskGoesOn) {
  const task<int> slow = rt().spawn(value_after_sleep, 1h, 5);
  try {
    static_cast<void>(slow.get_for(1min));
    ADD_FAILURE() << "too early";
  } catch (const timeout_error& caught) {
    EXPECT_TRUE(names(caught, slow.name())) << caught.what();
  }
  EXPECT_EQ(clock().now(), 1min);
  EXPECT_FALSE(slow.done());
  EXPECT_EQ(test::waiters_of(slow), 0U);
  EXPECT_EQ(slow.get_for(2h), 5);
  EXPECT_EQ(clock().now(), 1h);  // and not a moment more: the timer is disarmed
  EXPECT_EQ(slow.get_for(0s), 5);
}

TEST_P(GetOnEvery, GetForZeroOrLessIsALook) {
  const task<int> slow = rt().spawn(value_after_sleep, 1h, 5);
  EXPECT_THROW(static_cast<void>(slow.get_for(0s)), timeout_error);
  EXPECT_THROW(static_cast<void>(slow.get_for(-1s)), timeout_error);
  EXPECT_EQ(clock().now(), 0ns);
  slow.get();
}

TEST_P(GetOnEvery, WhatCanNeverEndIsADeadlockNamingWhoWaitsForWhat) {
  const gate never;
  const task<int> parked = rt().spawn(spawn_options{.name = "patient"}, value_after, never, 1);
  for (int i = 0; i < 2; ++i) {
    try {
      static_cast<void>(parked.get());
      ADD_FAILURE() << "it returned";
    } catch (const would_deadlock& caught) {
      EXPECT_TRUE(names(caught, "task 'patient'")) << caught.what();
      EXPECT_TRUE(names(caught, "'patient' waits for a gate")) << caught.what();
    }
  }
  EXPECT_EQ(test::waiters_of(parked), 0U);
  never.open();
  EXPECT_EQ(parked.get(), 1);
}

TEST_P(GetOnEvery, Mt16_ABlockingGetAndAnAwaitOnTheSameTarget) {
  const auto held = clock().hold();
  const gate open;
  const task<int> target = rt().spawn(value_after, open, 7);
  const task<int> awaiting = rt().spawn([](task<int> target) -> coro<int> { co_return co_await target; }, target);
  std::thread opener([&] {
    if (GetParam() == test::flavour::host_loop) {
      test::spin_until([&] { return test::waiters_of(target) == 2; });
    } else {
      test::spin_until([&] { return test::waiters_of(target) >= 1 && test::is_parked(awaiting); });
    }
    open.open();
  });
  EXPECT_EQ(target.get(), 7);
  EXPECT_EQ(awaiting.get(), 7);
  opener.join();
}

/// Plain threads claim only where the options say so.
TEST(Get, CallersHelpOnlyWhereTheOptionsSaySo) {
  for (const bool help : {false, true}) {
    runtime rt({.workers = 1, .callers_help = help});
    const gate busy, release;
    auto occupying = rt.spawn(
        [](gate busy, gate release) {
          busy.open();
          release.wait();
        },
        busy, release);
    busy.wait();
    const task<std::thread::id> callable = rt.spawn([] { return std::this_thread::get_id(); });
    const task<std::thread::id> coroutine = rt.spawn([]() -> coro<std::thread::id> { co_return std::this_thread::get_id(); });
    if (help) {
      EXPECT_EQ(callable.get(), std::this_thread::get_id());
      EXPECT_EQ(coroutine.get(), std::this_thread::get_id());
      EXPECT_EQ(runtime::current(), nullptr);
      release.open();
    } else {
      release.open();
      EXPECT_NE(callable.get(), std::this_thread::get_id());
      EXPECT_NE(coroutine.get(), std::this_thread::get_id());
    }
    occupying.get();
  }
}

TEST(Get, AHelpingCallerRunsUpToTheFirstSuspensionAndThenWaits) {
  runtime rt({.workers = 1, .callers_help = true});
  const gate busy, release;
  auto occupying = rt.spawn(
      [](gate busy, gate release) {
        busy.open();
        release.wait();
      },
      busy, release);
  busy.wait();
  std::thread::id first, second;
  const task<> split = rt.spawn(
      [](gate release, std::thread::id& first, std::thread::id& second) -> coro<> {
        first = std::this_thread::get_id();
        release.open();
        co_await this_task::yield();  // goes to the queues, whatever the others have done by now
        second = std::this_thread::get_id();
      },
      release, std::ref(first), std::ref(second));
  split.get();
  EXPECT_EQ(first, std::this_thread::get_id());
  EXPECT_NE(second, std::this_thread::get_id());
  occupying.get();
}

// ---- in a task: claimed in place ---------------------------------------------------------------------------------------------

/// MT-38: one worker, no spare: only running it in place can help.
TEST(Get, Mt38_ATaskNotStartedIsRunInPlace) {
  runtime rt({.workers = 1, .max_spares = 0});
  rt.run([]() -> coro<> {
    const auto self = std::this_thread::get_id();
    const task<std::thread::id> callable = spawn([] { return std::this_thread::get_id(); });
    EXPECT_EQ(callable.get(), self);
    const task<std::thread::id> coroutine = spawn([]() -> coro<std::thread::id> { co_return std::this_thread::get_id(); });
    EXPECT_EQ(coroutine.get(), self);
    const std::uint64_t own = this_task::id();
    const task<std::uint64_t> other = spawn([] { return this_task::id(); });
    EXPECT_EQ(other.get(), other.id());
    EXPECT_EQ(this_task::id(), own);  // itself again
    co_return;
  });
  EXPECT_EQ(rt.metrics().spares, 0U);
}

TEST(Get, ACancelledTaskNotStartedIsEndedInPlace) {
  runtime rt({.workers = 1, .max_spares = 0});
  rt.run([]() -> coro<> {
    bool ran = false;
    const task<> never = spawn([](bool& ran) { ran = true; }, std::ref(ran));
    never.cancel();
    EXPECT_THROW(never.get(), task_cancelled);
    EXPECT_FALSE(ran);
    co_return;
  });
}

/// A chain of gets through tasks not started: at most 64 on one stack, then a spare goes on.
TEST(Get, AChainOfClaimsIsBoundedPerStack) {
  runtime rt({.workers = 1});
  struct recursion {
    static int down(int depth) { return depth == 0 ? 0 : 1 + spawn(&recursion::down, depth - 1).get(); }
  };
  EXPECT_EQ(rt.spawn(&recursion::down, 300).get(), 300);
  EXPECT_GE(rt.metrics().spares, 300U / 64U);
  EXPECT_LE(rt.metrics().spares, 16U);
}

TEST_P(GetOnPools, Mt40_AllWorkersBlockInGetOnTasksNotStarted) {
  const std::size_t workers = rt().metrics().workers;
  std::atomic<std::size_t> inside{0};
  std::vector<task<int>> blockers;
  for (std::size_t i = 0; i < 2 * workers; ++i) {
    blockers.push_back(rt().spawn(
        [](std::atomic<std::size_t>& inside) {
          inside.fetch_add(1);
          return spawn([] { return spawn([] { return 1; }).get(); }).get() + 1;
        },
        std::ref(inside)));
  }
  for (const task<int>& each : blockers) EXPECT_EQ(each.get(), 2);
}

// ---- in a task: handed over --------------------------------------------------------------------------------------------------

/// The child needs the worker whose thread blocks for it.
TEST(Get, AStartedTaskGetsTheBlockedWorkersQueueByASpare) {
  manual_clock clock;
  runtime rt({.workers = 1, .clock = &clock, .max_spares = 1});
  const std::thread::id blocked_on = rt.run([]() -> coro<std::thread::id> {
    const task<int> started = spawn(value_after_sleep, 1s, 3);
    co_await until_parked(started);
    const auto self = std::this_thread::get_id();
    EXPECT_EQ(started.get(), 3);
    EXPECT_EQ(std::this_thread::get_id(), self);  // its step ends where it began
    const task<int> spawned_without_a_queue = spawn([] { return 4; });
    EXPECT_EQ(co_await spawned_without_a_queue, 4);
    co_return self;
  });
  EXPECT_EQ(rt.metrics().spares, 1U);
  EXPECT_NE(rt.run([]() -> coro<std::thread::id> { co_return std::this_thread::get_id(); }),
            blocked_on);  // the seat stays handed over
}

TEST(Get, OnAManualClockATaskRunInPlaceLetsTimePassWhileItBlocks) {
  manual_clock clock;
  runtime rt({.workers = 2, .clock = &clock});
  rt.run([]() -> coro<> {
    const auto inner = []() -> coro<> {
      sleep_for(1h).get();
      co_return;
    };
    inner().get();
    co_return;
  });
  EXPECT_EQ(clock.now(), 1h);
}

TEST(Get, OnAManualClockATaskBegunAtOnceLetsTimePassWhileItBlocks) {
  manual_clock clock;
  runtime rt({.workers = 2, .clock = &clock});
  rt.run([]() -> coro<> {
    const auto eager = []() -> coro<> {
      sleep_for(1h).get();
      co_return;
    };
    const task<> begun = spawn(spawn_options{.eager = true}, eager);
    co_await begun;
  });
  EXPECT_EQ(clock.now(), 1h);
}

TEST(Get, OnAManualClockTwoRuntimesOfOneStackLetTimePass) {
  manual_clock clock;
  runtime outer({.workers = 2, .clock = &clock}), inner({.workers = 2, .clock = &clock});
  outer.run([&]() -> coro<> {
    const auto eager = []() -> coro<> {
      sleep_for(1h).get();
      co_return;
    };
    const task<> begun = inner.spawn(spawn_options{.eager = true}, eager);
    co_await begun;
  });
  EXPECT_EQ(clock.now(), 1h);
}

int at_the_bottom_of_eager_starts(int depth) {
  int found = 0;
  const auto eager = [&found, depth]() -> coro<> {
    const auto fresh = []() -> coro<int> { co_return 7; };
    found = depth == 0 ? fresh().get() : at_the_bottom_of_eager_starts(depth - 1);
    co_return;
  };
  const task<> begun = spawn(spawn_options{.eager = true}, borrowed(eager()));
  begun.result();
  return found;
}

/// What bounds the claims of one stack does not count them.
TEST(Get, OnAHostLoopAFreshTaskIsRunInPlaceBeneathManyEagerStarts) {
  inline_executor host;
  runtime rt({.executor = &host});
  EXPECT_EQ(rt.run([]() -> coro<int> { co_return at_the_bottom_of_eager_starts(100); }), 7);
}

TEST(Get, SparesAreUsedAgain) {
  manual_clock clock;
  runtime rt({.workers = 1, .clock = &clock, .max_spares = 1});
  rt.run([]() -> coro<> {
    for (int i = 0; i < 50; ++i) {
      const task<int> started = spawn(value_after_sleep, 1s, i);
      co_await until_parked(started);
      EXPECT_EQ(started.get(), i);
      co_await this_task::yield();  // onto the thread in the seat
    }
  });
  EXPECT_EQ(rt.metrics().spares, 1U);
}

/// Other work of the blocked worker goes on meanwhile, on another thread than the blocked one's.
/// MT-39: a lock held over get() is met by no task that runs in its place.
TEST(Get, NothingUnrelatedRunsOnABlockedStack) {
  runtime rt({.workers = 1});
  const gate open;
  std::mutex held;  // not recursive: locking it again on the blocked thread would be caught
  auto blocked = rt.spawn(
      [](gate open, std::mutex& held) {
        const task<int> started = spawn(spawn_options{.eager = true}, value_after, open, 1);
        std::vector<task<bool>> unrelated;
        const auto self = std::this_thread::get_id();
        for (int i = 0; i < 20; ++i)
          unrelated.push_back(spawn([](std::thread::id blocked) { return std::this_thread::get_id() == blocked; }, self));
        auto opener = spawn([](gate open) { open.open(); }, open);
        const std::lock_guard guard(held);
        EXPECT_EQ(started.get(), 1);
        for (const task<bool>& each : unrelated) EXPECT_FALSE(each.get());
        opener.get();
      },
      open, std::ref(held));
  blocked.get();
}

TEST(Get, WithoutASpareTheLastRunningWorkerIsToldItWouldDeadlock) {
  runtime rt({.workers = 1, .max_spares = 0});
  rt.run([]() -> coro<> {
    const gate open;
    const task<int> started = spawn(spawn_options{.name = "needs-this-worker"}, value_after, open, 3);
    co_await until_parked(started);
    try {
      static_cast<void>(started.get());
      ADD_FAILURE() << "it returned";
    } catch (const would_deadlock& caught) {
      EXPECT_TRUE(names(caught, "needs-this-worker")) << caught.what();
    }
    EXPECT_EQ(test::waiters_of(started), 0U);
    open.open();
    EXPECT_EQ(co_await started, 3);  // nothing is broken by it
  });
}

TEST(Get, WithoutASpareOneMayBlockWhileAnotherWorkerRuns) {
  runtime rt({.workers = 2, .max_spares = 0});
  const gate open;
  const task<int> target = rt.spawn(spawn_options{.name = "target"}, value_after, open, 1);
  test::spin_until([&] { return open.parked() == 1; });
  std::atomic<int> deadlocks{0};
  const auto block = [](task<int> target, gate open, std::atomic<int>& deadlocks) {
    try {
      return target.get();
    } catch (const would_deadlock&) {
      deadlocks.fetch_add(1);
      open.open();  // lets the other one go on
      return 1;
    }
  };
  const task<int> a = rt.spawn(block, target, open, std::ref(deadlocks));
  const task<int> b = rt.spawn(block, target, open, std::ref(deadlocks));
  EXPECT_EQ(a.get(), 1);
  EXPECT_EQ(b.get(), 1);
  EXPECT_EQ(deadlocks.load(), 1);
}

TEST_P(GetOnEvery, ATaskMayBlockForATaskThatHasStarted) {
  run([]() -> coro<> {
    const task<int> started = spawn(value_after_sleep, 1s, 3);
    co_await until_parked(started);
    EXPECT_EQ(started.get(), 3);
  });
}

TEST_P(GetOnEvery, AnErrorComesOutOfGetInATask) {
  run([]() -> coro<> {
    const task<> failing = spawn([]() -> coro<> {
      co_await sleep_for(1s);
      throw std::runtime_error("late");
    });
    co_await until_parked(failing);
    EXPECT_THROW(failing.get(), std::runtime_error);
  });
}

/// On a host loop there is no other thread: a task that would block is told so, and the loop lives on.
TEST(Get, OnAHostLoopATaskThatWouldBlockIsTold) {
  inline_executor host;
  runtime rt({.executor = &host});
  rt.run([]() -> coro<> {
    const gate open;
    const task<int> started = spawn(spawn_options{.name = "needs-the-host"}, value_after, open, 3);
    co_await until_parked(started);
    EXPECT_THROW(static_cast<void>(started.get()), would_deadlock);
    open.open();
    EXPECT_EQ(co_await started, 3);
  });
}

TEST(Get, OnOneTbbWorkersLastThreadATaskThatWouldBlockIsTold) {
  tbb_executor arena(1);
  runtime rt({.executor = &arena});
  rt.run([]() -> coro<> {
    const gate open;
    const task<int> started = spawn(value_after, open, 3);
    co_await until_parked(started);
    EXPECT_THROW(static_cast<void>(started.get()), would_deadlock);
    open.open();
    EXPECT_EQ(co_await started, 3);
  });
}

// ---- in a task: cancelled ----------------------------------------------------------------------------------------------------

TEST_P(GetOnPools, ACancelRequestEndsTheCall) {
  const auto held = clock().hold();
  const gate never;
  const task<int> target = rt().spawn(value_after, never, 1);
  std::string reason;
  auto blocked = rt().spawn(
      [](const task<int>& target, std::string& reason) {
        try {
          static_cast<void>(target.get());
        } catch (const cancelled& request) {
          reason = request.reason();
          throw;
        }
      },
      target, std::ref(reason));
  test::spin_until([&] { return test::waiters_of(target) == 1; });
  EXPECT_TRUE(blocked.cancel("enough"));
  EXPECT_THROW(blocked.get(), task_cancelled);
  EXPECT_EQ(reason, "enough");
  EXPECT_EQ(test::waiters_of(target), 0U);
  EXPECT_FALSE(target.done());
  never.open();
  EXPECT_EQ(target.get(), 1);
}

TEST_P(GetOnPools, ARequestMadeBeforeTheCallEndsItToo) {
  run([]() -> coro<> {
    const gate open;
    const task<int> target = spawn(value_after, open, 1);
    co_await until_parked(target);
    this_task::handle().cancel();
    EXPECT_THROW(static_cast<void>(target.get()), cancelled);
    this_task::check_cancelled();  // get() has delivered it
    open.open();
    this_task::uncancel();
    EXPECT_EQ(co_await target, 1);
  });
}

TEST(Get, ABlockingCallsGetEndsByCancelToo) {
  runtime rt({.workers = 1});
  const gate never;
  const task<int> target = rt.spawn(value_after, never, 1);
  auto call = rt.spawn_blocking([](const task<int>& target) { static_cast<void>(target.get()); }, target);
  test::spin_until([&] { return test::waiters_of(target) == 1; });
  call.cancel();
  EXPECT_THROW(call.get(), task_cancelled);
  never.open();
  target.get();
}

/// The coroutine may use what its caller owns, so the call ends only after it.
TEST(Get, ACancelledGetOfACoroutineEndsAfterTheCoroutine) {
  runtime rt({.workers = 1});
  const gate inside, asked, leave;
  std::atomic<bool> ended{false};
  auto call = rt.spawn_blocking(
      [](gate inside, gate asked, gate leave, std::atomic<bool>& ended) {
        const auto cleaning_up = [](gate inside, gate asked, gate leave, std::atomic<bool>& ended) -> coro<> {
          const gate never;
          try {
            inside.open();
            co_await never;
          } catch (const cancelled&) {
            asked.open();
          }
          co_await leave;
          ended = true;
        };
        cleaning_up(inside, asked, leave, ended).get();
      },
      inside, asked, leave, std::ref(ended));
  inside.wait();
  EXPECT_TRUE(call.cancel());
  asked.wait();
  EXPECT_FALSE(call.done());
  leave.open();
  call.get();  // the coroutine ended well, so its get() did
  EXPECT_TRUE(ended.load());
}

// ---- on a blocking thread ----------------------------------------------------------------------------------------------------

TEST(Get, ABlockingThreadClaimsQueuedBlockingCalls) {
  runtime rt({.workers = 1, .max_blocking_threads = 1});
  auto outer = rt.spawn_blocking([] {
    const task<std::thread::id> inner = spawn_blocking([] { return std::this_thread::get_id(); });
    return inner.get() == std::this_thread::get_id();
  });
  EXPECT_TRUE(outer.get());
}

TEST(Get, ABlockingThreadDoesNotRunTasksOfTheWorkers) {
  runtime rt({.workers = 1});
  auto call = rt.spawn_blocking([] {
    const task<std::thread::id> on_a_worker = spawn([] { return std::this_thread::get_id(); });
    return on_a_worker.get() != std::this_thread::get_id();
  });
  EXPECT_TRUE(call.get());
}

TEST(Get, AWorkerDoesNotRunBlockingCalls) {
  runtime rt({.workers = 1});
  auto call = rt.spawn([] {
    const task<std::thread::id> blocking = spawn_blocking([] { return std::this_thread::get_id(); });
    return blocking.get() != std::this_thread::get_id();
  });
  EXPECT_TRUE(call.get());
}

}  // namespace
}  // namespace sheaf
