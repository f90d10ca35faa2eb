/// cancel_token and its callbacks.
#include <sheaf/cancel_token.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <sheaf/runtime.hpp>
#include <sheaf/this_task.hpp>

#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using test::gate;

SHEAF_ON_EVERY_FLAVOUR(CancelTokenOnEvery);

using registration = cancel_registration<std::function<void()>>;

struct opens_at_end {
  gate which;
  ~opens_at_end() { which.open(); }
};

/// Makes an object that cannot be moved inside an optional.
template <class F>
struct in_place {
  explicit in_place(F f) : make(f) {}
  operator std::invoke_result_t<F>() const { return make(); }  // NOLINT(google-explicit-constructor)
  F make;
};

TEST(CancelToken, ByDefaultNothingCanBeRequested) {
  const cancel_token none;
  EXPECT_FALSE(none.requested());
  EXPECT_FALSE(none.stop_requested());
  EXPECT_FALSE(none.stop_possible());
  none.throw_if_requested();
  bool called = false;
  {
    const auto registered = none.on_cancel([&called] { called = true; });
  }
  EXPECT_FALSE(called);
  EXPECT_EQ(none, cancel_token());
}

TEST_P(CancelTokenOnEvery, ShowsARequestUntilItIsTakenBack) {
  run([]() -> coro<> {
    const cancel_token token = this_task::token();
    EXPECT_TRUE(token.stop_possible());
    EXPECT_FALSE(token.requested());
    this_task::handle().cancel("why");
    EXPECT_TRUE(token.requested());
    EXPECT_TRUE(token.stop_requested());
    try {
      token.throw_if_requested();
      ADD_FAILURE() << "nothing thrown";
    } catch (const cancelled& request) {
      EXPECT_EQ(request.reason(), "why");
    }
    EXPECT_THROW(co_await this_task::yield(), cancelled);
    EXPECT_TRUE(token.requested());  // delivered, but it stands
    this_task::uncancel();
    EXPECT_FALSE(token.requested());
  });
}

TEST_P(CancelTokenOnEvery, CopiesAreEqualAndTokensOfTwoTasksAreNot) {
  run([]() -> coro<> {
    const cancel_token mine = this_task::token();
    cancel_token copy = mine;
    EXPECT_EQ(copy, mine);
    const cancel_token others = co_await spawn([](cancel_token token) { return token; });
    EXPECT_NE(others, mine);
    copy = others;
    EXPECT_EQ(copy, others);
    const cancel_token moved = std::move(copy);
    EXPECT_EQ(moved, others);
    EXPECT_FALSE(copy.stop_possible());  // NOLINT(bugprone-use-after-move)
  });
}

TEST_P(CancelTokenOnEvery, OutlivesItsTaskAndItsRuntime) {
  const cancel_token token = rt().spawn([](cancel_token mine) { return mine; }).get();
  const auto cancels_itself = [](cancel_token mine) {
    this_task::handle().cancel();
    return mine;
  };
  const cancel_token asked = rt().spawn(cancels_itself).get();
  destroy_runtime();
  EXPECT_FALSE(token.requested());
  EXPECT_TRUE(asked.requested());
  bool called = false;
  {
    const auto registered = asked.on_cancel([&called] { called = true; });
    EXPECT_TRUE(called);
  }
}

// ---- callbacks ---------------------------------------------------------------------------------------------------------------

TEST_P(CancelTokenOnEvery, ACallbackRunsOnceOnTheCancellingThread) {
  const gate registered, leave;
  std::atomic<int> calls{0};
  std::thread::id where;
  const auto waiting = rt().spawn(
      [](gate registered, gate leave, std::atomic<int>& calls, std::thread::id& where) -> coro<> {
        const auto held = this_task::token().on_cancel([&calls, &where] {
          where = std::this_thread::get_id();
          calls.fetch_add(1);
        });
        registered.open();
        static_cast<void>(co_await test::pass_stubbornly(leave));
      },
      registered, leave, std::ref(calls), std::ref(where));
  run([registered]() -> coro<> { co_await registered; });
  EXPECT_TRUE(waiting.cancel());
  EXPECT_EQ(calls.load(), 1);
  EXPECT_EQ(where, std::this_thread::get_id());
  EXPECT_TRUE(waiting.cancel());
  EXPECT_EQ(calls.load(), 1);
  leave.open();
  waiting.get();
}

TEST_P(CancelTokenOnEvery, ACallbackOfATaskAlreadyAskedRunsAtOnce) {
  run([]() -> coro<> {
    this_task::handle().cancel();
    bool called = false;
    const auto registered = this_task::token().on_cancel([&called] { called = true; });
    EXPECT_TRUE(called);
    this_task::uncancel();
    co_return;
  });
}

TEST_P(CancelTokenOnEvery, ARegistrationThatWentIsNotCalled) {
  run([]() -> coro<> {
    int calls = 0;
    {
      const auto a = this_task::token().on_cancel([&calls] { calls += 1; });
      std::optional<registration> b;
      b.emplace(in_place([&calls] { return this_task::token().on_cancel(std::function<void()>([&calls] { calls += 10; })); }));
      const auto c = this_task::token().on_cancel([&calls] { calls += 100; });
      b.reset();  // the one in the middle
      this_task::handle().cancel();
      EXPECT_EQ(calls, 101);
    }
    this_task::uncancel();
    co_return;
  });
}

TEST_P(CancelTokenOnEvery, ACallbackMayDestroyItsOwnRegistration) {
  run([]() -> coro<> {
    test::drop_counter drops;
    std::optional<registration> self;
    int calls = 0;
    auto held = std::make_shared<test::drop_counter::payload>(drops.make());
    const std::function<void()> callback = [&self, &calls, held] {
      ++calls;
      self.reset();
    };
    self.emplace(in_place([&callback] { return this_task::token().on_cancel(callback); }));
    held.reset();
    this_task::handle().cancel();
    EXPECT_EQ(calls, 1);
    EXPECT_FALSE(self.has_value());
    this_task::uncancel();
    co_return;
  });
}

TEST_P(CancelTokenOnEvery, ACallbackMayCancelSpawnAndRegister) {
  run([]() -> coro<> {
    int calls = 0;
    const auto spawned_by_it = std::make_shared<task<int>>();
    {
      const auto registered = this_task::token().on_cancel([&calls, spawned_by_it] {
        ++calls;
        this_task::handle().cancel();              // the very task again
        *spawned_by_it = spawn([] { return 4; });  // no lock is held
        const auto nested = this_task::token().on_cancel([&calls] { calls += 10; });
      });
      this_task::handle().cancel();
    }
    EXPECT_EQ(calls, 11);
    while (this_task::uncancel() != 0) {
    }
    const task<int> spawned = *spawned_by_it;
    EXPECT_EQ(co_await spawned, 4);
  });
}

/// The registration's destructor waits for a callback that runs on another thread.
TEST_P(CancelTokenOnEvery, DestructionWaitsForACallbackRunningElsewhere) {
  const gate registered, inside, leave;
  std::atomic<bool> callback_over{false};
  auto waiting = rt().spawn_blocking(
      [](gate registered, gate inside, gate leave, std::atomic<bool>& over) {
        {
          const auto held = this_task::token().on_cancel([&] {
            inside.open();
            leave.wait();
            over.store(true);
          });
          registered.open();
          inside.wait();
          leave.open();
        }
        EXPECT_TRUE(over.load());
      },
      registered, inside, leave, std::ref(callback_over));
  registered.wait();
  EXPECT_TRUE(waiting.cancel());
  waiting.get();
}

/// The request makes the task unwind, on a thread that runs tasks, while the canceller is at another callback: the one in the task's frame runs all
/// the same, before its registration goes.
TEST_P(CancelTokenOnEvery, AFrameThatUnwindsBecauseOfTheRequestMissesNoCallback) {
  const auto held = clock().hold();
  const gate registered, never, unwinding;
  cancel_token token;
  std::atomic<int> calls{0};
  const auto waiting = rt().spawn(
      [](gate registered, gate never, gate unwinding, cancel_token& token, std::atomic<int>& calls) -> coro<> {
        const auto held = this_task::token().on_cancel([&calls] { calls.fetch_add(1); });
        const opens_at_end noted{unwinding};
        token = this_task::token();
        registered.open();
        co_await never;
      },
      registered, never, unwinding, std::ref(token), std::ref(calls));
  run([registered]() -> coro<> { co_await registered; });
  const auto another = token.on_cancel([unwinding] { unwinding.wait(); });
  std::thread canceller([&] { EXPECT_TRUE(waiting.cancel()); });
  EXPECT_THROW(waiting.get(), task_cancelled);
  canceller.join();
  EXPECT_EQ(calls.load(), 1);
}

/// Two callbacks of one request, the first of which destroys the registration of the second.
TEST_P(CancelTokenOnEvery, ACallbackMayDestroyTheRegistrationThatIsNext) {
  run([]() -> coro<> {
    std::optional<registration> a, b;
    int calls = 0;
    const auto each = [&calls](std::optional<registration>& other) {
      return std::function<void()>([&calls, &other] {
        ++calls;
        other.reset();
      });
    };
    const std::function<void()> ends_b = each(b), ends_a = each(a);
    a.emplace(in_place([&ends_b] { return this_task::token().on_cancel(ends_b); }));
    b.emplace(in_place([&ends_a] { return this_task::token().on_cancel(ends_a); }));
    this_task::handle().cancel();
    EXPECT_EQ(calls, 1);
    EXPECT_NE(a.has_value(), b.has_value());
    this_task::uncancel();
    co_return;
  });
}

/// Registering, leaving and cancelling at once: a callback runs at most once, and never after its registration has gone.
TEST_P(CancelTokenOnEvery, RegisteringAndCancellingAtOnce) {
  for (int round = 0; round < 50; ++round) {
    const gate start;
    std::atomic<bool> started{false};
    auto registering = rt().spawn_blocking(
        [](std::atomic<bool>& started) {
          const cancel_token token = this_task::token();
          started.store(true);
          int missed = 0;
          while (!token.requested()) {
            bool alive = true;
            int calls = 0;
            {
              const auto held = token.on_cancel([&] {
                EXPECT_TRUE(alive);
                ++calls;
              });
            }
            alive = false;
            EXPECT_LE(calls, 1);
            missed += calls == 0 ? 1 : 0;
          }
          bool called = false;
          const auto late = token.on_cancel([&called] { called = true; });
          EXPECT_TRUE(called);
          return missed;
        },
        std::ref(started));
    test::spin_until([&] { return started.load(); });
    EXPECT_TRUE(registering.cancel());
    static_cast<void>(registering.get());
  }
}

}  // namespace
}  // namespace sheaf
