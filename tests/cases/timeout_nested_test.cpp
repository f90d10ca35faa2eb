/// Timeout scopes in one another: which of them reports.
#include <sheaf/timeout.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <vector>

#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>

#include "support/flavour.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using test::spin_until;

SHEAF_ON_EVERY_FLAVOUR(NestedTimeoutOnEvery);

steady_clock::time_point at(std::chrono::nanoseconds since_zero) { return steady_clock::time_point(since_zero); }

/// A body that only sleeps.
auto sleeps(std::chrono::nanoseconds length) {
  return [length](timeout_scope&) -> coro<> { co_await sleep_for(length); };
}

TEST_P(NestedTimeoutOnEvery, Timeout06_OfTwoThatExpireAtOnceTheOuterReports) {
  run([]() -> coro<> {
    std::vector<timeout_scope> scopes;
    bool inner_reported = false;
    const auto inner = [&scopes](timeout_scope& scope) -> coro<> {
      scopes.push_back(scope);
      co_await sleep_for(1h);
    };
    const auto outer = [&](timeout_scope& scope) -> coro<> {
      scopes.push_back(scope);
      try {
        co_await with_deadline(at(1s), inner);
      } catch (const timeout_error&) {
        inner_reported = true;
      }
    };
    EXPECT_THROW(co_await with_deadline(at(1s), outer), timeout_error);
    EXPECT_FALSE(inner_reported);
    EXPECT_TRUE(scopes.at(0).expired());
    EXPECT_TRUE(scopes.at(1).expired());
    co_await this_task::yield();
  });
}

TEST_P(NestedTimeoutOnEvery, Timeout07_AnEarlierOuterDeadlineIsTheOutersOwn) {
  run([this]() -> coro<> {
    std::optional<timeout_scope> inner_scope;
    const auto inner = [&inner_scope](timeout_scope& scope) -> coro<> {
      inner_scope = scope;
      co_await sleep_for(1h);
    };
    const auto outer = [&inner](timeout_scope&) -> coro<> { co_await with_timeout(2s, inner); };
    EXPECT_THROW(co_await with_timeout(1s, outer), timeout_error);
    EXPECT_FALSE(inner_scope->expired());
    EXPECT_EQ(to_string(*inner_scope), "finished");
    EXPECT_EQ(clock().now(), 1s);
  });
}

/// In real time: manual time stands still while a task holds its thread. The body leaves the thread no sooner than both deadlines are known.
TEST_P(NestedTimeoutOnEvery, Timeout08_ABodyThatHoldsItsThreadPastBothDeadlinesIsTheOutersToReport) {
  start({}, false);
  run([]() -> coro<> {
    std::optional<timeout_scope> outer_scope, inner_scope;
    bool interrupted = false, inner_reported = false;
    const auto inner = [&](timeout_scope& scope) -> coro<> {
      inner_scope = scope;
      spin_until([&] { return outer_scope->expired() && scope.expired(); });
      try {
        co_await this_task::yield();
      } catch (const cancelled&) {
        interrupted = true;
        throw;
      }
    };
    const auto outer = [&](timeout_scope& scope) -> coro<> {
      outer_scope = scope;
      try {
        co_await with_timeout(1ms, inner);
      } catch (const timeout_error&) {
        inner_reported = true;
      }
    };
    EXPECT_THROW(co_await with_timeout(2ms, outer), timeout_error);
    EXPECT_TRUE(interrupted);
    EXPECT_FALSE(inner_reported);
    EXPECT_TRUE(inner_scope->expired());
    EXPECT_TRUE(outer_scope->expired());
    co_await this_task::yield();  // both requests have gone with their scopes
  });
}

/// The outer deadline passes while the handler of the inner one holds the thread.
TEST_P(NestedTimeoutOnEvery, Timeout08_AfterAHandledInnerTimeoutTheOuterStillInterrupts) {
  start({}, false);
  run([]() -> coro<> {
    bool inner_reported = false, went_on = false;
    const auto outer = [&](timeout_scope& scope) -> coro<> {
      try {
        co_await with_timeout(1ms, sleeps(1h));
      } catch (const timeout_error&) {
        inner_reported = true;
        scope.reschedule(1ms);
        spin_until([&] { return scope.expired(); });
      }
      co_await sleep_for(1h);
      went_on = true;
    };
    EXPECT_THROW(co_await with_timeout(1h, outer), timeout_error);
    EXPECT_TRUE(inner_reported);
    EXPECT_FALSE(went_on);
    co_await this_task::yield();
  });
}

TEST_P(NestedTimeoutOnEvery, Timeout09_AScopeInsideACleanupHasItsOwnError) {
  run([this]() -> coro<> {
    bool cleanup_timed_out = false;
    const auto body = [&cleanup_timed_out](timeout_scope&) -> coro<> {
      bool asked = false;
      try {
        co_await sleep_for(1h);
      } catch (const cancelled&) {
        asked = true;
      }
      EXPECT_TRUE(asked);
      try {
        co_await with_timeout(1s, sleeps(1h));
      } catch (const timeout_error&) {
        cleanup_timed_out = true;
      }
      throw cancelled("cleaned up");
    };
    EXPECT_THROW(co_await with_timeout(1s, body), timeout_error);
    EXPECT_TRUE(cleanup_timed_out);
    EXPECT_EQ(clock().now(), 2s);
  });
}

}  // namespace
}  // namespace sheaf
