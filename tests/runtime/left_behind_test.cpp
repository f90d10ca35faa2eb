/// Threads in a blocking get() whose task is left behind with a blocking call: shutdown returns without them, and neither time nor other
/// runtimes miss them.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <sheaf/clock.hpp>
#include <sheaf/condition.hpp>
#include <sheaf/event.hpp>
#include <sheaf/mutex.hpp>
#include <sheaf/runtime.hpp>
#include <sheaf/sleep.hpp>
#include <sheaf/spawn.hpp>
#include <sheaf/tbb_executor.hpp>
#include <sheaf/this_task.hpp>

#include "runtime/left_behind.hpp"
#include "runtime_core.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::hung_call;
using test::impatient;
using test::in_a_process_of_its_own;

/// How often this thread of ours has gone to sleep so far.
long sleeps_of(pid_t thread) {
  std::ifstream status("/proc/self/task/" + std::to_string(thread) + "/status");
  std::string word;
  while (status >> word && word != "voluntary_ctxt_switches:") continue;
  long times = 0;
  status >> times;
  return times;
}

/// A runtime ends while `start` has made a task of it that waits, on its thread, for a call that stays out.
template <class Start>
void leave_behind(runtime_options options, Start start) {
  hung_call call;
  task<> waiting;
  {
    runtime rt(impatient(std::move(options)));
    waiting = start(rt, call);
    call.inside.wait();
  }
  EXPECT_FALSE(waiting.done());
  call.let_go();
  EXPECT_FALSE(waiting.done());
}

/// In one get().
task<> in_a_get(runtime& rt, hung_call& call) {
  return rt.spawn(
      [](hung_call& call) -> coro<> {
        auto work = call.waiter();
        work().get();
        co_return;
      },
      std::ref(call));
}

/// In a get() within a task that another get() runs in place.
task<> in_a_get_in_a_get(runtime& rt, hung_call& call) {
  return rt.spawn(
      [](hung_call& call) -> coro<> {
        const auto outer = [&call]() -> coro<> {
          auto work = call.waiter();
          work().get();
          co_return;
        };
        outer().get();
        co_return;
      },
      std::ref(call));
}

/// In a get() within a task that the end of a get() that was given up runs in place: of a pool with this one thread.
task<> in_a_get_within_a_get_that_is_given_up(runtime& rt, hung_call& call) {
  return rt.spawn(
      [](hung_call& call) -> coro<> {
        const test::gate begun;
        task<> out = call.begin(begun);
        while (!begun.is_open()) co_await this_task::yield();
        const auto given_up = [&call, &out]() -> coro<> {
          event never;
          try {
            co_await never.wait();
          } catch (const cancelled&) {
          }
          const auto work = [&call, &out]() -> coro<> {
            call.inside.open();
            co_await std::move(out);
          };
          work().get();
        };
        given_up().get();
      },
      std::ref(call));
}

/// As a blocking call.
task<> in_a_call(runtime& rt, hung_call& call) {
  return rt.spawn_blocking([&call] {
    auto work = call.waiter();
    work().get();
  });
}

/// In a get() within a task that begins at once, on its creator's stack.
task<> in_an_eager_task(runtime& rt, hung_call& call) {
  return rt.spawn(
      [](hung_call& call) -> coro<> {
        const auto eager = [](hung_call& call) -> coro<> {
          auto work = call.waiter();
          work().get();
          co_return;
        };
        const task<> begun = spawn(spawn_options{.eager = true}, eager, std::ref(call));
        co_await begun;
      },
      std::ref(call));
}

/// In such a task, begun within a blocking call.
task<> in_an_eager_task_of_a_call(runtime& rt, hung_call& call) {
  return rt.spawn_blocking([&call] {
    const auto eager = [](hung_call& call) -> coro<> {
      auto work = call.waiter();
      work().get();
      co_return;
    };
    static_cast<void>(spawn(spawn_options{.eager = true}, eager, std::ref(call)));
  });
}

void expect_time_to_pass(manual_clock& clock) {
  runtime rt({.workers = 1, .clock = &clock});
  const auto before = clock.now();
  rt.run([]() -> coro<> { co_await sleep_for(1h); });
  EXPECT_EQ(clock.now() - before, 1h);
}

TEST(LeftBehindDeathTest, TheThreadOfAPool) {
  in_a_process_of_its_own([] { leave_behind({.workers = 1}, in_a_get); });
}

TEST(LeftBehindDeathTest, TheThreadOfAPoolThatRunsATaskInPlace) {
  in_a_process_of_its_own([] { leave_behind({.workers = 1}, in_a_get_in_a_get); });
}

TEST(LeftBehindDeathTest, TheThreadOfACall) {
  in_a_process_of_its_own([] { leave_behind({.workers = 1}, in_a_call); });
}

TEST(LeftBehindDeathTest, TheThreadOfAPoolInAnEagerTask) {
  in_a_process_of_its_own([] { leave_behind({.workers = 1}, in_an_eager_task); });
}

template <class Start>
void leave_a_thread_of_one_tbb_behind(Start start) {
  tbb_executor executor(3);
  leave_behind({.executor = &executor}, start);
}

TEST(LeftBehindDeathTest, AThreadOfOneTbb) {
  in_a_process_of_its_own([] { leave_a_thread_of_one_tbb_behind(in_a_get); });
}

TEST(LeftBehindDeathTest, AThreadOfOneTbbThatRunsATaskInPlace) {
  in_a_process_of_its_own([] { leave_a_thread_of_one_tbb_behind(in_a_get_in_a_get); });
}

TEST(LeftBehindDeathTest, AThreadOfOneTbbInAnEagerTask) {
  in_a_process_of_its_own([] { leave_a_thread_of_one_tbb_behind(in_an_eager_task); });
}

TEST(LeftBehindDeathTest, ACallsThreadInAnEagerTaskBesideOneTbb) {
  in_a_process_of_its_own([] { leave_a_thread_of_one_tbb_behind(in_an_eager_task_of_a_call); });
}

TEST(LeftBehindDeathTest, OnAManualClockTimePassesWithoutTheThread) {
  in_a_process_of_its_own([] {
    manual_clock clock;
    leave_behind({.workers = 1, .clock = &clock}, in_a_get);
    expect_time_to_pass(clock);
    leave_behind({.workers = 1, .clock = &clock}, in_a_get_in_a_get);
    expect_time_to_pass(clock);
    leave_behind({.workers = 1, .clock = &clock, .max_spares = 0}, in_a_get_within_a_get_that_is_given_up);
    expect_time_to_pass(clock);
    leave_behind({.workers = 1, .clock = &clock}, in_an_eager_task);
    expect_time_to_pass(clock);
    leave_behind({.workers = 1, .clock = &clock}, in_an_eager_task_of_a_call);
    expect_time_to_pass(clock);
    leave_behind({.workers = 1, .clock = &clock}, in_a_call);
    expect_time_to_pass(clock);
  });
}

/// The task runs on a plain thread, which shutdown does not wait for. The clock is its owner's no more, but still there.
TEST(LeftBehindDeathTest, OnAManualClockTimePassesWithoutAPlainThreadThatHelps) {
  in_a_process_of_its_own([] {
    std::optional<manual_clock> clock(std::in_place);
    hung_call call;
    {
      runtime rt(impatient({.workers = 1, .clock = &*clock, .callers_help = true}));
      const test::gate busy, free;
      const auto holds_the_worker = [](const test::gate& busy, const test::gate& free) {
        busy.open();
        free.wait();
      };
      const task<> holder = rt.spawn(holds_the_worker, busy, free);
      busy.wait();
      std::thread([helped = in_a_get(rt, call)] { helped.get(); }).detach();
      call.inside.wait();
      free.open();
      holder.get();
    }
    expect_time_to_pass(*clock);
    clock.reset();
    call.let_go();
  });
}

// ---- waits that end

/// A handle's get() uses nothing of the caller's: it is told.
void tell_a_get_in_a_cleanup(runtime_options options) {
  hung_call call;
  std::atomic<bool> told{false};
  const auto waits = [&]() -> coro<> {
    auto work = call.waiter();
    const task<> hung = spawn(borrowed(work()));
    const bool asked = co_await test::until_asked_to_stop();
    if (!asked) co_return;
    try {
      hung.get();
    } catch (const would_deadlock&) {
      told.store(true);
    }
  };
  {
    runtime rt(impatient(std::move(options)));
    (void)rt.spawn(borrowed(waits()));
    call.inside.wait();
  }
  EXPECT_TRUE(told.load());
  call.let_go();
}

TEST(LeftBehindDeathTest, AGetInACleanupIsTold) {
  in_a_process_of_its_own([] { tell_a_get_in_a_cleanup({.workers = 2}); });
}

TEST(LeftBehindDeathTest, OnAManualClockAGetInACleanupIsTold) {
  in_a_process_of_its_own([] {
    manual_clock clock;
    tell_a_get_in_a_cleanup({.workers = 2, .clock = &clock});
    expect_time_to_pass(clock);
  });
}
TEST(LeftBehindDeathTest, OnOneTbbAndAManualClockAGetInACleanupIsTold) {
  in_a_process_of_its_own([] {
    manual_clock clock;
    tbb_executor executor(3);
    tell_a_get_in_a_cleanup({.executor = &executor, .clock = &clock});
    expect_time_to_pass(clock);
  });
}

/// `theirs` belongs to a runtime that goes on, so the wait of a task that is left behind is not for ever. `end` is told which thread waits.
template <class Begin, class End>
void wait_for_a_task_of_another_runtime(manual_clock* clock, const task<>& theirs, Begin begin, End end) {
  hung_call call;
  std::atomic<bool> ready{false}, got{false};
  std::atomic<pid_t> cleaning{0};
  const auto waits = [&]() -> coro<> {
    ready.store(true);
    const bool asked = co_await test::until_asked_to_stop();
    if (!asked) co_return;
    cleaning.store(::gettid());
    theirs.get();
    got.store(true);
  };
  std::thread ends;
  {
    runtime rt(impatient({.workers = 2, .clock = clock}));
    auto hangs = call.waiter();
    (void)rt.spawn(borrowed(hangs()));
    (void)rt.spawn(borrowed(waits()));
    call.inside.wait();
    test::spin_until([&] { return ready.load(); });
    begin();
    ends = std::thread([&] {
      test::spin_until([&] { return cleaning.load() != 0; });
      end(cleaning.load());
    });
  }
  ends.join();
  EXPECT_TRUE(got.load());
  call.let_go();
}

TEST(LeftBehindDeathTest, NotSoAGetForATaskOfAnotherRuntime) {
  in_a_process_of_its_own([] {
    const test::gate open;
    runtime other({.workers = 1});
    const task<> theirs = other.spawn([](const test::gate& open) -> coro<> { co_await open; }, open);
    const auto end = [&](pid_t waiting) {
      const long before = sleeps_of(waiting);
      test::spin_until([&] { return sleeps_of(waiting) >= before + 3; });  // in between it looks whether it is left behind
      open.open();
    };
    wait_for_a_task_of_another_runtime(nullptr, theirs, [] {}, end);
  });
}

TEST(LeftBehindDeathTest, NotSoAGetForATaskOfAnotherRuntimeThatSleepsOnTheSameClock) {
  in_a_process_of_its_own([] {
    manual_clock clock;
    auto held = std::make_optional(clock.hold());
    runtime other({.workers = 1, .clock = &clock});
    const task<> theirs = other.spawn([]() -> coro<> { co_await sleep_for(1h); });
    wait_for_a_task_of_another_runtime(&clock, theirs, [&] { held.reset(); }, [](pid_t) {});
    EXPECT_EQ(clock.now(), 1h);
  });
}

/// A shutdown without a limit leaves nobody behind: who would wait for ever is told at once, and the pool's only thread goes on.
TEST(LeftBehind, InAnOrdinaryShutdownAGetThatWouldDeadlockIsTold) {
  std::atomic<int> begun{0};
  std::atomic<bool> told{false}, got{false};
  runtime other({.workers = 1});
  task<> second, theirs;
  const auto first = [&]() -> coro<> {
    ++begun;
    const bool asked = co_await test::until_asked_to_stop();
    if (!asked) co_return;
    try {
      theirs.get();
      got.store(true);
    } catch (const would_deadlock&) {
      told.store(true);
    }
  };
  {
    runtime rt({.workers = 1, .max_spares = 0});
    (void)rt.spawn(borrowed(first()));
    test::spin_until([&] { return begun.load() == 1; });
    const auto waits = [&]() -> coro<> {
      event never;
      ++begun;
      co_await never.wait();
    };
    second = rt.spawn(borrowed(waits()));
    test::spin_until([&] { return begun.load() == 2; });
    const auto observes = [&]() -> coro<> {
      ++begun;
      try {
        co_await second;
      } catch (const task_cancelled&) {
      }
    };
    theirs = other.spawn(borrowed(observes()));
    test::spin_until([&] { return begun.load() == 3; });
  }
  theirs.get();
  EXPECT_NE(told.load(), got.load());  // got: the other one was asked, and ended, first
}

/// A condition's wait that is given up has to lock its mutex again, which is left behind locked.
void give_up_a_wait_that_shares(bool before_shutdown) {
  auto& lock = *new mutex;
  auto& changed = *new condition(lock);
  hung_call call;
  std::atomic<bool> waits{false}, ended{false};
  const auto waiter = [&]() -> coro<> {
    auto guard = co_await lock.scoped_lock();
    waits.store(true);
    try {
      changed.wait(guard).get();
    } catch (const cancelled&) {
      ended.store(true);
      throw;
    }
  };
  const auto holder = [&]() -> coro<> {
    const auto guard = co_await lock.scoped_lock();
    auto work = call.waiter();
    co_await work();
  };
  {
    runtime rt(impatient({.workers = 2}));
    const task<> given_up = rt.spawn(borrowed(waiter()));
    test::spin_until([&] { return waits.load(); });
    (void)rt.spawn(borrowed(holder()));
    call.inside.wait();
    if (before_shutdown) given_up.cancel();
  }
  EXPECT_TRUE(ended.load());
  call.let_go();
}

TEST(LeftBehindDeathTest, AWaitThatSharesWhatItUsesIsGivenUp) {
  in_a_process_of_its_own([] { give_up_a_wait_that_shares(false); });
}

TEST(LeftBehindDeathTest, AWaitThatSharesWhatItUsesIsGivenUpAlsoIfItWasCancelledBefore) {
  in_a_process_of_its_own([] { give_up_a_wait_that_shares(true); });
}

// ---- what else there is

/// What is queued in the seat of a thread that is left behind runs all the same; `unseated`: though another thread runs, which has no seat
/// and takes none before it leaves.
void run_what_is_queued(bool unseated) {
  hung_call call;
  std::atomic<bool> gone{false}, blocks{false}, runs{false}, ends{false};
  std::atomic<pid_t> begun{0};
  event never, comes;
  const auto waits = [&]() -> coro<> {
    const auto work = [&]() -> coro<> {
      begun.store(::gettid());
      test::spin_until([&] { return gone.load(); });
      try {
        co_await this_task::yield();
      } catch (const cancelled&) {
      }
      co_await never.wait();
    };
    work().get();
    co_return;
  };
  const auto stays = [&]() -> coro<> {
    blocks.store(true);
    comes.wait().get();
    runs.store(true);
    test::spin_until([&] { return ends.load(); });
    co_return;
  };
  std::optional<runtime> rt(std::in_place, impatient({.workers = 1}));
  auto hangs = call.waiter();
  (void)rt->spawn(borrowed(hangs()));
  call.inside.wait();
  if (unseated) {
    (void)rt->spawn(borrowed(stays()));
    test::spin_until([&] { return blocks.load() && rt->metrics().spares == 1; });
    comes.set();
    test::spin_until([&] { return runs.load(); });
  }
  (void)rt->spawn(borrowed(waits()));
  test::spin_until([&] { return begun.load() != 0; });
  const task<> queued = rt->spawn([] {});
  const detail::runtime_core& core = *detail::task_access::core(queued).runtime;
  std::thread later([&] {
    test::spin_until([&] { return core.gone(); });  // it is kept then
    const long before = sleeps_of(begun.load());
    gone.store(true);
    // Asleep, it has offered its seat, for a thread without one that leaves.
    test::spin_until([&] { return sleeps_of(begun.load()) >= before + 2; });
    ends.store(true);
  });
  rt.reset();
  later.join();
  EXPECT_TRUE(queued.done());
  call.let_go();
}

TEST(LeftBehindDeathTest, AnotherThreadRunsWhatIsQueued) {
  in_a_process_of_its_own([] { run_what_is_queued(false); });
}

TEST(LeftBehindDeathTest, AnotherThreadRunsWhatIsQueuedThoughOneRunsThatHasNoSeat) {
  in_a_process_of_its_own([] { run_what_is_queued(true); });
}

/// The last call returns at about the time when shutdown gives up waiting for it.
TEST(LeftBehindDeathTest, OrNotByAHair) {
  in_a_process_of_its_own([] {
    for (int round = 0; round < 60; ++round) {
      const auto more = 900us + round % 20 * 10us;
      std::atomic<bool> inside{false};
      const auto call = [&inside, more](const cancel_token& token) {
        inside.store(true);
        test::spin_until([&] { return token.requested(); });
        const auto until = std::chrono::steady_clock::now() + more;
        while (std::chrono::steady_clock::now() < until) continue;
      };
      const auto waits = [call]() -> coro<> {
        const auto work = [&call]() -> coro<> {
          try {
            co_await spawn_blocking(call);
          } catch (const cancelled&) {
          }
          co_await sleep_for(2ms);
        };
        work().get();
        co_return;
      };
      runtime rt(impatient({.workers = 1, .blocking_keep_alive = 0ns}));
      (void)rt.spawn(waits);
      test::spin_until([&] { return inside.load(); });
    }
  });
}

}  // namespace
}  // namespace sheaf
