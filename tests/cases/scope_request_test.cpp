/// Who hears of a request that a part of a task makes of itself: what lies within that part.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>

#include <sheaf/sheaf.hpp>

#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::gate;
using test::until_complete;

SHEAF_ON_EVERY_FLAVOUR(ScopeRequestOnEvery);

/// The deadline is the scope's own: cancel callbacks and stop tokens from before it hear of a cancel of the task alone, and they do.
TEST_P(ScopeRequestOnEvery, ACallbackFromOutsideHearsNothingOfADeadline) {
  run([]() -> coro<> {
    std::atomic<int> outside{0}, inside{0};
    const gate never;
    const auto waits = [](gate never) -> coro<> { co_await never; };
    const auto main = [&]() -> coro<> {
      const cancel_token mine = this_task::token();
      const auto early = mine.on_cancel([&outside] { outside.fetch_add(1); });
      const task<> linked_outside = spawn(spawn_options{.stop = mine}, waits, never);
      const auto body = [&](timeout_scope&) -> coro<> {
        const auto late = mine.on_cancel([&inside] { inside.fetch_add(1); });
        const task<> linked_inside = spawn(spawn_options{.stop = mine}, waits, never);
        try {
          co_await sleep_for(1h);
        } catch (const cancelled&) {
        }
        co_await until_complete(linked_inside);
        EXPECT_TRUE(linked_inside.cancelled());
      };
      co_await with_timeout(1s, body);
      EXPECT_EQ(inside.load(), 1);
      EXPECT_EQ(outside.load(), 0);
      co_await test::yield_times(3);
      EXPECT_FALSE(linked_outside.done());
      this_task::handle().cancel();
      EXPECT_EQ(outside.load(), 1);
      EXPECT_EQ(inside.load(), 1);
      this_task::uncancel();
      co_await until_complete(linked_outside);
    };
    co_await spawn(main);
  });
}

/// The time between two starts is no cancel of the racing task: whoever listens to that hears nothing.
TEST_P(ScopeRequestOnEvery, TheStaggerIsHeardByNoCancelCallback) {
  run([]() -> coro<> {
    std::atomic<int> heard{0};
    const auto main = [&heard]() -> coro<int> {
      const cancel_token mine = this_task::token();
      const auto early = mine.on_cancel([&heard] { heard.fetch_add(1); });
      const auto listens = [&heard, &mine]() -> coro<int> {
        const auto late = mine.on_cancel([&heard] { heard.fetch_add(1); });
        EXPECT_FALSE(mine.requested());
        co_await sleep_for(10s);
        co_return 1;
      };
      const first_success_options options{.stagger = 1s};
      co_return co_await first_success(options, listens, [] { return 2; });
    };
    EXPECT_EQ(co_await spawn(main), 2);
    EXPECT_EQ(heard.load(), 0);
  });
}

}  // namespace
}  // namespace sheaf
