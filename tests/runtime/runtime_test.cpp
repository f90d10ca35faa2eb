/// A runtime as an object: options, what is current where, several runs, idle and busy workers.
#include <sheaf/runtime.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sheaf/sleep.hpp>
#include <sheaf/task_local.hpp>
#include <sheaf/this_task.hpp>

#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/run_test.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::gate;

SHEAF_ON_EVERY_FLAVOUR(RuntimeOnEvery);
SHEAF_ON_NATIVE_POOLS(RuntimeOnPools);

std::string refusal_of(const runtime_options& options) {
  try {
    const runtime refused(options);
  } catch (const std::invalid_argument& caught) {
    return caught.what();
  }
  return "accepted";
}

TEST(Runtime, WrongOptionsAreNamed) {
  EXPECT_NE(refusal_of({.max_blocking_threads = 0}).find("max_blocking_threads"), std::string::npos);
  EXPECT_NE(refusal_of({.workers = 1'000'000}).find("workers"), std::string::npos);
  EXPECT_NE(refusal_of({.blocking_keep_alive = -1s}).find("blocking_keep_alive"), std::string::npos);
  inline_executor host;
  EXPECT_NE(refusal_of({.workers = 2, .executor = &host}).find("workers"), std::string::npos);
  EXPECT_EQ(refusal_of({.workers = 1}), "accepted");
  EXPECT_EQ(refusal_of({.executor = &host}), "accepted");
}

TEST(Runtime, WithoutAWishThereIsAWorkerPerUsableCore) {
  const runtime rt;
  EXPECT_EQ(rt.metrics().workers, detail::sync::usable_cores());
}

TEST_P(RuntimeOnEvery, CurrentIsTheTasksRuntimeOrTheEnteredOne) {
  EXPECT_EQ(runtime::current(), nullptr);
  runtime* const mine = &rt();
  run([mine]() -> coro<> {
    EXPECT_EQ(runtime::current(), mine);
    co_await this_task::yield();
    EXPECT_EQ(runtime::current(), mine);
    const auto check = [mine] { EXPECT_EQ(runtime::current(), mine); };
    co_await spawn(check);
    co_await spawn_blocking(check);
    EXPECT_THROW(static_cast<void>(mine->enter()), invalid_state);
  });
  EXPECT_EQ(runtime::current(), nullptr);
}

TEST(Runtime, EnterNestsAndEndsWithItsScope) {
  runtime a({.workers = 1}), b({.workers = 1});
  {
    const entered in_a = a.enter();
    EXPECT_EQ(runtime::current(), &a);
    {
      const entered in_b = b.enter();
      EXPECT_EQ(runtime::current(), &b);
      EXPECT_EQ(spawn([] { return runtime::current(); }).get(), &b);
    }
    EXPECT_EQ(runtime::current(), &a);
    EXPECT_EQ(spawn([] { return runtime::current(); }).get(), &a);
    std::thread([] { EXPECT_EQ(runtime::current(), nullptr); }).join();
  }
  EXPECT_EQ(runtime::current(), nullptr);
}

/// What a run leaves behind is there for the next one, with the values that it was started with. There is no context besides: those of a
/// main end with it, and the next one begins without.
TEST_P(RuntimeOnEvery, Run08_SeveralRunsShareOneRuntime) {
  const task_local<int> setting;
  const gate open;
  task<int> kept;
  runtime* const mine = &rt();
  run([&]() -> coro<> {
    EXPECT_EQ(runtime::current(), mine);
    const auto reads_late = [&setting](gate open) -> coro<int> {
      co_await open;
      co_return setting.get();
    };
    setting.set(3);
    kept = spawn(reads_late, open);
    setting.set(4);
    co_return;
  });
  EXPECT_FALSE(setting.has_value());
  const int value = run([&]() -> coro<int> {
    EXPECT_EQ(runtime::current(), mine);
    EXPECT_FALSE(setting.has_value());
    setting.set(5);
    open.open();
    co_return co_await kept;
  });
  EXPECT_EQ(value, 3);
}

TEST_P(RuntimeOnEvery, Run09_ABackgroundTaskSurvivesTheEndOfOneRun) {
  const gate open;
  task<int> background;
  run([&]() -> coro<> {
    background = spawn(
        [](gate open) -> coro<int> {
          co_await open;
          co_return 4;
        },
        open);
    co_return;
  });
  EXPECT_FALSE(background.done());
  EXPECT_EQ(run([&]() -> coro<int> {
              open.open();
              co_return co_await background;
            }),
            4);
}

TEST_P(RuntimeOnEvery, Run10_AfterShutdownEveryUseIsAnErrorAndShutdownTwiceIsHarmless) {
  rt().shutdown();
  rt().shutdown();
  EXPECT_TRUE(rt().shutdown_for(1ms));
  EXPECT_THROW(run([]() -> coro<> { co_return; }), runtime_closed);
  EXPECT_THROW(static_cast<void>(rt().spawn([] {})), runtime_closed);
  EXPECT_EQ(rt().dump(), "");
  EXPECT_EQ(rt().metrics().live_tasks, 0U);
}

/// RUN-18. Nothing is left to be resumed: shutdown ends what run() waits for, and run() says so.
TEST(Runtime, Run18_ShutdownByAnotherThreadEndsARunThatWaits) {
  runtime rt({.workers = 1});
  const gate never;
  std::thread stops([&] {
    test::spin_until([&] { return never.parked() == 1; });
    rt.shutdown();
  });
  std::string said;
  try {
    rt.run([&]() -> coro<> { co_await never; });
  } catch (const task_cancelled& error) {
    said = error.reason();
  }
  stops.join();
  EXPECT_EQ(said, "runtime shutdown");
}

TEST_P(RuntimeOnEvery, ShutdownInATaskIsAnInvalidState) {
  runtime* const mine = &rt();
  run([mine]() -> coro<> {
    EXPECT_THROW(mine->shutdown(), invalid_state);
    EXPECT_THROW(mine->shutdown_for(1s), invalid_state);
    co_return;
  });
}

TEST_P(RuntimeOnEvery, MetricsCountWhatIsThere) {
  const gate open;
  run([&]() -> coro<> {
    const auto waits = spawn([](gate open) -> coro<> { co_await open; }, open);
    EXPECT_EQ(runtime::current()->metrics().live_tasks, 2U);
    open.open();
    co_await waits;
  });
  EXPECT_EQ(rt().metrics().live_tasks, 0U);
  if (GetParam() == test::flavour::native_8) EXPECT_EQ(rt().metrics().workers, 8U);
}

TEST(Runtime, ManyRuntimesComeAndGo) {
  for (int i = 0; i < 50; ++i) {
    runtime rt({.workers = 1 + static_cast<std::size_t>(i) % 3});
    EXPECT_EQ(rt.spawn([i] { return i; }).get(), i);
  }
}

TEST(Runtime, UnusedRuntimesEndAtOnce) {
  for (int i = 0; i < 50; ++i) const runtime rt({.workers = 2});
}

// ---- idle and busy workers ---------------------------------------------------------------------------------------------------

TEST_P(RuntimeOnPools, Thread11_ASubmissionWakesAnIdleRuntime) {
  runtime& idle = start({}, false);
  for (int i = 0; i < 20; ++i) {
    const auto parks = idle.metrics().parks;
    if (i % 4 == 0) test::spin_until([&] { return idle.metrics().parks > 0 && idle.metrics().parks >= parks; });
    EXPECT_EQ(idle.spawn([i] { return i; }).get(), i);
  }
}

/// MT-54: work queued behind a long computation, in the newest-first slot too, is taken by idle workers.
TEST(Runtime, Mt54_NothingHidesBehindALongComputation) {
  runtime rt({.workers = 2});
  const gate done;
  auto computing = rt.spawn(
      [](gate done) {
        // Two pieces of work queued on this very worker; neither can start here before the call returns.
        const task<> first = spawn([] {});
        const task<> second = spawn([](gate done) { done.open(); }, done);
        done.wait();
      },
      done);
  computing.get();
}

TEST(Runtime, Mt54_AWokenTaskIsTakenFromABusyWorker) {
  runtime rt({.workers = 2});
  const gate go, done;
  auto parked = rt.spawn(
      [](gate go, gate done) -> coro<> {
        co_await go;
        done.open();
      },
      go, done);
  test::spin_until([&] { return go.parked() == 1; });
  auto computing = rt.spawn(
      [](gate go, gate done) {
        go.open();    // the woken task goes to this worker's newest slot
        done.wait();  // until somebody else has run it
      },
      go, done);
  computing.get();
  parked.get();
}

/// Every worker takes part: as many callables as workers, none of which returns before all have started.
TEST_P(RuntimeOnPools, AsManyCallablesRunAtOnceAsThereAreWorkers) {
  const std::size_t workers = rt().metrics().workers;
  std::atomic<std::size_t> inside{0};
  const gate all_in;
  std::vector<task<>> calls;
  for (std::size_t i = 0; i < workers; ++i) {
    calls.push_back(rt().spawn(
        [](std::atomic<std::size_t>& inside, std::size_t workers, gate all_in) {
          if (inside.fetch_add(1) + 1 == workers) all_in.open();
          all_in.wait();
        },
        std::ref(inside), workers, all_in));
  }
  for (const task<>& each : calls) each.get();
}

/// MT-51: whatever escapes a task, its worker lives on.
TEST_P(RuntimeOnEvery, Mt51_AnErrorThatEscapesATaskLeavesItsThreadAlone) {
  run([]() -> coro<> {
    for (int i = 0; i < 100; ++i) {
      const task<> failing = spawn([]() -> void { throw 5; });
      EXPECT_THROW(co_await failing, int);
    }
    EXPECT_EQ(co_await spawn([] { return 1; }), 1);
  });
}

TEST_P(RuntimeOnEvery, ATaskMaySpawnFromItsDestructors) {
  struct spawns_on_its_way_out {
    explicit spawns_on_its_way_out(std::atomic<int>& runs) : runs_(&runs) {}
    spawns_on_its_way_out(spawns_on_its_way_out&& other) noexcept : runs_(std::exchange(other.runs_, nullptr)) {}
    spawns_on_its_way_out& operator=(spawns_on_its_way_out&&) = delete;
    ~spawns_on_its_way_out() {
      if (runs_ == nullptr) return;
      const task<> last = spawn([](std::atomic<int>& runs) { runs.fetch_add(1); }, std::ref(*runs_));
    }
    std::atomic<int>* runs_;
  };
  std::atomic<int> runs{0};
  run([&runs]() -> coro<> {
    co_await spawn([](spawns_on_its_way_out) -> coro<> { co_return; }, spawns_on_its_way_out(runs));
    while (runs.load() != 1) co_await this_task::yield();
    while (runtime::current()->tasks().size() != 1) co_await this_task::yield();
  });
}

TEST_P(RuntimeOnEvery, TwentyThousandTasksInAFan) {
  const int sum = run([]() -> coro<int> {
    std::vector<task<int>> all;
    for (int i = 0; i < 20'000; ++i) all.push_back(spawn([](int n) { return n % 2; }, i));
    int sum = 0;
    for (task<int>& each : all) sum += co_await std::move(each);
    co_return sum;
  });
  EXPECT_EQ(sum, 10'000);
}

}  // namespace
}  // namespace sheaf
