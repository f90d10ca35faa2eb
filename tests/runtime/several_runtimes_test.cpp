/// Several runtimes in one program: tasks await across, resume at home, and outlive each other in any order.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <sheaf/runtime.hpp>
#include <sheaf/semaphore.hpp>
#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>

#include "support/drop_counter.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::drop_counter;
using test::gate;

coro<int> value_after(gate at, int value) {
  co_await at;
  co_return value;
}

/// TASK-05 too: a task is not bound to the runtime that awaits it.
TEST(SeveralRuntimes, Mt49_ATaskOfOneAwaitsATaskOfTheOtherAndResumesAtHome) {
  runtime a({.workers = 1}), b({.workers = 1});
  const std::thread::id home = a.run([]() -> coro<std::thread::id> { co_return std::this_thread::get_id(); });
  for (int i = 0; i < 50; ++i) {
    const gate open;
    const task<int> in_b = b.spawn(value_after, open, i);
    const task<int> in_a = a.spawn(
        [](task<int> in_b, runtime* mine, std::thread::id home) -> coro<int> {
          const int value = co_await in_b;
          EXPECT_EQ(std::this_thread::get_id(), home);
          EXPECT_EQ(runtime::current(), mine);
          co_return value;
        },
        in_b, &a, home);
    open.open();
    EXPECT_EQ(in_a.get(), i);
  }
}

TEST(SeveralRuntimes, OwnershipAndCancelWorkAcross) {
  runtime a({.workers = 1}), b({.workers = 1});
  const gate never;
  bool cancelled_in_b = false;
  const task<int> owner = a.spawn(
      [](runtime& b, gate never, bool& cancelled_in_b) -> coro<int> {
        const auto child = [](gate never, bool& flag) -> coro<int> {
          try {
            co_await never;
          } catch (const cancelled& request) {
            flag = request.reason() == "across";
            throw;
          }
          co_return 1;
        };
        co_return co_await b.spawn(child, never, std::ref(cancelled_in_b));
      },
      std::ref(b), never, std::ref(cancelled_in_b));
  test::spin_until([&] { return never.parked() == 1 && test::is_parked(owner); });
  owner.cancel("across");
  EXPECT_THROW(owner.get(), task_cancelled);
  EXPECT_TRUE(cancelled_in_b);
}

TEST(SeveralRuntimes, ASemaphoreMayBeSharedAcross) {
  runtime a({.workers = 1}), b({.workers = 1});
  semaphore sem(1);
  int shared = 0;  // guarded by the semaphore
  const auto add = [](semaphore& sem, int& shared) -> coro<> {
    for (int i = 0; i < 500; ++i) {
      const permit mine = co_await sem.acquire();
      ++shared;
    }
  };
  const task<> in_a = a.spawn(add, std::ref(sem), std::ref(shared));
  const task<> in_b = b.spawn(add, std::ref(sem), std::ref(shared));
  in_a.get();
  in_b.get();
  EXPECT_EQ(shared, 1000);
}

TEST(SeveralRuntimes, AWorkerOfOneMayBlockInGetForATaskOfTheOther) {
  runtime a({.workers = 1}), b({.workers = 1});
  const gate open;
  const task<int> in_b = b.spawn(value_after, open, 3);
  const task<int> blocked = a.spawn([](const task<int>& target) { return target.get(); }, in_b);
  test::spin_until([&] { return test::waiters_of(in_b) == 1; });
  EXPECT_EQ(a.spawn([] { return 1; }).get(), 1);  // a's queue has gone to a spare
  open.open();
  EXPECT_EQ(blocked.get(), 3);
}

TEST(SeveralRuntimes, AClockMayBeShared) {
  manual_clock clock;
  runtime a({.workers = 1, .clock = &clock}), b({.workers = 1, .clock = &clock});
  const auto chain = [](runtime* there, int left, const auto& self) -> coro<int> {
    co_await sleep_for(1min);
    if (left == 0) co_return 0;
    auto next = there->spawn(self, runtime::current(), left - 1, self);
    co_return 1 + co_await std::move(next);
  };
  EXPECT_EQ(a.run([&]() -> coro<int> { co_return co_await chain(&b, 9, chain); }), 9);
  EXPECT_EQ(clock.now(), 10min);
}

/// Nothing of b can move: a's tasks wait for b's, which wait for ever.
TEST(SeveralRuntimes, ADeadlockAcrossASharedClockIsFound) {
  manual_clock clock;
  runtime a({.workers = 1, .clock = &clock}), b({.workers = 1, .clock = &clock});
  const gate never;
  const task<int> in_b = b.spawn(value_after, never, 1);
  EXPECT_THROW(a.run([in_b]() -> coro<int> { co_return co_await in_b; }), would_deadlock);
  never.open();
  EXPECT_EQ(in_b.get(), 1);
}

TEST(SeveralRuntimes, AnAwaitedRuntimeThatIsDestroyedEndsItsTasksCancelled) {
  runtime a({.workers = 1});
  std::optional<runtime> b;
  b.emplace(runtime_options{.workers = 1});
  const gate never;
  const task<int> in_b = b->spawn(value_after, never, 1);
  const task<int> in_a = a.spawn([](task<int> in_b) -> coro<int> { co_return co_await in_b; }, in_b);
  test::spin_until([&] { return test::waiters_of(in_b) == 1; });
  b.reset();
  EXPECT_THROW(in_a.get(), task_cancelled);
  EXPECT_TRUE(in_b.cancelled());
}

TEST(SeveralRuntimes, AWaiterWhoseRuntimeIsDestroyedLeavesTheTargetAlone) {
  drop_counter drops;
  runtime b({.workers = 1});
  const gate open;
  const task<int> in_b = b.spawn(value_after, open, 4);
  {
    runtime a({.workers = 1});
    const task<int> in_a =
        a.spawn([](task<int> in_b, drop_counter::payload) -> coro<int> { co_return co_await in_b; }, in_b, drops.make());
    test::spin_until([&] { return test::waiters_of(in_b) == 1; });
  }
  EXPECT_EQ(drops.drops(), 1);
  EXPECT_EQ(test::waiters_of(in_b), 0U);
  open.open();
  EXPECT_EQ(in_b.get(), 4);
}

/// One runtime ends while the other's completions wake its tasks.
TEST(SeveralRuntimes, DestructionWhileTheOtherWakes) {
  for (int round = 0; round < 100; ++round) {
    drop_counter drops;
    runtime b({.workers = 1});
    const gate open;
    std::vector<task<int>> in_b;
    for (int i = 0; i < 4; ++i) in_b.push_back(b.spawn(value_after, open, i));
    {
      runtime a({.workers = 1});
      for (const task<int>& target : in_b) {
        const task<int> in_a = a.spawn([](task<int> target, drop_counter::payload) -> coro<int> { co_return co_await target; },
                                       target, drops.make());
      }
      if (round % 2 == 0) test::spin_until([&] { return test::waiters_of(in_b[3]) == 1; });
      open.open();
    }
    EXPECT_EQ(drops.drops(), 4);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(in_b[static_cast<std::size_t>(i)].get(), i);
  }
}

/// cancel() through a kept handle while its runtime goes away: recorded or refused, never a touch of what is gone.
TEST(SeveralRuntimes, CancelWhileTheRuntimeIsDestroyed) {
  for (int round = 0; round < 100; ++round) {
    std::optional<runtime> rt;
    rt.emplace(runtime_options{.workers = 1});
    const gate never, go;
    const task<int> parked = rt->spawn(value_after, never, 1);
    std::thread canceller([&] {
      go.open();
      while (parked.cancel()) {
      }
    });
    go.wait();
    rt.reset();
    canceller.join();
    EXPECT_TRUE(parked.cancelled());
  }
}

}  // namespace
}  // namespace sheaf
