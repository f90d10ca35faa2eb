/// spawn_blocking(abandon, ...): calls that are left behind when whoever waits for them is cancelled.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <sheaf/sheaf.hpp>

#include "support/children.hpp"
#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::drop_counter;
using test::gate;
using test::until_complete;

SHEAF_ON_EVERY_FLAVOUR(AbandonOnEvery);

/// Runs until its gate opens, whatever it is told.
int stubborn(const cancel_token& token, gate inside, gate asked, gate leave, const drop_counter::payload&) {
  const auto heard = token.on_cancel([&asked] { asked.open(); });
  inside.open();
  leave.wait();
  return 1;
}

TEST_P(AbandonOnEvery, UndisturbedItIsACallLikeAnyOther) {
  run([]() -> coro<> {
    const auto text = [](std::string a, std::string b) { return std::make_unique<std::string>(a + b); };
    const std::string joined = "left right";
    EXPECT_EQ(*co_await spawn_blocking(abandon, text, std::string("left "), std::string("right")), joined);
    const auto nothing = [](int) {};
    co_await spawn_blocking(abandon, nothing, 1);
    const auto fails = []() -> int { throw std::runtime_error("no such file"); };
    EXPECT_THROW(static_cast<void>(co_await spawn_blocking(abandon, fails)), std::runtime_error);
    const spawn_options named{.name = "reader"};
    const task<int> call = spawn_blocking(abandon, named, [] { return 2; });
    EXPECT_EQ(call.name(), "reader");
    EXPECT_EQ(co_await call, 2);
  });
}

/// Decision: at once; the token turns on, the call runs on, arguments and result are destroyed when it returns.
TEST_P(AbandonOnEvery, Mt05_CancelledItEndsAtOnceAndTheCallRunsOn) {
  drop_counter drops;
  run([&drops]() -> coro<> {
    const gate inside, asked, leave;
    const task<int> call = spawn_blocking(abandon, stubborn, inside, asked, leave, drops.make());
    co_await inside;
    co_await test::until_parked(call);
    EXPECT_TRUE(call.cancel());
    co_await until_complete(call);
    EXPECT_TRUE(call.cancelled());
    co_await asked;
    EXPECT_EQ(drops.alive(), 1);
    leave.open();
    while (runtime::current()->tasks().size() > 1) co_await this_task::yield();
  });
  EXPECT_EQ(drops.drops(), 1);
}

/// Asked to stop before it has had a turn itself, it does not forget the call.
TEST_P(AbandonOnEvery, CancelledBeforeItsFirstStepItAsksTheCallAllTheSame) {
  drop_counter drops;
  run([&drops]() -> coro<> {
    const gate inside, asked, leave;
    const task<int> call = spawn_blocking(abandon, stubborn, inside, asked, leave, drops.make());
    EXPECT_TRUE(call.cancel());
    co_await until_complete(call);
    EXPECT_TRUE(call.cancelled());
    // Either it never began, or it hears of the request.
    while (drops.alive() != 0 && !asked.is_open()) co_await this_task::yield();
    leave.open();
    while (runtime::current()->tasks().size() > 1) co_await this_task::yield();
  });
  EXPECT_EQ(drops.drops(), 1);
}

TEST_P(AbandonOnEvery, Thread07_AQueuedCallNeverRuns) {
  start({.max_blocking_threads = 1});
  run([]() -> coro<> {
    const gate inside, leave;
    const auto busy_until = [](gate inside, gate leave) {
      inside.open();
      leave.wait();
    };
    const task<> busy = spawn_blocking(busy_until, inside, leave);
    co_await inside;
    const auto ran = std::make_shared<std::atomic<bool>>(false);
    const auto notes = [](const std::shared_ptr<std::atomic<bool>>& ran) { ran->store(true); };
    const task<> queued = spawn_blocking(abandon, notes, ran);
    co_await test::until_parked(queued);
    queued.cancel();
    co_await until_complete(queued);
    leave.open();
    co_await busy;
    while (runtime::current()->tasks().size() > 1) co_await this_task::yield();
    EXPECT_FALSE(ran->load());
  });
}

/// wait_for() over a running call ends when the call does; over one that may be left behind, when the time is over.
TEST_P(AbandonOnEvery, WaitForEndsAtItsDeadline) {
  drop_counter drops;
  run([&drops]() -> coro<> {
    const gate inside, asked, leave;
    task<int> call = spawn_blocking(abandon, stubborn, inside, asked, leave, drops.make());
    co_await inside;
    const auto expires = [](task<int> call) -> coro<> { static_cast<void>(co_await wait_for(std::move(call), 0s)); };
    const task<> waiting = spawn(expires, std::move(call));
    co_await until_complete(waiting);
    EXPECT_THROW(static_cast<void>(waiting.result()), timeout_error);
    leave.open();
    while (runtime::current()->tasks().size() > 1) co_await this_task::yield();
    EXPECT_EQ(drops.alive(), 0);
  });
}

/// Nobody is left to look at the error of a call that was left behind: it is reported, once.
TEST_P(AbandonOnEvery, AFailureAfterwardsIsReported) {
  test::unobserved_errors errors;
  start(errors.options());
  run([]() -> coro<> {
    const gate inside, leave;
    const auto fails_late = [](gate inside, gate leave) {
      inside.open();
      leave.wait();
      throw std::runtime_error("too late");
    };
    const task<> call = spawn_blocking(abandon, fails_late, inside, leave);
    co_await inside;
    co_await test::until_parked(call);
    call.cancel();
    co_await until_complete(call);
    leave.open();
    while (runtime::current()->tasks().size() > 1) co_await this_task::yield();
  });
  destroy_runtime();  // joins the thread that reports
  EXPECT_EQ(errors.count(), 1);
}

/// Shutdown waits for it as for any call; what it was given is destroyed before.
TEST_P(AbandonOnEvery, Mt47_ShutdownCountsIt) {
  drop_counter drops;
  const gate inside, asked, leave;
  const task<int> call = rt().spawn_blocking(abandon, stubborn, inside, asked, leave, drops.make());
  std::thread opens([asked, leave] {
    asked.wait();
    leave.open();
  });
  if (GetParam() != test::flavour::host_loop) inside.wait();
  rt().shutdown();
  leave.open();
  asked.open();
  opens.join();
  EXPECT_TRUE(call.done());  // cancelled, or the call was faster
  EXPECT_EQ(drops.alive(), 0);
}

/// Who lists the tasks has handles of the call; its result moves on all the same.
TEST_P(AbandonOnEvery, AMonitorDoesNotKeepAMoveOnlyResult) {
  run([]() -> coro<> {
    const gate inside, leave;
    const auto text = [](gate inside, gate leave) {
      inside.open();
      leave.wait();
      return std::make_unique<std::string>("text");
    };
    auto call = spawn_blocking(abandon, text, inside, leave);
    co_await inside;
    std::vector<any_task> monitored = runtime::current()->tasks();
    EXPECT_EQ(monitored.size(), 3U);
    std::erase(monitored, any_task(call));  // of the call itself, not of the task that waits for it
    leave.open();
    EXPECT_EQ(*co_await std::move(call), "text");
  });
}

}  // namespace
}  // namespace sheaf
