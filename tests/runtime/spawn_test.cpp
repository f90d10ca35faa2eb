/// spawn(): what becomes a task, what happens to its arguments, what is refused.
#include <sheaf/spawn.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
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
using test::run_test;
using test::until_complete;

SHEAF_ON_EVERY_FLAVOUR(SpawnOnEvery);

coro<int> doubled(int value) { co_return 2 * value; }
int plus(int a, int b) { return a + b; }

struct counter {
  int value = 0;
  int add(int more) { return value += more; }
  coro<int> add_later(int more) {
    co_await this_task::yield();
    co_return value += more;
  }
};

// ---- what may be spawned -----------------------------------------------------------------------------------------------------

TEST_P(SpawnOnEvery, Task03_CoroutinesFunctionsCallablesAndMembers) {
  counter shared;
  run([&shared]() -> coro<> {
    EXPECT_EQ(co_await spawn(doubled(2)), 4);
    EXPECT_EQ(co_await spawn(doubled, 3), 6);
    EXPECT_EQ(co_await spawn(plus, 3, 4), 7);
    EXPECT_EQ(co_await spawn(&counter::add, &shared, 5), 5);
    EXPECT_EQ(co_await spawn(&counter::add_later, &shared, 5), 10);
    EXPECT_EQ(co_await spawn(&counter::add, std::ref(shared), 1), 11);
    const std::function<int(int)> erased = [](int value) { return value + 1; };
    EXPECT_EQ(co_await spawn(erased, 1), 2);
    int captured = 20;
    const auto closure = [&captured] { return ++captured; };
    EXPECT_EQ(co_await spawn(closure), 21);
    const auto mutable_closure = [n = 0]() mutable { return ++n; };
    EXPECT_EQ(co_await spawn(mutable_closure), 1);
    coro<int> named = doubled(8);
    EXPECT_EQ(co_await spawn(std::move(named)), 16);
    EXPECT_FALSE(named);  // NOLINT(bugprone-use-after-move)
  });
}

TEST(Spawn, WhatIsNotSpawnableIsRefusedByTheConstraint) {
  static_assert(detail::spawnable<coro<int>>);
  static_assert(!detail::spawnable<coro<int>&>);
  static_assert(!detail::spawnable<int>);
  static_assert(!detail::spawnable<decltype(plus)&, int>);  // an argument is missing
  static_assert(detail::spawnable<decltype(plus)&, int, int>);
  static_assert(!detail::blocking_spawnable<decltype(doubled)&, int>);  // a coroutine must not block
  static_assert(!detail::blocking_spawnable<coro<int>>);
}

TEST_P(SpawnOnEvery, Mt05_CallablesAndCoroutineFunctionsMayTakeATokenFirst) {
  run([]() -> coro<> {
    EXPECT_EQ(co_await spawn([](const cancel_token& token, int value) { return token.requested() ? -1 : value; }, 3), 3);
    auto stops = spawn([](cancel_token token) -> coro<int> {
      while (!token.requested()) co_await sleep_for(std::chrono::milliseconds(1));
      co_return 7;
    });
    co_await test::yield_times(2);
    stops.cancel();
    co_await until_complete(stops);
    EXPECT_TRUE(stops.done());
  });
}

TEST(Spawn, ASpawnedCoroThatWasUsedIsAnInvalidState) {
  run_test([]() -> coro<> {
    coro<int> once = doubled(1);
    co_await std::move(once);
    EXPECT_THROW(static_cast<void>(spawn(std::move(once))), invalid_state);  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(runtime::current()->tasks().size(), 1U);
  });
}

// ---- arguments ---------------------------------------------------------------------------------------------------------------

TEST_P(SpawnOnEvery, Thread04_ArgumentsAreMovedInAndReferencesAreAskedForByRef) {
  run([]() -> coro<> {
    int value = 1;
    co_await spawn([](int& mine) { mine = 2; }, std::ref(value));
    EXPECT_EQ(value, 2);
    co_await spawn(
        [](int& mine_or_yours, int copy) {
          mine_or_yours += copy;
          copy = 0;
          EXPECT_EQ(copy, 0);
        },
        std::ref(value), value);
    EXPECT_EQ(value, 4);
    std::unique_ptr<int> box = co_await spawn([](std::unique_ptr<int> given) { return given; }, std::make_unique<int>(5));
    EXPECT_EQ(*box, 5);
    co_await spawn([](std::unique_ptr<int>& mine) { mine.reset(); }, std::ref(box));
    EXPECT_EQ(box, nullptr);
  });
}

/// The coroutine takes its parameters by reference; they live in the task's own frame.
TEST_P(SpawnOnEvery, ArgumentsOfASpawnedCoroutineFunctionOutliveIt) {
  run([]() -> coro<> {
    const auto reads_late = [](const std::string& text, const std::vector<int>& numbers) -> coro<std::size_t> {
      co_await sleep_for(std::chrono::seconds(1));
      co_return text.size() + numbers.size();
    };
    task<std::size_t> reading;
    {
      const std::string text(100, 'x');
      reading = spawn(reads_late, text, std::vector<int>(10));
    }
    EXPECT_EQ(co_await std::move(reading), 110U);
  });
}

TEST_P(SpawnOnEvery, TheCallableItselfIsKeptWhileItsCoroutineRuns) {
  run([]() -> coro<> {
    task<std::size_t> reading;
    {
      const std::string owned(64, 'y');
      const auto reads_its_capture = [owned]() -> coro<std::size_t> {
        co_await sleep_for(std::chrono::seconds(1));
        co_return owned.size();
      };
      reading = spawn(reads_its_capture);
    }
    EXPECT_EQ(co_await std::move(reading), 64U);
  });
}

TEST_P(SpawnOnEvery, ArgumentsAreDestroyedOnce) {
  drop_counter drops;
  run([&drops]() -> coro<> {
    const auto taking = [](drop_counter::payload, const drop_counter::payload&) -> coro<> { co_await this_task::yield(); };
    co_await spawn(taking, drops.make(), drops.make());
    EXPECT_EQ(drops.drops(), 2);
    co_await spawn([](drop_counter::payload) {}, drops.make());
    EXPECT_EQ(drops.drops(), 3);
    auto fails = spawn([](const drop_counter::payload&) { throw std::runtime_error("x"); }, drops.make());
    co_await until_complete(fails);
    EXPECT_EQ(drops.drops(), 4);
    static_cast<void>(fails.exception());
  });
}

TEST_P(SpawnOnEvery, WhatCopyingThrowsComesOutAndNothingWasStarted) {
  struct no_copies {
    no_copies() = default;
    no_copies(const no_copies&) { throw std::runtime_error("copy"); }
  };
  run([]() -> coro<> {
    const no_copies source;
    drop_counter drops;
    bool ran = false;
    EXPECT_THROW(static_cast<void>(spawn([](const no_copies&, const drop_counter::payload&, bool& flag) { flag = true; }, source,
                                         drops.make(), std::ref(ran))),
                 std::runtime_error);
    EXPECT_THROW(static_cast<void>(spawn(
                     [](const no_copies&, const drop_counter::payload&, bool& flag) -> coro<> {
                       flag = true;
                       co_return;
                     },
                     source, drops.make(), std::ref(ran))),
                 std::runtime_error);
    EXPECT_EQ(drops.alive(), 0);
    EXPECT_EQ(runtime::current()->tasks().size(), 1U);
    co_await test::yield_times(3);
    EXPECT_FALSE(ran);
  });
}

// ---- refusals ----------------------------------------------------------------------------------------------------------------

TEST(Spawn, OutsideAnyRuntimeThrowsNoRuntimeAndDestroysTheWork) {
  drop_counter drops;
  EXPECT_EQ(runtime::current(), nullptr);
  EXPECT_THROW(static_cast<void>(spawn([](const drop_counter::payload&) {}, drops.make())), no_runtime);
  EXPECT_THROW(static_cast<void>(spawn([](drop_counter::payload) -> coro<> { co_return; }(drops.make()))), no_runtime);
  EXPECT_THROW(static_cast<void>(spawn_blocking([](const drop_counter::payload&) {}, drops.make())), no_runtime);
  EXPECT_EQ(drops.drops(), 3);
}

TEST_P(SpawnOnEvery, Task28_AfterShutdownSpawnThrowsAndDestroysTheWorkOnce) {
  drop_counter drops;
  rt().shutdown();
  bool ran = false;
  EXPECT_THROW(
      static_cast<void>(rt().spawn([](const drop_counter::payload&, bool& flag) { flag = true; }, drops.make(), std::ref(ran))),
      runtime_closed);
  EXPECT_THROW(static_cast<void>(rt().spawn([](drop_counter::payload) -> coro<> { co_return; }, drops.make())), runtime_closed);
  EXPECT_THROW(static_cast<void>(rt().spawn([](drop_counter::payload) -> coro<> { co_return; }(drops.make()))), runtime_closed);
  EXPECT_THROW(static_cast<void>(rt().spawn_blocking([](const drop_counter::payload&) {}, drops.make())), runtime_closed);
  EXPECT_THROW(static_cast<void>(rt().spawn(
                   spawn_options{.name = "named", .eager = true}, [](const drop_counter::payload&) {}, drops.make())),
               runtime_closed);
  EXPECT_EQ(drops.drops(), 5);
  EXPECT_FALSE(ran);
  EXPECT_TRUE(rt().tasks().empty());
}

TEST(Spawn, Thread10_TheForeignCallerGetsTheErrorOfARefusedSpawn) {
  runtime rt({.workers = 1});
  rt.shutdown();
  std::thread([&rt] { EXPECT_THROW(static_cast<void>(rt.spawn(doubled, 1)), runtime_closed); }).join();
}

TEST(Spawn, Thread08_FromAForeignThreadGetBringsValueErrorOrCancelled) {
  runtime rt({.workers = 2});
  const gate never;
  std::thread([&rt, never] {
    EXPECT_EQ(rt.spawn(doubled, 4).get(), 8);
    EXPECT_THROW(rt.spawn([]() -> coro<int> {
                     throw std::runtime_error("over there");
                     co_return 0;
                   }).get(),
                 std::runtime_error);
    auto stopped = rt.spawn([](gate at) -> coro<> { co_await at; }, never);
    EXPECT_TRUE(stopped.cancel("by the caller"));
    try {
      stopped.get();
      ADD_FAILURE() << "cancelled, yet it returned";
    } catch (const task_cancelled& caught) {
      EXPECT_EQ(caught.reason(), "by the caller");
    }
  }).join();
}

// ---- eager -------------------------------------------------------------------------------------------------------------------

/// EAGER-04: each call says for itself whether it is eager; a runtime has no default to override.
TEST_P(SpawnOnEvery, Eager01_WithoutASuspensionItIsDoneWhenSpawnReturns) {
  run([]() -> coro<> {
    int effect = 0;
    auto done = spawn(
        spawn_options{.eager = true},
        [](int& to) -> coro<int> {
          to = 1;
          co_return 5;
        },
        std::ref(effect));
    EXPECT_TRUE(done.done());
    EXPECT_EQ(effect, 1);
    EXPECT_EQ(done.result(), 5);
    auto called = spawn(spawn_options{.eager = true}, [] { return 6; });
    EXPECT_TRUE(called.done());
    EXPECT_EQ(co_await std::move(called), 6);
  });
}

TEST_P(SpawnOnEvery, Eager01_ABodyThatSuspendsGoesOnOnTheRuntime) {
  run([]() -> coro<> {
    int steps = 0;
    const gate open;
    auto suspended = spawn(
        spawn_options{.eager = true},
        [](int& steps, gate open) -> coro<int> {
          ++steps;
          co_await open;
          co_return ++steps;
        },
        std::ref(steps), open);
    EXPECT_EQ(steps, 1);
    EXPECT_FALSE(suspended.done());
    open.open();
    EXPECT_EQ(co_await std::move(suspended), 2);
  });
}

TEST_P(SpawnOnEvery, Eager02_CancelAfterTheEagerStep) {
  run([]() -> coro<> {
    auto done = spawn(spawn_options{.eager = true}, [] { return 1; });
    EXPECT_FALSE(done.cancel());
    EXPECT_EQ(done.result(), 1);
    const gate never;
    auto parked = spawn(spawn_options{.eager = true}, [](gate at) -> coro<> { co_await at; }, never);
    EXPECT_EQ(never.parked(), 1U);
    EXPECT_TRUE(parked.cancel("why"));
    co_await until_complete(parked);
    try {
      parked.result();
    } catch (const task_cancelled& caught) {
      EXPECT_EQ(caught.reason(), "why");
    }
    EXPECT_TRUE(parked.cancelled());
  });
}

TEST_P(SpawnOnEvery, Eager03_DuringTheEagerStepTheCurrentTaskIsTheChild) {
  run([]() -> coro<> {
    const std::uint64_t parent = this_task::id();
    std::uint64_t child = 0;
    std::size_t listed = 0;
    auto eager = spawn(
        spawn_options{.name = "kid", .eager = true},
        [](std::uint64_t& id, std::size_t& listed) {
          id = this_task::id();
          EXPECT_EQ(this_task::name(), "kid");
          listed = runtime::current()->tasks().size();
        },
        std::ref(child), std::ref(listed));
    EXPECT_EQ(this_task::id(), parent);
    EXPECT_EQ(child, eager.id());
    EXPECT_EQ(listed, 2U);
    auto throwing = spawn(spawn_options{.eager = true}, [] { throw std::runtime_error("in the first step"); });
    EXPECT_EQ(this_task::id(), parent);
    EXPECT_THROW(co_await std::move(throwing), std::runtime_error);
  });
}

TEST(Spawn, EagerOnAPlainThreadRunsTheFirstStepThere) {
  runtime rt({.workers = 1});
  std::thread::id first, second;
  const gate open;
  auto both = rt.spawn(
      spawn_options{.eager = true},
      [](std::thread::id& first, std::thread::id& second, gate open) -> coro<> {
        first = std::this_thread::get_id();
        co_await open;
        second = std::this_thread::get_id();
      },
      std::ref(first), std::ref(second), open);
  EXPECT_EQ(first, std::this_thread::get_id());
  EXPECT_EQ(runtime::current(), nullptr);
  EXPECT_THROW(static_cast<void>(this_task::id()), invalid_state);
  open.open();
  both.get();
  EXPECT_NE(second, std::this_thread::get_id());
}

/// Eager children of eager children, each first step on the last one's stack.
TEST_P(SpawnOnEvery, EagerSpawnsNest) {
  run([]() -> coro<> {
    std::function<int(int)> nest = [&nest](int depth) {
      if (depth == 0) return 0;
      return 1 + spawn(spawn_options{.eager = true}, nest, depth - 1).result();
    };
    EXPECT_EQ(co_await spawn(nest, 50), 50);
  });
}

}  // namespace
}  // namespace sheaf
