/// Timeout scopes, case by case: with_timeout and with_deadline.
#include <sheaf/timeout.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <sheaf/sleep.hpp>
#include <sheaf/task_group.hpp>
#include <sheaf/this_task.hpp>

#include "support/children.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using test::boom;
using test::gate;
using test::spin_until;
using test::until_complete;
using test::until_parked;

SHEAF_ON_EVERY_FLAVOUR(TimeoutOnEvery);
SHEAF_ON_NATIVE_POOLS(TimeoutOnPools);

steady_clock::time_point at(std::chrono::nanoseconds since_zero) { return steady_clock::time_point(since_zero); }

/// A body that only sleeps.
auto sleeps(std::chrono::nanoseconds length) {
  return [length](timeout_scope&) -> coro<> { co_await sleep_for(length); };
}

/// The reason of the cancel request nested in a timeout_error, or "none".
std::string cause_of(const timeout_error& error) {
  try {
    std::rethrow_if_nested(error);
  } catch (const cancelled& cause) {
    return "cancelled " + cause.reason();
  }
  return "none";
}

/// TIMEOUT-19, TIMEOUT-20: a scope is made by the call that it is for, so none can be entered twice or outside a task.
static_assert(!std::is_default_constructible_v<timeout_scope>);

// ---- one scope -----------------------------------------------------------------------------------------------------------------

TEST_P(TimeoutOnEvery, Timeout01_ABodyThatTakesTooLongIsInterrupted) {
  run([this]() -> coro<> {
    std::optional<timeout_scope> seen;
    bool interrupted = false;
    const auto body = [&](timeout_scope& scope) -> coro<> {
      seen = scope;
      EXPECT_EQ(scope.when(), at(1s));
      try {
        co_await sleep_for(1h);
      } catch (const cancelled&) {
        interrupted = true;
        EXPECT_TRUE(scope.expired());
        throw;
      }
    };
    std::string cause;
    try {
      co_await with_timeout(1s, body);
    } catch (const timeout_error& error) {
      cause = cause_of(error);
    }
    EXPECT_EQ(cause, "cancelled ");
    EXPECT_TRUE(interrupted);
    EXPECT_TRUE(seen->expired());
    EXPECT_EQ(seen->when(), at(1s));
    EXPECT_EQ(clock().now(), 1s);
    EXPECT_THROW(co_await with_deadline(at(3s), sleeps(1h)), timeout_error);
    EXPECT_THROW(co_await with_deadline(std::optional(at(4s)), sleeps(1h)), timeout_error);
    EXPECT_EQ(clock().now(), 4s);
    co_await sleep_for(1s);  // nothing is left over
  });
}

TEST_P(TimeoutOnEvery, Timeout02_ABodyThatEndsInTimeGivesItsValue) {
  run([this]() -> coro<> {
    std::optional<timeout_scope> seen;
    const auto body = [&seen](timeout_scope& scope) -> coro<int> {
      seen = scope;
      co_await sleep_for(1s);
      EXPECT_FALSE(scope.expired());
      co_return 7;
    };
    EXPECT_EQ(co_await with_timeout(2s, body), 7);
    EXPECT_FALSE(seen->expired());
    EXPECT_EQ(seen->when(), at(2s));
    EXPECT_EQ(clock().now(), 1s);
    co_await sleep_for(10s);  // over the deadline: its timer has gone
    EXPECT_FALSE(seen->expired());
  });
}

TEST_P(TimeoutOnEvery, Timeout02_AnUnusedDeadlineLeavesNoTimer) {
  leaves_tasks_on_purpose();
  const gate never;
  EXPECT_THROW(run([&]() -> coro<> {
                 const auto body = sleeps(1s);
                 co_await with_timeout(1h, body);
                 co_await never;
               }),
               would_deadlock);
  EXPECT_EQ(clock().now(), 1s);  // nothing was left to move time for
}

TEST_P(TimeoutOnEvery, Timeout02_ResultsOfEveryKind) {
  run([]() -> coro<> {
    int target = 5;
    const auto boxed = [](timeout_scope&) -> coro<std::unique_ptr<int>> { co_return std::make_unique<int>(6); };
    const auto refers = [&target](timeout_scope&) -> coro<int&> { co_return target; };
    const std::unique_ptr<int> box = co_await with_timeout(1s, boxed);
    EXPECT_EQ(*box, 6);
    int& same = co_await with_timeout(1s, refers);
    EXPECT_EQ(&same, &target);
  });
}

TEST_P(TimeoutOnEvery, Timeout03_WithoutADeadlineItNeverFires) {
  run([this]() -> coro<> {
    int bodies = 0;
    const auto body = [&bodies](timeout_scope& scope) -> coro<> {
      EXPECT_EQ(scope.when(), std::nullopt);
      co_await sleep_for(1h);
      ++bodies;
    };
    co_await with_timeout(std::nullopt, body);
    co_await with_timeout(std::chrono::hours::max(), body);
    co_await with_deadline(std::nullopt, body);
    co_await with_deadline(std::optional<steady_clock::time_point>(), body);
    EXPECT_EQ(bodies, 4);
    EXPECT_EQ(clock().now(), 4h);
  });
}

TEST_P(TimeoutOnEvery, Timeout04_ZeroOrThePastInterruptsTheFirstSuspension) {
  run([this]() -> coro<> {
    co_await sleep_for(1s);
    int entered = 0, passed = 0;
    const auto body = [&](timeout_scope& scope) -> coro<> {
      ++entered;
      EXPECT_TRUE(scope.expired());
      co_await this_task::yield();
      ++passed;
    };
    EXPECT_THROW(co_await with_timeout(0s, body), timeout_error);
    EXPECT_THROW(co_await with_timeout(-1h, body), timeout_error);
    EXPECT_THROW(co_await with_deadline(at(500ms), body), timeout_error);
    EXPECT_THROW(co_await with_deadline(steady_clock::time_point::min(), body), timeout_error);
    EXPECT_EQ(entered, 4);
    EXPECT_EQ(passed, 0);
    EXPECT_EQ(clock().now(), 1s);
  });
}

TEST_P(TimeoutOnEvery, Timeout05_ABodyThatNeverSuspendsCompletes) {
  run([]() -> coro<> {
    const auto body = [](timeout_scope&) -> coro<int> { co_return 3; };
    EXPECT_EQ(co_await with_timeout(0s, body), 3);
    co_await this_task::yield();  // the unused request has gone with the scope
    EXPECT_EQ(this_task::cancelling(), 0U);
  });
}

TEST(Timeout, NotANumberIsRefused) {
  EXPECT_THROW(static_cast<void>(with_timeout(std::chrono::duration<double>(std::nan("")), sleeps(1s))), std::invalid_argument);
}

// ---- what else may leave the body ------------------------------------------------------------------------------------------------

TEST_P(TimeoutOnEvery, Timeout10_AnErrorOfTheBodyPasses) {
  run([]() -> coro<> {
    std::optional<timeout_scope> seen;
    const auto body = [&seen](timeout_scope& scope) -> coro<int> {
      seen = scope;
      co_await this_task::yield();
      throw boom(4);
    };
    EXPECT_THROW(co_await with_timeout(1s, body), boom);
    EXPECT_FALSE(seen->expired());
  });
}

TEST_P(TimeoutOnEvery, Timeout11_AnErrorOfTheCleanupComesOutInstead) {
  run([]() -> coro<> {
    std::optional<timeout_scope> seen;
    const auto body = [&seen](timeout_scope& scope) -> coro<> {
      seen = scope;
      try {
        co_await sleep_for(1h);
      } catch (const cancelled&) {
        throw boom(5);
      }
    };
    EXPECT_THROW(co_await with_timeout(1s, body), boom);
    EXPECT_TRUE(seen->expired());
    co_await this_task::yield();
    EXPECT_EQ(this_task::cancelling(), 0U);
  });
}

TEST_P(TimeoutOnEvery, Timeout12_ARequestFromElsewhereStaysCancelled) {
  run([]() -> coro<> {
    std::optional<timeout_scope> seen;
    bool timed_out = false;
    const auto body = [&seen](timeout_scope& scope) -> coro<> {
      seen = scope;
      co_await sleep_for(1h);
    };
    const task<> target = spawn([&]() -> coro<> {
      try {
        co_await with_timeout(100h, body);
      } catch (const timeout_error&) {
        timed_out = true;
      }
    });
    co_await until_parked(target);
    target.cancel();
    co_await until_complete(target);
    EXPECT_TRUE(target.cancelled());
    EXPECT_FALSE(timed_out);
    EXPECT_FALSE(seen->expired());
  });
}

/// The deadline and a request from outside, in either order and both before the task resumes: the request must not be eaten.
TEST_P(TimeoutOnEvery, Timeout12_ARequestThatMeetsTheDeadlineIsNotEaten) {
  for (const bool deadline_first : {true, false}) {
    run([deadline_first]() -> coro<> {
      int deliveries = 0;
      bool timed_out = false;
      const auto target = std::make_shared<task<>>();
      const auto body = [&, target](timeout_scope& scope) -> coro<> {
        if (deadline_first) scope.reschedule(0s);
        target->cancel();
        if (!deadline_first) scope.reschedule(0s);
        EXPECT_TRUE(scope.expired());
        try {
          co_await sleep_for(1h);
        } catch (const cancelled&) {
          ++deliveries;
          throw;
        }
      };
      const gate start;
      *target = spawn([&]() -> coro<> {
        co_await start;
        try {
          co_await with_timeout(1h, body);
        } catch (const timeout_error&) {
          timed_out = true;
        } catch (const cancelled&) {
          ++deliveries;
          throw;
        }
      });
      start.open();
      co_await until_complete(*target);
      EXPECT_TRUE(target->cancelled());
      EXPECT_FALSE(timed_out);
      EXPECT_EQ(deliveries, 2);  // once inside, once as it leaves
    });
  }
}

TEST_P(TimeoutOnEvery, Timeout14_AHandledTimeoutLeavesNoRequest) {
  run([]() -> coro<> {
    const task<int> target = spawn([]() -> coro<int> {
      bool timed_out = false;
      try {
        co_await with_timeout(1s, sleeps(1h));
      } catch (const timeout_error&) {
        timed_out = true;
      }
      EXPECT_EQ(this_task::cancelling(), 0U);
      co_await sleep_for(1s);
      co_return timed_out ? 1 : 0;
    });
    EXPECT_EQ(co_await target, 1);
  });
}

TEST_P(TimeoutOnEvery, Timeout16_ABodyThatSwallowsHasItsValue) {
  run([]() -> coro<> {
    std::optional<timeout_scope> seen;
    const auto body = [&seen](timeout_scope& scope) -> coro<int> {
      seen = scope;
      try {
        co_await sleep_for(1h);
      } catch (const cancelled&) {
      }
      co_return 8;
    };
    EXPECT_EQ(co_await with_timeout(1s, body), 8);
    EXPECT_TRUE(seen->expired());
    EXPECT_EQ(to_string(*seen), "expired");
  });
}

TEST_P(TimeoutOnEvery, AnotherTasksCancelledOutcomeIsNoTimeout) {
  run([]() -> coro<> {
    const gate never;
    const task<int> other = spawn(test::value_at, never, 1);
    const auto body = [&other](timeout_scope&) -> coro<> {
      other.cancel();
      co_await other;
    };
    EXPECT_THROW(co_await with_timeout(1s, body), task_cancelled);
  });
}

TEST_P(TimeoutOnEvery, AnOwnedChildIsStoppedAndAwaited) {
  run([this]() -> coro<> {
    bool cleaned = false;
    const auto child = [&cleaned]() -> coro<> {
      bool asked = false;
      try {
        co_await sleep_for(1h);
      } catch (const cancelled&) {
        asked = true;
      }
      if (asked) co_await sleep_for(1s);
      cleaned = true;
    };
    const auto body = [&child](timeout_scope&) -> coro<> { co_await spawn(child); };
    EXPECT_THROW(co_await with_timeout(1s, body), timeout_error);
    EXPECT_TRUE(cleaned);
    EXPECT_EQ(clock().now(), 2s);
  });
}

// ---- rescheduling --------------------------------------------------------------------------------------------------------------

TEST_P(TimeoutOnEvery, Timeout17_ANewDeadlineReplacesTheOld) {
  run([this]() -> coro<> {
    std::optional<timeout_scope> shared;
    const gate entered;
    const auto body = [&](timeout_scope& scope) -> coro<> {
      shared = scope;
      entered.open();
      co_await sleep_for(1h);
    };
    const task<> later = spawn([&]() -> coro<> { co_await with_timeout(1s, body); });
    co_await entered;
    shared->reschedule(at(5s));
    EXPECT_EQ(shared->when(), at(5s));
    co_await test::join(later);
    EXPECT_EQ(clock().now(), 5s);
    EXPECT_EQ(later.status(), task_status::failed);
    EXPECT_NE(later.exception(), nullptr);

    const gate again;
    const auto unlimited = [&](timeout_scope& scope) -> coro<> {
      shared = scope;
      again.open();
      co_await sleep_for(1h);
    };
    const task<> never = spawn([&]() -> coro<> { co_await with_timeout(1s, unlimited); });
    co_await again;
    shared->reschedule(std::nullopt);
    EXPECT_EQ(shared->when(), std::nullopt);
    EXPECT_EQ(to_string(*shared), "active without a deadline");
    co_await never;
    EXPECT_EQ(clock().now(), 1h + 5s);

    const auto earlier = [](timeout_scope& scope) -> coro<> {
      scope.reschedule(1s);
      co_await sleep_for(1h);
    };
    EXPECT_THROW(co_await with_timeout(100h, earlier), timeout_error);
    EXPECT_EQ(clock().now(), 1h + 6s);
  });
}

TEST_P(TimeoutOnEvery, Timeout18_ReschedulingAnythingButAnActiveScopeIsRefused) {
  run([]() -> coro<> {
    const auto refusal = [](timeout_scope& scope) -> std::string {
      try {
        scope.reschedule(1s);
      } catch (const invalid_state& error) {
        return error.what();
      }
      return "accepted";
    };
    std::optional<timeout_scope> kept;
    const auto body = [&](timeout_scope& scope) -> coro<> {
      kept = scope;
      try {
        co_await sleep_for(1h);
      } catch (const cancelled&) {
        EXPECT_EQ(refusal(scope), "timeout_scope::reschedule: the scope is expiring");
        throw;
      }
    };
    EXPECT_THROW(co_await with_timeout(1s, body), timeout_error);
    EXPECT_EQ(refusal(*kept), "timeout_scope::reschedule: the scope is expired");
    const auto quick = [&kept](timeout_scope& scope) -> coro<> {
      kept = scope;
      co_return;
    };
    co_await with_timeout(1s, quick);
    EXPECT_EQ(refusal(*kept), "timeout_scope::reschedule: the scope is finished");
  });
}

TEST_P(TimeoutOnEvery, Timeout23_TheStateIsPrintable) {
  run([]() -> coro<> {
    const auto body = [](timeout_scope& scope) -> coro<> {
      EXPECT_EQ(to_string(scope), "active until 1.500 s");
      try {
        co_await sleep_for(1h);
      } catch (const cancelled&) {
        EXPECT_EQ(to_string(scope), "expiring");
        throw;
      }
    };
    EXPECT_THROW(co_await with_timeout(1500ms, body), timeout_error);
  });
}

// ---- with others ---------------------------------------------------------------------------------------------------------------

TEST_P(TimeoutOnEvery, Timeout22_AroundATaskGroupItIsAPlainTimeout) {
  run([this]() -> coro<> {
    std::atomic<int> stopped{0};
    const auto child = [](std::atomic<int>& stopped) -> coro<> {
      try {
        co_await sleep_for(1h);
      } catch (const cancelled&) {
        stopped.fetch_add(1);
        throw;
      }
    };
    const auto group = [&](task_group& children) -> coro<> {
      children.spawn(child, std::ref(stopped));
      children.spawn(child, std::ref(stopped));
      co_await sleep_for(1h);
    };
    const auto body = [&group](timeout_scope&) -> coro<> { co_await with_task_group(group); };
    EXPECT_THROW(co_await with_timeout(1s, body), timeout_error);
    EXPECT_EQ(stopped.load(), 2);
    EXPECT_EQ(clock().now(), 1s);
  });
}

TEST_P(TimeoutOnPools, FromAPlainThread) {
  EXPECT_EQ(rt().run([]() -> coro<int> {
    const auto body = [](timeout_scope&) -> coro<int> { co_return 2; };
    co_return co_await with_timeout(1s, body);
  }),
            2);
  const auto current = rt().enter();
  EXPECT_THROW(with_timeout(1s, sleeps(1h)).get(), timeout_error);
}

/// The deadline passes while the body leaves: it is the scope's error, for a deadline that has passed, or nothing at all.
TEST_P(TimeoutOnPools, Mt30_TheDeadlineNeverHitsCodeAfterTheScope) {
  const auto held = clock().hold();
  int timed_out = 0;
  for (int round = 0; round < 300; ++round) {
    const gate leave;
    const task<bool> target = rt().spawn(
        [](gate leave) -> coro<bool> {
          bool timed_out = false;
          std::optional<timeout_scope> seen;
          const auto body = [&](timeout_scope& scope) -> coro<> {
            seen = scope;
            co_await leave;
          };
          try {
            co_await with_timeout(1s, body);
          } catch (const timeout_error&) {
            timed_out = true;
            EXPECT_TRUE(seen->expired());
          }
          EXPECT_EQ(this_task::cancelling(), 0U);
          for (int i = 0; i < 3; ++i) co_await this_task::yield();  // would throw
          co_return timed_out;
        },
        leave);
    spin_until([&] { return test::is_parked(target); });
    std::thread opener([&] { leave.open(); });
    clock().advance(1s);
    opener.join();
    ASSERT_NO_THROW(timed_out += target.get() ? 1 : 0);
  }
  RecordProperty("timed_out", timed_out);
}

}  // namespace
}  // namespace sheaf
