/// The handle of a task: identity, states, results, the two forms of co_await.
#include <sheaf/task.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <exception>
#include <functional>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <unordered_set>
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
using test::until_parked;

SHEAF_ON_EVERY_FLAVOUR(TaskOnEvery);

coro<int> value_after(gate open, int value) {
  co_await open;
  co_return value;
}
coro<int> failing() {
  throw std::runtime_error("failing task");
  co_return 0;
}

// ---- identity ----------------------------------------------------------------------------------------------------------------

TEST_P(TaskOnEvery, HandlesAreEqualByTask) {
  run([]() -> coro<> {
    const task<int> a = spawn([] { return 1; });
    const task<int> b = spawn([] { return 1; });
    const task<int> a_too = a;  // NOLINT(performance-unnecessary-copy-initialization)
    EXPECT_EQ(a, a_too);
    EXPECT_NE(a, b);
    EXPECT_EQ(std::hash<task<int>>{}(a), std::hash<task<int>>{}(a_too));
    EXPECT_EQ(a < b, a.id() < b.id());
    EXPECT_TRUE(a <= a_too && a >= a_too);
    EXPECT_EQ((std::unordered_set<task<int>>{a, b, a_too}.size()), 2U);
    EXPECT_EQ((std::set<task<int>>{a, b, a_too}.size()), 2U);
    co_await a;
    co_await b;
    EXPECT_EQ(a, a_too);  // also afterwards
  });
}

TEST_P(TaskOnEvery, Task04_EveryTaskIsAnAnyTask) {
  run([]() -> coro<> {
    task<int> typed = spawn([] { return 1; });
    const any_task erased = typed;
    EXPECT_EQ(erased.id(), typed.id());
    co_await erased;
    EXPECT_EQ(erased.status(), task_status::succeeded);
    static_cast<void>(erased.result());
    EXPECT_EQ(typed.result(), 1);
    const any_task failed = spawn(failing);
    EXPECT_THROW(co_await failed, std::runtime_error);
  });
}

TEST(Task, AnEmptyHandleIsAnInvalidStateWhateverOneAsks) {
  task<int> empty;
  EXPECT_FALSE(empty);
  EXPECT_EQ(empty, task<int>());
  EXPECT_THROW(static_cast<void>(empty.done()), invalid_state);
  EXPECT_THROW(static_cast<void>(empty.cancelled()), invalid_state);
  EXPECT_THROW(static_cast<void>(empty.status()), invalid_state);
  EXPECT_THROW(empty.cancel(), invalid_state);
  EXPECT_THROW(static_cast<void>(empty.result()), invalid_state);
  EXPECT_THROW(static_cast<void>(empty.exception()), invalid_state);
  EXPECT_THROW(empty.get(), invalid_state);
  EXPECT_THROW(task<int>().get(), invalid_state);
  EXPECT_THROW(empty.get_for(std::chrono::seconds(1)), invalid_state);
  EXPECT_THROW(static_cast<void>(empty.id()), invalid_state);
  EXPECT_THROW(static_cast<void>(empty.name()), invalid_state);
  EXPECT_THROW(empty.set_name("x"), invalid_state);
  EXPECT_THROW(static_cast<void>(empty < empty), invalid_state);
}

TEST_P(TaskOnEvery, Fut17_AwaitingAnEmptyHandleIsAnInvalidState) {
  run([]() -> coro<> {
    task<int> empty;
    EXPECT_THROW(co_await empty, invalid_state);
    EXPECT_THROW(co_await std::move(empty), invalid_state);
    task<int> full = spawn([] { return 1; });
    const task<int> other = std::move(full);
    EXPECT_THROW(co_await full, invalid_state);  // NOLINT(bugprone-use-after-move)
    co_await other;
  });
}

TEST_P(TaskOnEvery, Task07_NamesAndIds) {
  run([]() -> coro<> {
    std::set<std::string> names;
    std::uint64_t last = 0;
    std::vector<task<>> all;
    for (int i = 0; i < 600; ++i) {  // more than one block of ids; no suspension in between: they increase per spawning thread
      all.push_back(spawn([] {}));
      const task<>& each = all.back();
      EXPECT_GT(each.id(), last);
      last = each.id();
      EXPECT_EQ(each.name(), "task-" + std::to_string(each.id()));
      EXPECT_TRUE(names.insert(each.name()).second);
    }
    for (const task<>& each : all) co_await each;
    const task<> named = spawn(spawn_options{.name = "given"}, [] {});
    EXPECT_EQ(named.name(), "given");
    named.set_name("changed");
    EXPECT_EQ(named.name(), "changed");
    co_await named;
    EXPECT_EQ(named.name(), "changed");
    named.set_name("");
    EXPECT_EQ(named.name(), "task-" + std::to_string(named.id()));
  });
}

// ---- states ------------------------------------------------------------------------------------------------------------------

TEST_P(TaskOnEvery, Task02_BeforeTheEndResultAndErrorAreInvalidStates) {
  run([]() -> coro<> {
    const gate open;
    const task<int> waiting = spawn(value_after, open, 5);
    EXPECT_FALSE(waiting.done());
    EXPECT_THROW(static_cast<void>(waiting.result()), invalid_state);
    EXPECT_THROW(static_cast<void>(waiting.exception()), invalid_state);
    open.open();
    EXPECT_EQ(co_await waiting, 5);
    EXPECT_TRUE(waiting.done());
    EXPECT_EQ(waiting.result(), 5);
    EXPECT_EQ(waiting.exception(), nullptr);
  });
}

TEST_P(TaskOnEvery, Task08_StatesAreVisible) {
  run([]() -> coro<> {
    const gate open;
    const task<int> waits = spawn(value_after, open, 1);
    co_await until_parked(waits);
    EXPECT_EQ(waits.status(), task_status::pending);
    task_status inside = task_status::pending;
    const task<> looks = spawn([](task_status& seen) { seen = this_task::handle().status(); }, std::ref(inside));
    co_await looks;
    EXPECT_EQ(inside, task_status::running);
    EXPECT_EQ(looks.status(), task_status::succeeded);
    const task<int> fails = spawn(failing);
    co_await until_complete(fails);
    EXPECT_EQ(fails.status(), task_status::failed);
    EXPECT_NE(fails.exception(), nullptr);
    waits.cancel();
    co_await until_complete(waits);
    EXPECT_EQ(waits.status(), task_status::cancelled);
    EXPECT_TRUE(waits.cancelled());
  });
  EXPECT_EQ(to_string(task_status::pending), "pending");
  EXPECT_EQ(to_string(task_status::running), "running");
  EXPECT_EQ(to_string(task_status::succeeded), "succeeded");
  EXPECT_EQ(to_string(task_status::failed), "failed");
  EXPECT_EQ(to_string(task_status::cancelled), "cancelled");
}

TEST_P(TaskOnEvery, Task06_ATaskThatAwaitsItselfFails) {
  run([]() -> coro<> {
    const gate told;
    auto own = std::make_shared<task<>>();
    *own = spawn(
        [](std::shared_ptr<task<>> self, gate told) -> coro<> {
          co_await told;
          const task<> mine = std::exchange(*self, {});
          EXPECT_THROW(co_await mine, invalid_state);
          EXPECT_THROW(mine.get(), invalid_state);
        },
        own, told);
    const task<> watched = *own;
    told.open();
    co_await watched;
  });
}

template <class Handle>
concept completable = requires(Handle handle, std::exception_ptr error) { handle.set_value(1); } ||
                      requires(Handle handle, std::exception_ptr error) { handle.set_exception(error); };

TEST(Task, Task10_NothingOutsideCompletesATask) {
  static_assert(!completable<task<int>> && !std::is_constructible_v<task<int>, int>);
}

TEST_P(TaskOnEvery, Task27_DroppingEveryHandleDetaches) {
  drop_counter drops;
  run([&drops]() -> coro<> {
    const gate open, finished;
    {
      const task<> dropped = spawn(
          [](drop_counter::payload, gate open, gate finished) -> coro<> {
            co_await open;
            finished.open();
          },
          drops.make(), open, finished);
    }
    co_await test::yield_times(3);
    EXPECT_EQ(drops.alive(), 1);
    open.open();
    co_await finished;
    while (runtime::current()->tasks().size() > 1) co_await this_task::yield();
  });
  EXPECT_EQ(drops.drops(), 1);
}

TEST_P(TaskOnEvery, Task32_TasksListsUnfinishedTasksOnly) {
  run([]() -> coro<> {
    const gate open;
    const task<> done = spawn([] {});
    co_await done;
    const any_task a = spawn(value_after, open, 1);
    const any_task b = spawn(value_after, open, 2);
    std::vector<any_task> expected{this_task::handle(), a, b};
    std::ranges::sort(expected);
    EXPECT_EQ(runtime::current()->tasks(), expected);
    open.open();
    co_await a;
    co_await b;
    EXPECT_EQ(runtime::current()->tasks(), std::vector<any_task>{this_task::handle()});
  });
}

// ---- results -----------------------------------------------------------------------------------------------------------------

TEST_P(TaskOnEvery, Fut06_ObserversSeeTheVeryObject) {
  run([]() -> coro<> {
    task<std::string> made = spawn([] { return std::string("made once, and long enough to live on the heap"); });
    const std::string& first = co_await made;
    const task<std::string> other = made;
    const std::string& second = co_await other;
    EXPECT_EQ(&first, &second);
    EXPECT_EQ(&first, &made.result());
    EXPECT_EQ(first, "made once, and long enough to live on the heap");
  });
}

TEST_P(TaskOnEvery, Fut05_AwaitingADoneTaskDoesNotSuspend) {
  run([]() -> coro<> {
    const task<int> done = spawn([] { return 1; });
    co_await done;
    bool other_ran = false;
    const task<> other = spawn([](bool& flag) { flag = true; }, std::ref(other_ran));
    static_cast<void>(co_await done);
    if (runtime::current()->metrics().workers == 1) EXPECT_FALSE(other_ran);
    co_await other;
  });
}

TEST_P(TaskOnEvery, TheSoleHandleMovesTheResultOut) {
  run([]() -> coro<> {
    task<std::unique_ptr<int>> boxed = spawn([] { return std::make_unique<int>(7); });
    const std::unique_ptr<int> mine = co_await std::move(boxed);
    EXPECT_EQ(*mine, 7);
    EXPECT_FALSE(boxed);  // NOLINT(bugprone-use-after-move)
    const std::unique_ptr<int> straight = co_await spawn([] { return std::make_unique<int>(8); });
    EXPECT_EQ(*straight, 8);
  });
}

TEST_P(TaskOnEvery, OneOfSeveralHandlesCopiesTheResult) {
  run([]() -> coro<> {
    task<std::string> made = spawn([] { return std::string("kept for the others, too long for the object itself"); });
    const task<std::string> other = made;
    const std::string copy = co_await std::move(made);
    EXPECT_EQ(copy, other.result());
    EXPECT_NE(copy.data(), other.result().data());
  });
}

TEST_P(TaskOnEvery, AMoveOnlyResultThroughOneOfSeveralHandlesIsAnInvalidState) {
  run([]() -> coro<> {
    task<std::unique_ptr<int>> made = spawn([] { return std::make_unique<int>(1); });
    const task<std::unique_ptr<int>> other = made;
    EXPECT_THROW(static_cast<void>(co_await std::move(made)), invalid_state);
    const std::unique_ptr<int>& seen = co_await other;  // by reference it can be had
    EXPECT_EQ(*seen, 1);
  });
}

TEST_P(TaskOnEvery, ResultsWithoutDefaultConstructionReferencesAndVoid) {
  struct no_default {
    explicit no_default(int v) : value(v) {}
    int value;
  };
  int target = 0;
  run([&target]() -> coro<> {
    const task<no_default> made = spawn([] { return no_default(3); });
    EXPECT_EQ((co_await made).value, 3);
    task<int&> reference = spawn([](int& to) -> int& { return to; }, std::ref(target));
    static_assert(std::is_same_v<decltype(reference.result()), int&>);
    int& observed = co_await reference;
    EXPECT_EQ(&observed, &target);
    int& taken = co_await std::move(reference);
    EXPECT_EQ(&taken, &target);
    const task<> nothing = spawn([] {});
    static_assert(std::is_same_v<decltype(nothing.result()), void>);
    co_await nothing;
    nothing.result();
  });
}

/// Nothing is unwrapped behind one's back.
TEST_P(TaskOnEvery, Task26_ATaskThatReturnsATaskYieldsThatTask) {
  run([]() -> coro<> {
    task<task<int>> outer = spawn([] { return spawn([] { return 4; }); });
    task<int> inner = co_await std::move(outer);
    EXPECT_EQ(co_await std::move(inner), 4);
  });
}

TEST_P(TaskOnEvery, ResultsAreDestroyedOnceWithTheLastHandle) {
  drop_counter drops;
  run([&drops]() -> coro<> {
    task<drop_counter::payload> made = spawn([](drop_counter& from) { return from.make(); }, std::ref(drops));
    task<drop_counter::payload> other = made;
    co_await made;
    made = {};
    EXPECT_EQ(drops.alive(), 1);
    other = {};
    EXPECT_EQ(drops.alive(), 0);
  });
  EXPECT_EQ(drops.drops(), 1);
}

/// Whoever sees the outcome sees arguments, locals and the callable released.
TEST_P(TaskOnEvery, TheWorkIsDestroyedBeforeTheOutcomeIsPublished) {
  drop_counter drops;
  run([&drops]() -> coro<> {
    const task<> kept = spawn(
        [](drop_counter::payload, drop_counter& from) -> coro<> {
          const auto local = from.make();
          co_await this_task::yield();
        },
        drops.make(), std::ref(drops));
    const task<> callable = spawn([](const drop_counter::payload&) {}, drops.make());
    co_await kept;
    co_await callable;
    EXPECT_EQ(drops.alive(), 0);
  });
}

TEST(Task, AHandleAndItsResultOutliveTheRuntime) {
  drop_counter drops;
  task<drop_counter::payload> value;
  task<> failed, stopped;
  {
    runtime rt({.workers = 2});
    value = rt.spawn([](drop_counter& from) { return from.make(3); }, std::ref(drops));
    failed = rt.spawn([] { throw std::runtime_error("kept"); });
    stopped = rt.spawn([]() -> coro<> { co_await sleep_for(std::chrono::hours(1)); });
    static_cast<void>(value.get());
    EXPECT_THROW(failed.get(), std::runtime_error);
  }
  EXPECT_EQ(value.get().value(), 3);
  EXPECT_EQ(value.result().value(), 3);
  EXPECT_THROW(failed.get(), std::runtime_error);
  EXPECT_THROW(stopped.result(), task_cancelled);
  EXPECT_FALSE(stopped.cancel());
  EXPECT_FALSE(value.name().empty());
}

TEST_P(TaskOnEvery, Task30_EveryReadGivesTheSameErrorObject) {
  run([]() -> coro<> {
    const task<int> fails = spawn(failing);
    std::exception_ptr first, second;
    try {
      co_await fails;
    } catch (...) {
      first = std::current_exception();
    }
    try {
      static_cast<void>(fails.result());
    } catch (...) {
      second = std::current_exception();
    }
    EXPECT_NE(first, nullptr);
    EXPECT_EQ(first, second);
    EXPECT_EQ(first, fails.exception());
    EXPECT_EQ(first, any_task(fails).exception());
  });
}

// ---- scoped_task -------------------------------------------------------------------------------------------------------------

TEST_P(TaskOnEvery, Mt50_AScopedTaskCancelsOnDrop) {
  run([]() -> coro<> {
    const gate never;
    const task<int> watched = spawn(value_after, never, 1);
    co_await until_parked(watched);
    {
      const scoped_task<int> owner(watched);
      EXPECT_FALSE((*owner).done());
      EXPECT_FALSE(owner->done());
    }
    co_await until_complete(watched);
    EXPECT_TRUE(watched.cancelled());
  });
}

TEST_P(TaskOnEvery, AScopedTaskMovesAndReleases) {
  run([]() -> coro<> {
    const gate open;
    const task<int> watched = spawn(value_after, open, 6);
    task<int> released;
    {
      scoped_task<int> first(watched);
      scoped_task<int> second = std::move(first);
      released = second.release();
    }
    co_await test::yield_times(2);
    EXPECT_FALSE(watched.done());
    open.open();
    const scoped_task<int> again(released);
    EXPECT_EQ(co_await again, 6);
    scoped_task<int> owner(spawn([] { return 9; }));
    EXPECT_EQ(co_await std::move(owner), 9);
  });
}

TEST_P(TaskOnEvery, Task24_AnErrorFromHandlingARequestMayCarryIt) {
  run([]() -> coro<> {
    const auto fails = []() -> coro<> {
      const gate never;
      try {
        co_await never;
      } catch (const cancelled&) {
        std::throw_with_nested(std::runtime_error("while stopping"));
      }
    };
    const task<> target = spawn(fails());
    co_await test::until_parked(target);
    target.cancel("enough");
    co_await test::until_complete(target);
    EXPECT_EQ(target.status(), task_status::failed);
    std::string reason;
    try {
      target.result();
    } catch (const std::runtime_error& error) {
      try {
        std::rethrow_if_nested(error);
      } catch (const cancelled& cause) {
        reason = cause.reason();
      }
    }
    EXPECT_EQ(reason, "enough");
  });
}

// ---- many

TEST_P(TaskOnEvery, AHundredThousandWaitersOfOneTaskDoNotGrowTheStack) {
  run([]() -> coro<> {
    constexpr int k_waiters = 100'000;
    const gate open;
    const auto opens = [open]() -> coro<int> {
      co_await open;
      co_return 1;
    };
    const task<int> awaited = spawn(opens);
    const auto waits = [](const task<int>& awaited) -> coro<int> { co_return co_await awaited; };
    std::vector<task<int>> waiters;
    waiters.reserve(k_waiters);
    for (int i = 0; i < k_waiters; ++i) waiters.push_back(spawn(waits, awaited));
    co_await test::until_parked(waiters.back());
    open.open();
    int sum = 0;
    for (auto& each : waiters) sum += co_await std::move(each);
    EXPECT_EQ(sum, k_waiters);
  });
}

}  // namespace
}  // namespace sheaf
