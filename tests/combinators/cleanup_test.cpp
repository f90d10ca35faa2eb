/// with_cleanup and cancel_and_join: ends that may await.
#include <sheaf/cancel_and_join.hpp>
#include <sheaf/cleanup.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>
#include <sheaf/timeout.hpp>

#include "support/children.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::boom;
using test::boom_after;
using test::gate;
using test::until_complete;
using test::until_parked;
using test::value_after;
using test::value_at;

SHEAF_ON_EVERY_FLAVOUR(CleanupOnEvery);
SHEAF_ON_EVERY_FLAVOUR(CancelAndJoinOnEvery);

coro<> note_after(std::chrono::nanoseconds length, int& cleaned) {
  co_await sleep_for(length);
  ++cleaned;
}

TEST_P(CleanupOnEvery, ItRunsAfterAValue) {
  run([this]() -> coro<> {
    int cleaned = 0;
    EXPECT_EQ(co_await with_cleanup(value_after(1s, 4), note_after(1s, cleaned)), 4);
    EXPECT_EQ(cleaned, 1);
    EXPECT_EQ(clock().now(), 2s);
    const auto body = []() -> coro<> { co_await this_task::yield(); };
    const auto cleanup = [&cleaned] { return note_after(1s, cleaned); };
    co_await with_cleanup(body, cleanup);
    EXPECT_EQ(cleaned, 2);
    const auto boxed = []() -> coro<std::unique_ptr<int>> { co_return std::make_unique<int>(5); };
    const std::unique_ptr<int> box = co_await with_cleanup(boxed, cleanup);
    EXPECT_EQ(*box, 5);
    const auto refers = [&cleaned]() -> coro<int&> { co_return cleaned; };
    int& same = co_await with_cleanup(refers, cleanup);
    EXPECT_EQ(&same, &cleaned);
    EXPECT_EQ(cleaned, 4);
  });
}

TEST_P(CleanupOnEvery, ItRunsAfterAnErrorWhichThenComesOut) {
  run([]() -> coro<> {
    int cleaned = 0;
    EXPECT_THROW(co_await with_cleanup(boom_after(1s, 1), note_after(1s, cleaned)), boom);
    EXPECT_EQ(cleaned, 1);
  });
}

TEST_P(CleanupOnEvery, ItRunsUndisturbedAfterACancelWhichThenGoesOn) {
  run([]() -> coro<> {
    int cleaned = 0;
    const auto whole = [](int& cleaned) -> coro<int> {
      co_return co_await with_cleanup(value_after(1h, 1), note_after(1s, cleaned));
    };
    const task<int> target = spawn(whole, std::ref(cleaned));
    co_await until_parked(target);
    target.cancel("enough");
    co_await test::join(target);
    EXPECT_TRUE(target.cancelled());
    EXPECT_EQ(cleaned, 1);
    std::string reason;
    try {
      target.result();
    } catch (const task_cancelled& caught) {
      reason = caught.reason();
    }
    EXPECT_EQ(reason, "enough");
  });
}

TEST_P(CleanupOnEvery, ALimitOnTheBodyLeavesTheCleanupItsTime) {
  run([this]() -> coro<> {
    int cleaned = 0;
    const auto body = [&cleaned](timeout_scope&) -> coro<int> {
      co_return co_await with_cleanup(value_after(1h, 1), note_after(5s, cleaned));
    };
    EXPECT_THROW(co_await with_timeout(1s, body), timeout_error);
    EXPECT_EQ(cleaned, 1);
    EXPECT_EQ(clock().now(), 6s);
  });
}

TEST_P(CleanupOnEvery, AnErrorOfTheCleanupComesOutInstead) {
  run([]() -> coro<> {
    int which = 0;
    try {
      static_cast<void>(co_await with_cleanup(boom_after(1s, 1), boom_after(1s, 2)));
    } catch (const boom& caught) {
      which = caught.number;
    }
    EXPECT_EQ(which, 2);
    EXPECT_THROW(co_await with_cleanup(value_after(1s, 1), boom_after(1s, 2)), boom);
  });
}

// ---- cancel_and_join -------------------------------------------------------------------------------------------------------------

TEST_P(CancelAndJoinOnEvery, TheTasksHaveEndedWhenItReturns) {
  run([this]() -> coro<> {
    int cleaned = 0;
    const auto cleans_up = [](int& cleaned) -> coro<int> {
      co_return co_await with_cleanup(value_after(1h, 1), note_after(5s, cleaned));
    };
    const task<int> one = spawn(cleans_up, std::ref(cleaned));
    co_await until_parked(one);
    co_await cancel_and_join(one);
    EXPECT_TRUE(one.cancelled());
    EXPECT_EQ(cleaned, 1);
    EXPECT_EQ(clock().now(), 5s);
    std::vector<task<int>> many;
    for (int i = 0; i < 10; ++i) many.push_back(spawn(value_after(1h, i)));
    co_await cancel_and_join(many);
    for (const task<int>& each : many) EXPECT_TRUE(each.cancelled());
    co_await cancel_and_join(many);  // done already
    co_await cancel_and_join(std::vector<task<>>());
  });
}

TEST_P(CancelAndJoinOnEvery, ATaskSetMovedInOrShared) {
  run([]() -> coro<> {
    std::vector<task<int>> tasks{spawn(value_after(1h, 1)), spawn(value_after(2h, 2))};
    const task_set<int> shared(tasks);
    co_await cancel_and_join(shared);
    EXPECT_EQ(shared.size(), 2U);
    EXPECT_TRUE(tasks[0].cancelled() && tasks[1].cancelled());
    std::vector<task<int>> others{spawn(value_after(1h, 1)), spawn(value_after(2h, 2))};
    co_await cancel_and_join(task_set<int>(others));
    EXPECT_TRUE(others[0].cancelled() && others[1].cancelled());
  });
}

TEST_P(CancelAndJoinOnEvery, OutcomesStayWithTheTasks) {
  run([]() -> coro<> {
    const task<int> swallows = spawn([]() -> coro<int> {
      try {
        co_await sleep_for(1h);
      } catch (const cancelled&) {
      }
      co_return 7;
    });
    const task<int> fails = spawn(test::boom_when_cancelled(8));
    co_await until_parked(swallows);
    co_await until_parked(fails);
    const std::vector<task<int>> both{swallows, fails};
    co_await cancel_and_join(both);
    EXPECT_EQ(swallows.result(), 7);
    EXPECT_EQ(test::boom_number(fails.exception()), 8);
  });
}

TEST_P(CancelAndJoinOnEvery, ACancelledCallerPassesItOnAndWaits) {
  run([]() -> coro<> {
    const gate open;
    std::atomic<int> asked{0};
    const task<int> stubborn = spawn(test::stubborn_at(open, 1, &asked));
    co_await until_parked(stubborn);
    const auto joins = [](task<int> target) -> coro<> { co_await cancel_and_join(std::move(target)); };
    const task<> caller = spawn(joins, stubborn);
    const auto heard_once = [&] { return asked.load() == 1; };
    co_await test::until(heard_once);
    co_await until_parked(caller);
    caller.cancel();
    const auto heard_twice = [&] { return asked.load() == 2; };
    co_await test::until(heard_twice);
    EXPECT_FALSE(caller.done());
    open.open();
    co_await until_complete(caller);
    EXPECT_TRUE(caller.cancelled());
    EXPECT_EQ(stubborn.result(), 1);
  });
}

TEST_P(CancelAndJoinOnEvery, NothingToJoinReturnsAtOnce) {
  run([this]() -> coro<> {
    co_await cancel_and_join(std::vector<task<int>>());
    EXPECT_EQ(clock().now(), 0s);
  });
}

TEST_P(CancelAndJoinOnEvery, ATaskCannotJoinItself) {
  run([]() -> coro<> {
    const auto joins = []() -> coro<> { co_await cancel_and_join(this_task::handle()); };
    EXPECT_THROW(co_await spawn(joins), invalid_state);
  });
}

}  // namespace
}  // namespace sheaf
