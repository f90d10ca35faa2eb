/// What the destructor of a result may do, wherever it runs: wake others and wait for them, like any code of the user's.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <stdexcept>
#include <utility>

#include <sheaf/runtime.hpp>
#include <sheaf/semaphore.hpp>
#include <sheaf/task_group.hpp>
#include <sheaf/this_task.hpp>

#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using test::gate;

SHEAF_ON_NATIVE_POOLS(ResultDestructors);

/// A result that does something when it goes.
class at_end {
 public:
  explicit at_end(std::function<void()> act) : act_(std::move(act)) {}
  at_end(at_end&& other) noexcept : act_(std::exchange(other.act_, nullptr)) {}
  at_end& operator=(at_end&&) = delete;
  ~at_end() {
    if (act_) act_();
  }

 private:
  std::function<void()> act_;
};

coro<at_end> gives_at(gate open, std::function<void()> act) {
  co_await open;
  co_return at_end(std::move(act));
}

/// The end of a group's last child destroys its result, which wakes a task and blocks its thread until that one has run: the task must
/// be where another worker finds it.
TEST_P(ResultDestructors, WhoIsWokenByOneMayBeWaitedForInIt) {
  run([]() -> coro<> {
    semaphore stop(0);
    const gate helper_ran, child_may_end;
    const task<> helper = spawn(
        [](semaphore& stop, gate ran) -> coro<> {
          const permit mine = co_await stop.acquire();
          ran.open();
        },
        std::ref(stop), helper_ran);
    co_await test::until_parked(helper);
    const auto stop_and_wait = [&stop, helper_ran] {
      stop.release();
      helper_ran.wait();
    };
    const task<> whole = spawn([&]() -> coro<> {
      const auto body = [&](task_group& group) -> coro<> {
        static_cast<void>(group.spawn(gives_at, child_may_end, stop_and_wait));
        co_return;
      };
      co_await with_task_group(body);
    });
    co_await test::until_parked(whole);
    child_may_end.open();
    co_await whole;
    co_await helper;
  });
}

/// The body runs its child itself, in get(), and the queue entry stays behind: what the child gave goes before the group ends all the same.
TEST_P(ResultDestructors, OfAChildRunInPlaceGoesBeforeItsGroupEnds) {
  run([]() -> coro<> {
    bool gone = false;
    const auto gives = [&gone] { return at_end([&gone] { gone = true; }); };
    const auto body = [&gives](task_group& group) -> coro<> {
      const auto child = group.spawn(gives);
      static_cast<void>(child.get());
      co_return;
    };
    co_await with_task_group(body);
    EXPECT_TRUE(gone);
  });
}

/// A child has ended, and its result's destructor is under way, when the body ends: the group waits for it.
TEST_P(ResultDestructors, AGroupEndsAfterThoseOfItsChildren) {
  const gate in_destructor, go_on;
  std::atomic<bool> destroyed{false}, in_time{false};
  const auto act = [&] {
    in_destructor.open();
    go_on.wait();
    destroyed.store(true);
  };
  const task<> whole = rt().spawn([&]() -> coro<> {
    const auto body = [&](task_group& group) -> coro<> {
      const gate child_may_end;  // not before the handle has gone: the result goes with the last one
      static_cast<void>(group.spawn(gives_at, child_may_end, act));
      child_may_end.open();
      co_await in_destructor;
    };
    co_await with_task_group(body);
    in_time.store(destroyed.load());
  });
  in_destructor.wait();
  test::spin_until([&] { return whole.done() || test::is_parked(whole); });
  go_on.open();
  whole.get();
  EXPECT_TRUE(in_time.load());
}

/// Nobody has kept a handle, so the task's own end destroys its result, whose destructor blocks in get().
TEST_P(ResultDestructors, OneMayWaitForATaskThoughItsOwnHasEnded) {
  const gate open;
  std::atomic<int> destroyed{0};
  run([&]() -> coro<> {
    const task<> helper = spawn([](gate open) -> coro<> { co_await open; }, open);
    const gate begun;
    const auto act = [&, helper] {
      begun.open();
      helper.get();
      destroyed.fetch_add(1);
    };
    const gate may_end;
    static_cast<void>(spawn(gives_at, may_end, act));
    may_end.open();
    co_await begun;
    open.open();
    while (destroyed.load() == 0) co_await this_task::yield();
  });
  EXPECT_EQ(destroyed.load(), 1);
}

/// What an aborted task holds is torn down by a worker, which may block there: the canceller and everybody else go on, and the outcome
/// comes afterwards.
TEST_P(ResultDestructors, Mt10_WhatAnAbortedTaskHoldsMayBlock) {
  run([]() -> coro<> {
    const gate never, begun, open;
    std::atomic<int> destroyed{0};
    const task<> helper = spawn([](gate open) -> coro<> { co_await open; }, open);
    const auto act = [&, helper] {
      begun.open();
      helper.get();
      destroyed.fetch_add(1);
    };
    const auto holds = [](gate never, at_end) -> coro<> { co_await never; };
    const task<> aborted = spawn(holds, never, at_end(act));
    co_await test::until_parked(aborted);
    EXPECT_TRUE(aborted.cancel());
    co_await begun;
    EXPECT_FALSE(aborted.done());
    EXPECT_EQ(destroyed.load(), 0);
    open.open();
    co_await test::until_complete(aborted);
    EXPECT_TRUE(aborted.cancelled());
    EXPECT_EQ(destroyed.load(), 1);
  });
}

class throws_at_end {
 public:
  throws_at_end() = default;
  throws_at_end(throws_at_end&& other) noexcept : armed_(std::exchange(other.armed_, false)) {}
  throws_at_end& operator=(throws_at_end&&) = delete;
  ~throws_at_end() noexcept(false) {
    if (armed_) throw std::runtime_error("from a destructor");
  }

 private:
  bool armed_ = true;
};

/// A local goes while the body still runs: what its destructor throws is the body's failure, and replaces the value.
TEST_P(ResultDestructors, Mt10_WhatALocalThrowsAtTheEndIsTheFailureOfItsTask) {
  test::drop_counter drops;
  const auto body = [](test::drop_counter& drops) -> coro<test::drop_counter::payload> {
    const throws_at_end local;
    co_return drops.make();
  };
  const auto failed = rt().spawn(body, std::ref(drops));
  EXPECT_THROW(static_cast<void>(failed.get()), std::runtime_error);
  EXPECT_EQ(failed.status(), task_status::failed);
  EXPECT_EQ(drops.alive(), 0);
  EXPECT_EQ(drops.drops(), 1);
}

/// What a task holds goes after its body, within the library, where nobody is left to take an exception: the program ends, by the handler
/// in which anybody can hook in (docs/decisions/throwing-destructors.md).
TEST(ResultDestructorsDeathTest, Mt10_OneThatThrowsEndsTheProgramByTheTerminateHandler) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto aborts_it = [] {
    std::set_terminate([] {
      std::fputs("the handler was called\n", stderr);
      std::_Exit(1);
    });
    runtime rt({.workers = 1});
    const gate never;
    rt.spawn([](gate never, throws_at_end) -> coro<> { co_await never; }, never, throws_at_end()).cancel();
    rt.shutdown();
  };
  EXPECT_EXIT(aborts_it(), testing::ExitedWithCode(1), "the handler was called");
}

}  // namespace
}  // namespace sheaf
