/// A scope's request is its own: taken back exactly, delivered or not.
#include <sheaf/detail/cancel_scope.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include <sheaf/runtime.hpp>
#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>

#include "support/gate.hpp"
#include "support/run_test.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using detail::cancel_scope;
using detail::this_core;
using test::gate;
using test::run_test;

/// One suspension; true if it ended cancelled.
coro<bool> cancelled_at_the_next_suspension() {
  try {
    co_await this_task::yield();
    co_return false;
  } catch (const cancelled&) {
    co_return true;
  }
}

TEST(CancelScope, CloseBeforeFireDisarms) {
  run_test([]() -> coro<> {
    cancel_scope scope;
    scope.open(*co_await this_core());
    EXPECT_FALSE(scope.close());
    EXPECT_FALSE(scope.fire());
    EXPECT_FALSE(scope.has_fired());
    EXPECT_FALSE(co_await cancelled_at_the_next_suspension());
  });
}

TEST(CancelScope, FireThenSuspendThenClose) {
  run_test([]() -> coro<> {
    cancel_scope scope;
    scope.open(*co_await this_core());
    EXPECT_TRUE(scope.fire());
    EXPECT_TRUE(scope.has_fired());
    EXPECT_TRUE(co_await cancelled_at_the_next_suspension());
    EXPECT_FALSE(co_await cancelled_at_the_next_suspension());  // once
    EXPECT_EQ(this_task::cancelling(), 0U);                     // it is not a counted request
    EXPECT_FALSE(scope.foreign_request());
    EXPECT_TRUE(scope.close());
    EXPECT_FALSE(co_await cancelled_at_the_next_suspension());
  });
}

TEST(CancelScope, FireThenCloseWithoutSuspensionNeverHitsCodeAfterIt) {
  run_test([]() -> coro<> {
    cancel_scope scope;
    scope.open(*co_await this_core());
    EXPECT_TRUE(scope.fire());
    EXPECT_TRUE(scope.close());
    EXPECT_FALSE(co_await cancelled_at_the_next_suspension());
    EXPECT_FALSE(this_task::token().requested());
  });
}

TEST(CancelScope, FireOnlyOnce) {
  run_test([]() -> coro<> {
    cancel_scope scope;
    scope.open(*co_await this_core());
    EXPECT_TRUE(scope.fire());
    EXPECT_FALSE(scope.fire());
    EXPECT_TRUE(co_await cancelled_at_the_next_suspension());
    EXPECT_FALSE(scope.fire());
    EXPECT_FALSE(co_await cancelled_at_the_next_suspension());
    scope.close();
    EXPECT_FALSE(scope.fire());
  });
}

TEST(CancelScope, SuspendThenFireFromAnotherThread) {
  manual_clock clock;
  const auto held = clock.hold();
  const gate never;
  cancel_scope scope;
  runtime rt({.workers = 1, .clock = &clock});
  auto waiting = rt.spawn(
      [](cancel_scope& scope, gate never) -> coro<bool> {
        scope.open(*co_await this_core());
        bool hit = false;
        try {
          co_await never;
        } catch (const cancelled&) {
          hit = true;
        }
        scope.close();
        co_return hit;
      },
      std::ref(scope), never);
  test::spin_until([&] { return never.parked() == 1; });
  EXPECT_TRUE(scope.fire());
  EXPECT_TRUE(waiting.get());
}

TEST(CancelScope, NestedBothFireOneDelivery) {
  run_test([]() -> coro<> {
    detail::task_core& self = *co_await this_core();
    cancel_scope outer, inner;
    outer.open(self);
    inner.open(self);
    EXPECT_TRUE(inner.fire());
    EXPECT_TRUE(outer.fire());
    EXPECT_TRUE(co_await cancelled_at_the_next_suspension());
    EXPECT_FALSE(co_await cancelled_at_the_next_suspension());
    EXPECT_TRUE(inner.foreign_request());  // the outer one's
    EXPECT_TRUE(inner.close());
    EXPECT_FALSE(outer.foreign_request());
    EXPECT_TRUE(outer.close());
    EXPECT_FALSE(co_await cancelled_at_the_next_suspension());
  });
}

TEST(CancelScope, InnerClosedUndeliveredLeavesTheOutersRequest) {
  for (const bool inner_first : {true, false}) {
    run_test([inner_first]() -> coro<> {
      detail::task_core& self = *co_await this_core();
      cancel_scope outer, inner;
      outer.open(self);
      inner.open(self);
      EXPECT_TRUE((inner_first ? inner : outer).fire());
      EXPECT_TRUE((inner_first ? outer : inner).fire());
      EXPECT_TRUE(inner.close());
      EXPECT_TRUE(co_await cancelled_at_the_next_suspension());
      EXPECT_TRUE(outer.close());
      EXPECT_FALSE(co_await cancelled_at_the_next_suspension());
    });
  }
}

TEST(CancelScope, InnerDeliveredAndClosedOuterUntouched) {
  run_test([]() -> coro<> {
    detail::task_core& self = *co_await this_core();
    cancel_scope outer, inner;
    outer.open(self);
    inner.open(self);
    EXPECT_TRUE(inner.fire());
    EXPECT_TRUE(co_await cancelled_at_the_next_suspension());
    EXPECT_FALSE(inner.foreign_request());
    EXPECT_TRUE(inner.close());
    EXPECT_FALSE(outer.has_fired());
    EXPECT_FALSE(co_await cancelled_at_the_next_suspension());
    EXPECT_FALSE(outer.close());
  });
}

TEST(CancelScope, ForeignRequestDeliveredTogetherStaysCounted) {
  for (const bool scope_first : {true, false}) {
    run_test([scope_first]() -> coro<> {
      cancel_scope scope;
      scope.open(*co_await this_core());
      const any_task self = this_task::handle();
      if (scope_first) scope.fire();
      EXPECT_TRUE(self.cancel());
      if (!scope_first) scope.fire();
      EXPECT_TRUE(co_await cancelled_at_the_next_suspension());
      EXPECT_TRUE(scope.foreign_request());
      EXPECT_TRUE(scope.close());
      EXPECT_EQ(this_task::cancelling(), 1U);
      EXPECT_EQ(this_task::uncancel(), 0U);
      EXPECT_FALSE(co_await cancelled_at_the_next_suspension());
    });
  }
}

TEST(CancelScope, ForeignRequestUndeliveredSurvivesClose) {
  for (const bool scope_first : {true, false}) {
    run_test([scope_first]() -> coro<> {
      cancel_scope scope;
      scope.open(*co_await this_core());
      const any_task self = this_task::handle();
      if (scope_first) scope.fire();
      EXPECT_TRUE(self.cancel());
      if (!scope_first) scope.fire();
      EXPECT_TRUE(scope.close());
      EXPECT_TRUE(co_await cancelled_at_the_next_suspension());
      this_task::uncancel();
    });
  }
}

TEST(CancelScope, UncancelTakesOnlyTheForeignRequest) {
  run_test([]() -> coro<> {
    cancel_scope scope;
    scope.open(*co_await this_core());
    const any_task self = this_task::handle();
    self.cancel();
    scope.fire();
    EXPECT_EQ(this_task::uncancel(), 0U);
    EXPECT_TRUE(co_await cancelled_at_the_next_suspension());  // the scope's
    EXPECT_FALSE(scope.foreign_request());
    EXPECT_TRUE(scope.close());
  });
}

TEST(CancelScope, ARequestBeforeTheScopeIsNotForeignToIt) {
  run_test([]() -> coro<> {
    const any_task self = this_task::handle();
    self.cancel();
    EXPECT_TRUE(co_await cancelled_at_the_next_suspension());
    cancel_scope scope;
    scope.open(*co_await this_core());
    scope.fire();
    EXPECT_TRUE(co_await cancelled_at_the_next_suspension());
    EXPECT_FALSE(scope.foreign_request());
    EXPECT_TRUE(scope.close());
    EXPECT_EQ(this_task::cancelling(), 1U);
    this_task::uncancel();
  });
}

TEST(CancelScope, FireRunsCancelCallbacks) {
  run_test([]() -> coro<> {
    cancel_scope scope;
    scope.open(*co_await this_core());
    int calls = 0;
    {
      const auto registered = this_task::token().on_cancel([&] { ++calls; });
      EXPECT_TRUE(scope.fire());
      EXPECT_EQ(calls, 1);
      EXPECT_TRUE(this_task::token().requested());
    }
    scope.close();
    EXPECT_FALSE(this_task::token().requested());
  });
}

/// As CancelTokenOnEvery.AFrameThatUnwindsBecauseOfTheRequestMissesNoCallback, with a scope's request.
TEST(CancelScope, AFrameThatUnwindsBecauseItFiredMissesNoCallback) {
  struct opens_at_end {
    gate which;
    ~opens_at_end() { which.open(); }
  };
  struct shared {
    cancel_scope scope;
    cancel_token token;
    std::atomic<int> calls{0};
    const gate open, never, unwinding;
  };
  runtime rt({.workers = 1});
  shared both;
  const auto waits = [](shared& both) -> coro<> {
    both.scope.open(*co_await this_core());
    try {
      const auto held = this_task::token().on_cancel([&both] { both.calls.fetch_add(1); });
      const opens_at_end noted{both.unwinding};
      both.token = this_task::token();
      both.open.open();
      co_await both.never;
    } catch (const cancelled&) {
    }
    EXPECT_EQ(both.calls.load(), 1);
    EXPECT_TRUE(both.scope.close());
  };
  const task<> waiting = rt.spawn(waits, std::ref(both));
  both.open.wait();
  const auto another = both.token.on_cancel([&both] { both.unwinding.wait(); });
  EXPECT_TRUE(both.scope.fire());
  waiting.get();
}

/// Closing before firing disarms, closing during firing waits: either way the request never hits code after the scope.
TEST(CancelScope, FireAgainstClose) {
  struct round {
    cancel_scope scope;
    sheaf::detail::sync::atomic<bool> open{false};
  };
  runtime rt({.workers = 2});
  int fired = 0;
  for (int i = 0; i < 200; ++i) {
    round shared;
    auto closing = rt.spawn(
        [](round& shared) -> coro<bool> {
          shared.scope.open(*co_await this_core());
          shared.open.store(true);
          const bool had_fired = shared.scope.close();
          EXPECT_FALSE(co_await cancelled_at_the_next_suspension());
          co_return had_fired;
        },
        std::ref(shared));
    test::spin_until([&] { return shared.open.load(); });
    const bool did_fire = shared.scope.fire();
    const bool had_fired = closing.get();
    EXPECT_EQ(did_fire, had_fired);
    fired += did_fire ? 1 : 0;
  }
  RecordProperty("fired", fired);
}

/// The same with two scopes: the inner one closes while the outer one fires, whose request must not be swept away.
TEST(CancelScope, OuterFiresWhileInnerCloses) {
  struct round {
    cancel_scope outer, inner;
    sheaf::detail::sync::atomic<bool> open{false};
  };
  runtime rt({.workers = 2});
  for (int i = 0; i < 200; ++i) {
    round shared;
    auto closing = rt.spawn(
        [](round& shared) -> coro<> {
          detail::task_core& self = *co_await this_core();
          shared.outer.open(self);
          shared.inner.open(self);
          shared.inner.fire();
          shared.open.store(true);
          shared.inner.close();
          for (;;) {  // until the outer one's request arrives
            if (co_await cancelled_at_the_next_suspension()) break;
          }
          EXPECT_TRUE(shared.outer.close());
          EXPECT_FALSE(co_await cancelled_at_the_next_suspension());
        },
        std::ref(shared));
    test::spin_until([&] { return shared.open.load(); });
    EXPECT_TRUE(shared.outer.fire());
    closing.get();
  }
}

}  // namespace
}  // namespace sheaf
