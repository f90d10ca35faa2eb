/// What a task can say of itself.
#include <sheaf/this_task.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <sheaf/run.hpp>
#include <sheaf/sleep.hpp>

#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/run_test.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using test::gate;
using test::run_test;

SHEAF_ON_EVERY_FLAVOUR(ThisTaskOnEvery);

TEST(ThisTask, OutsideATaskEverythingButYieldIsAnInvalidState) {
  EXPECT_THROW(static_cast<void>(this_task::handle()), invalid_state);
  EXPECT_THROW(static_cast<void>(this_task::token()), invalid_state);
  EXPECT_THROW(this_task::check_cancelled(), invalid_state);
  EXPECT_THROW(static_cast<void>(this_task::name()), invalid_state);
  EXPECT_THROW(static_cast<void>(this_task::id()), invalid_state);
  EXPECT_THROW(static_cast<void>(this_task::cancelling()), invalid_state);
  EXPECT_THROW(this_task::uncancel(), invalid_state);
  runtime rt({.workers = 1});
  const entered here = rt.enter();
  EXPECT_THROW(static_cast<void>(this_task::id()), invalid_state);  // a current runtime is not a current task
}

TEST_P(ThisTaskOnEvery, IsTheSpawnedTaskInEveryKindOfWork) {
  run([]() -> coro<> {
    auto of_coroutine = spawn([]() -> coro<std::uint64_t> { co_return this_task::id(); });
    const std::uint64_t coroutine_id = of_coroutine.id();
    EXPECT_EQ(co_await std::move(of_coroutine), coroutine_id);
    auto of_callable = spawn([] { return this_task::id(); });
    const std::uint64_t callable_id = of_callable.id();
    EXPECT_EQ(co_await std::move(of_callable), callable_id);
    auto of_blocking = spawn_blocking([] { return this_task::id(); });
    const std::uint64_t blocking_id = of_blocking.id();
    EXPECT_EQ(co_await std::move(of_blocking), blocking_id);
  });
}

/// A and B suspend in turn; each time each is itself again, on whichever thread.
TEST_P(ThisTaskOnEvery, Task09_IsRightOnBothSidesOfEverySuspension) {
  const auto watching = []() -> coro<> {
    const std::uint64_t id = this_task::id();
    const std::string name = this_task::name();
    for (int i = 0; i < 50; ++i) {
      switch (i % 3) {
        case 0:
          co_await this_task::yield();
          break;
        case 1:
          co_await sleep_for(std::chrono::milliseconds(1));
          break;
        default:
          co_await spawn([] {});
      }
      EXPECT_EQ(this_task::id(), id);
      EXPECT_EQ(this_task::name(), name);
      EXPECT_EQ(this_task::handle().id(), id);
    }
  };
  run([&watching]() -> coro<> {
    std::vector<task<>> all;
    for (int i = 0; i < 6; ++i) all.push_back(spawn(watching));
    for (task<>& each : all) co_await std::move(each);
  });
}

TEST_P(ThisTaskOnEvery, ANameSetFromInsideOrOutsideIsTheTasks) {
  run([]() -> coro<> {
    auto named = spawn(spawn_options{.name = "first"}, []() -> coro<> {
      EXPECT_EQ(this_task::name(), "first");
      this_task::handle().set_name("second");
      co_return;
    });
    co_await named;
    EXPECT_EQ(named.name(), "second");
  });
}

/// MT-11: what the destructor of a finished task's argument sees.
TEST_P(ThisTaskOnEvery, Mt11_WhileCapturesAreDestroyedTheTaskIsStillCurrent) {
  struct asks_on_its_way_out {
    explicit asks_on_its_way_out(std::uint64_t& to) : seen(&to) {}
    asks_on_its_way_out(asks_on_its_way_out&& other) noexcept : seen(std::exchange(other.seen, nullptr)) {}
    asks_on_its_way_out& operator=(asks_on_its_way_out&&) = delete;
    ~asks_on_its_way_out() {
      if (seen != nullptr) *seen = this_task::id();
    }
    std::uint64_t* seen;
  };
  std::uint64_t finished = 0, unstarted = 0, aborted = 0;
  const auto holding = [](asks_on_its_way_out) -> coro<> { co_return; };
  run([&]() -> coro<> {
    auto ends = spawn(holding, asks_on_its_way_out(finished));
    const std::uint64_t ends_id = ends.id();
    co_await std::move(ends);
    EXPECT_EQ(finished, ends_id);

    auto never = spawn_blocking([](const asks_on_its_way_out&) {}, asks_on_its_way_out(unstarted));
    const std::uint64_t never_id = never.id();
    never.cancel();
    co_await test::until_complete(never);
    EXPECT_EQ(unstarted, never_id);

    const gate shut;
    auto parked = spawn([](asks_on_its_way_out, gate at) -> coro<> { co_await at; }, asks_on_its_way_out(aborted), shut);
    const std::uint64_t parked_id = parked.id();
    co_await test::until_parked(parked);
    parked.cancel();
    co_await test::until_complete(parked);
    EXPECT_EQ(aborted, parked_id);
  });
}

TEST_P(ThisTaskOnEvery, CheckCancelledDeliversAPendingRequest) {
  run([]() -> coro<> {
    this_task::check_cancelled();
    const any_task self = this_task::handle();
    self.cancel("enough");
    EXPECT_EQ(this_task::cancelling(), 1U);
    try {
      this_task::check_cancelled();
      ADD_FAILURE() << "not delivered";
    } catch (const cancelled& request) {
      EXPECT_EQ(request.reason(), "enough");
    }
    this_task::check_cancelled();  // delivered once
    EXPECT_EQ(this_task::cancelling(), 1U);
    EXPECT_EQ(this_task::uncancel(), 0U);
    co_await this_task::yield();
  });
}

TEST_P(ThisTaskOnEvery, CheckCancelledWorksInCallables) {
  run([]() -> coro<> {
    auto in_callable = spawn([] {
      const any_task self = this_task::handle();
      self.cancel();
      this_task::check_cancelled();
    });
    co_await test::until_complete(in_callable);
    EXPECT_TRUE(in_callable.cancelled());
  });
}

/// The yielding task goes behind every task that was runnable.
TEST(ThisTask, YieldLetsEveryOtherRunnableTaskGoFirst) {
  std::string order;
  const auto noting = [](std::string& order, char mark) -> coro<> {
    order += mark;
    co_return;
  };
  run_test(
      [&]() -> coro<> {
        const auto a = spawn(noting, std::ref(order), 'a');
        const auto b = spawn(noting, std::ref(order), 'b');
        const auto c = spawn(noting, std::ref(order), 'c');
        co_await this_task::yield();
        order += '.';
        co_await this_task::yield();
      },
      1);
  std::string sorted = order.substr(0, 3);
  std::ranges::sort(sorted);
  EXPECT_EQ(sorted + order.substr(3), "abc.");
}

TEST_P(ThisTaskOnEvery, YieldIsCancellable) {
  run([]() -> coro<> {
    auto yielding = spawn([]() -> coro<> {
      for (;;) co_await this_task::yield();
    });
    yielding.cancel();
    co_await test::until_complete(yielding);
    EXPECT_TRUE(yielding.cancelled());
  });
}

/// A loop of awaits that never suspend starves nobody: after 128 of them in one step the next one yields.
TEST(ThisTask, AfterManyReadyAwaitsTheNextOneYields) {
  run_test(
      []() -> coro<> {
        auto ready = spawn([] { return 1; });
        co_await ready;
        bool other_ran = false;
        const auto other = spawn([](bool& flag) { flag = true; }, std::ref(other_ran));
        int awaits = 0;
        while (!other_ran && awaits < 1000) {
          ++awaits;
          static_cast<void>(co_await ready);
        }
        EXPECT_LE(awaits, 129);
        EXPECT_GT(awaits, 100);  // not at every await either
      },
      1);
}

TEST_P(ThisTaskOnEvery, ALoopOfReadyAwaitsIsCancellable) {
  run([]() -> coro<> {
    auto spinning = spawn([]() -> coro<> {
      auto ready = spawn([] {});
      co_await ready;
      for (;;) co_await ready;
    });
    co_await test::yield_times(3);
    spinning.cancel();
    co_await test::until_complete(spinning);
    EXPECT_TRUE(spinning.cancelled());
  });
}

}  // namespace
}  // namespace sheaf
