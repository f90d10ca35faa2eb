/// wait_for and wait_until: one task or coroutine, with a limit.
#include <sheaf/wait_for.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <sheaf/future.hpp>
#include <sheaf/gather.hpp>
#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>

#include "support/children.hpp"
#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::boom;
using test::boom_after;
using test::bystander;
using test::drop_counter;
using test::gate;
using test::until_complete;
using test::until_parked;
using test::value_after;
using test::value_at;
using test::waiters_of;

SHEAF_ON_EVERY_FLAVOUR(WaitForOnEvery);
SHEAF_ON_NATIVE_POOLS(WaitForOnPools);

coro<int> ready(int value) { co_return value; }

/// Asked to stop, it works on for `cleanup` and then ends cancelled.
coro<int> cleans_up_for(std::chrono::nanoseconds cleanup, bool& cleaned) {
  bool asked = false;
  try {
    co_await sleep_for(1h);
  } catch (const cancelled&) {
    asked = true;
  }
  if (asked) co_await sleep_for(cleanup);
  cleaned = true;
  if (asked) throw cancelled("cleaned up");
  co_return 0;
}
/// Asked to stop, it gives a value instead.
coro<int> swallows(int value) {
  bool asked = false;
  try {
    co_await sleep_for(1h);
  } catch (const cancelled&) {
    asked = true;
  }
  co_return asked ? value : 0;
}

// ---- in time -----------------------------------------------------------------------------------------------------------------

TEST_P(WaitForOnEvery, Waitfor01_InTimeItIsTheValueOfATaskOrACoroutine) {
  run([this]() -> coro<> {
    EXPECT_EQ(co_await wait_for(value_after(1s, 1), 2s), 1);
    EXPECT_EQ(co_await wait_for(spawn(value_after(1s, 2)), 2s), 2);
    const task<int> kept = spawn(value_after(1s, 3));
    EXPECT_EQ(co_await wait_for(kept, 2s), 3);
    EXPECT_EQ(kept.result(), 3);
    EXPECT_EQ(clock().now(), 3s);
    EXPECT_EQ(co_await wait_until(value_after(1s, 4), std::chrono::steady_clock::time_point(5s)), 4);
    EXPECT_EQ(co_await wait_until(spawn(ready(5)), std::chrono::steady_clock::time_point(5s)), 5);
  });
}

TEST_P(WaitForOnEvery, Waitfor01_AnUnusedLimitLeavesNoTimer) {
  leaves_tasks_on_purpose();
  const gate never;
  EXPECT_THROW(run([&]() -> coro<> {
                 EXPECT_EQ(co_await wait_for(value_after(1s, 1), 1h), 1);
                 co_await never;
               }),
               would_deadlock);
  EXPECT_EQ(clock().now(), 1s);
}

TEST_P(WaitForOnEvery, Waitfor02_WithoutALimitItIsAPlainAwait) {
  run([this]() -> coro<> {
    EXPECT_EQ(co_await wait_for(value_after(100h, 1), std::nullopt), 1);
    EXPECT_EQ(co_await wait_for(spawn(value_after(100h, 2)), time_limit()), 2);
    EXPECT_EQ(clock().now(), 200h);
  });
}

TEST_P(WaitForOnEvery, Waitfor19_AHugeLimitNeitherOverflowsNorFires) {
  run([]() -> coro<> {
    EXPECT_EQ(co_await wait_for(value_after(1h, 1), std::chrono::hours::max()), 1);
    EXPECT_EQ(co_await wait_for(value_after(1h, 2), std::chrono::nanoseconds::max()), 2);
    EXPECT_EQ(co_await wait_for(value_after(1h, 3), std::chrono::nanoseconds(std::numeric_limits<std::int64_t>::max() - 1)), 3);
    EXPECT_EQ(co_await wait_until(value_after(1h, 4), std::chrono::steady_clock::time_point::max()), 4);
  });
}

TEST_P(WaitForOnEvery, ResultsOfEveryKind) {
  run([]() -> coro<> {
    int target = 5;
    const auto boxed = []() -> coro<std::unique_ptr<int>> {
      co_await this_task::yield();
      co_return std::make_unique<int>(6);
    };
    const auto referring = [](int& to) -> coro<int&> {
      co_await this_task::yield();
      co_return to;
    };
    const auto nothing = []() -> coro<> { co_await this_task::yield(); };
    const std::unique_ptr<int> box = co_await wait_for(boxed(), 1s);
    EXPECT_EQ(*box, 6);
    const std::unique_ptr<int> other = co_await wait_for(spawn(boxed()), 1s);
    EXPECT_EQ(*other, 6);
    int& same = co_await wait_for(referring(target), 1s);
    EXPECT_EQ(&same, &target);
    co_await wait_for(nothing(), 1s);
    co_await wait_for(spawn([] {}), 1s);
  });
}

TEST_P(WaitForOnEvery, Waitfor16_WhatTheChildThrowsPassesAlsoItsOwnTimeoutError) {
  run([this]() -> coro<> {
    EXPECT_THROW(co_await wait_for(boom_after(1s, 1), 2s), boom);
    const auto its_own = []() -> coro<> {
      co_await sleep_for(1s);
      throw timeout_error("the child's own");
    };
    const task<> child = spawn(its_own());
    try {
      co_await wait_for(child, 2s);
      ADD_FAILURE() << "no error";
    } catch (const timeout_error& error) {
      EXPECT_STREQ(error.what(), "the child's own");
      EXPECT_EQ(std::current_exception(), child.exception());
    }
    EXPECT_EQ(clock().now(), 2s);
    EXPECT_THROW(co_await wait_for(value_after(1h, 1), 1s), timeout_error);
  });
}

TEST_P(WaitForOnEvery, AChildThatOthersCancelInTimeIsNoTimeout) {
  run([]() -> coro<> {
    const gate never;
    const task<int> child = spawn(value_at(never, 1));
    const task<int> parent = spawn([](task<int> child) -> coro<int> { co_return co_await wait_for(child, 1h); }, child);
    co_await until_parked(parent);
    child.cancel("not wanted");
    co_await until_complete(parent);
    EXPECT_TRUE(parent.cancelled());
    EXPECT_THROW(static_cast<void>(parent.result()), task_cancelled);
  });
}

// ---- too late ----------------------------------------------------------------------------------------------------------------

TEST_P(WaitForOnEvery, Waitfor03_TooSlowItIsCancelledAndHasEndedWhenTheErrorComes) {
  run([this]() -> coro<> {
    const task<int> child = spawn(value_after(1h, 1));
    EXPECT_THROW(co_await wait_for(child, 1s), timeout_error);
    EXPECT_EQ(clock().now(), 1s);
    EXPECT_TRUE(child.cancelled());
    EXPECT_EQ(waiters_of(child), 0U);
    EXPECT_EQ(this_task::cancelling(), 0U);
    co_await this_task::yield();  // the parent was not asked to stop
    EXPECT_THROW(co_await wait_until(value_after(1h, 1), std::chrono::steady_clock::time_point(3s)), timeout_error);
    EXPECT_EQ(clock().now(), 3s);
  });
}

TEST_P(WaitForOnEvery, Waitfor03_ItsLocalsAreGoneBeforeTheErrorComes) {
  drop_counter drops;
  run([&drops]() -> coro<> {
    const auto holding = [](drop_counter::payload) -> coro<int> {
      co_await sleep_for(1h);
      co_return 0;
    };
    auto child = holding(drops.make());
    EXPECT_THROW(co_await wait_for(std::move(child), 1s), timeout_error);
    EXPECT_EQ(drops.alive(), 0);
  });
}

TEST_P(WaitForOnEvery, Waitfor04_ItsCleanupIsWaitedForBeyondTheLimit) {
  run([this]() -> coro<> {
    bool cleaned = false;
    EXPECT_THROW(co_await wait_for(cleans_up_for(5s, cleaned), 1s), timeout_error);
    EXPECT_TRUE(cleaned);
    EXPECT_EQ(clock().now(), 6s);
  });
}

TEST_P(WaitForOnEvery, Waitfor08_ItSwallowedTheRequestAndItsValueIsGiven) {
  run([this]() -> coro<> {
    EXPECT_EQ(co_await wait_for(swallows(7), 1s), 7);
    EXPECT_EQ(clock().now(), 1s);
    const task<int> child = spawn(swallows(8));
    EXPECT_EQ(co_await wait_for(child, 1s), 8);
    EXPECT_EQ(child.status(), task_status::succeeded);
  });
}

TEST_P(WaitForOnEvery, AnErrorOfItsOwnAfterTheRequestPasses) {
  run([]() -> coro<> { EXPECT_THROW(co_await wait_for(test::boom_when_cancelled(1), 1s), boom); });
}

TEST_P(WaitForOnEvery, Waitfor10_TheTimeoutErrorCarriesTheCancelledOutcome) {
  run([]() -> coro<> {
    bool nested = false;
    try {
      co_await wait_for(value_after(1h, 1), 1s);
      ADD_FAILURE() << "no error";
    } catch (const timeout_error& error) {
      try {
        std::rethrow_if_nested(error);
      } catch (const task_cancelled&) {
        nested = true;
      }
    }
    EXPECT_TRUE(nested);
  });
}

// ---- limits of zero and less -------------------------------------------------------------------------------------------------

TEST_P(WaitForOnEvery, Waitfor05_AFinishedTaskGivesItsValueWhateverTheLimit) {
  run([this]() -> coro<> {
    const task<int> child = spawn(ready(1));
    co_await until_complete(child);
    const bystander other;
    EXPECT_EQ(co_await wait_for(child, 0s), 1);
    EXPECT_EQ(co_await wait_for(child, -1s), 1);
    EXPECT_EQ(co_await wait_until(child, std::chrono::steady_clock::time_point()), 1);
    if (one_thread()) EXPECT_FALSE(other.has_run());
    co_await other.done();
  });
}

TEST_P(WaitForOnEvery, Waitfor06_ACoroutineThatHasNotStartedNeverRuns) {
  drop_counter drops;
  run([&]() -> coro<> {
    bool ran = false;
    const auto holding = [](drop_counter::payload, bool& ran) -> coro<int> {
      ran = true;
      co_return 1;
    };
    const bystander other;
    for (const auto limit : {0s, -1s}) {
      auto child = holding(drops.make(), ran);
      EXPECT_THROW(co_await wait_for(std::move(child), limit), timeout_error);
      EXPECT_EQ(drops.alive(), 0);
    }
    EXPECT_FALSE(ran);
    if (one_thread()) EXPECT_FALSE(other.has_run());
    co_await other.done();
  });
}

TEST_P(WaitForOnEvery, Waitfor07_ARunningTaskIsCancelledAndWaitedFor) {
  run([this]() -> coro<> {
    for (const auto limit : {0s, -1s}) {
      const gate never;
      const task<int> child = spawn(value_at(never, 1));
      co_await until_parked(child);
      EXPECT_THROW(co_await wait_for(child, limit), timeout_error);
      EXPECT_TRUE(child.cancelled());
    }
    bool cleaned = false;
    const task<int> slow = spawn(cleans_up_for(5s, cleaned));
    co_await until_parked(slow);
    EXPECT_THROW(co_await wait_for(slow, 0s), timeout_error);
    EXPECT_TRUE(cleaned);
    EXPECT_EQ(clock().now(), 5s);
    const task<int> stubborn = spawn(swallows(4));
    co_await until_parked(stubborn);
    EXPECT_EQ(co_await wait_for(stubborn, 0s), 4);
  });
}

TEST_P(WaitForOnEvery, NotANumberIsRefusedByTheCall) {
  run([]() -> coro<> {
    const std::chrono::duration<double> nan(std::nan(""));
    const task<int> child = spawn(ready(1));
    EXPECT_THROW(static_cast<void>(wait_for(child, nan)), std::invalid_argument);
    EXPECT_EQ(co_await child, 1);
  });
}

// ---- the parent is cancelled -------------------------------------------------------------------------------------------------

TEST_P(WaitForOnEvery, Waitfor11_CancellingTheParentCancelsTheChildOwnedOrNot) {
  run([]() -> coro<> {
    const gate never;
    for (const time_limit limit : {time_limit(), time_limit(1h)}) {
      const task<int> child = spawn(value_at(never, 1));
      const task<int> parent =
          spawn([](task<int> child, time_limit limit) -> coro<int> { co_return co_await wait_for(child, limit); }, child, limit);
      co_await until_parked(parent);
      EXPECT_TRUE(parent.cancel());
      co_await until_complete(parent);
      EXPECT_TRUE(parent.cancelled());
      EXPECT_TRUE(child.cancelled());

      const task<int> around_a_coroutine =
          spawn([](gate never, time_limit limit) -> coro<int> { co_return co_await wait_for(value_at(never, 1), limit); }, never,
                limit);
      co_await until_parked(around_a_coroutine);
      around_a_coroutine.cancel();
      co_await until_complete(around_a_coroutine);
      EXPECT_TRUE(around_a_coroutine.cancelled());
    }
    EXPECT_EQ(never.parked(), 0U);
  });
}

TEST_P(WaitForOnEvery, Waitfor12_TheParentEndsOnlyAfterTheChildHasReallyEnded) {
  run([this]() -> coro<> {
    bool cleaned = false;
    const task<int> parent = spawn([&]() -> coro<int> { co_return co_await wait_for(cleans_up_for(200ms, cleaned), 1h); });
    co_await sleep_for(1s);
    parent.cancel();
    co_await test::join(parent);
    EXPECT_TRUE(parent.cancelled());
    EXPECT_TRUE(cleaned);
    EXPECT_EQ(clock().now(), 1200ms);
  });
}

TEST_P(WaitForOnEvery, TheParentIsCancelledAlsoWhenTheChildSwallowsTheRequest) {
  run([]() -> coro<> {
    const task<int> child = spawn(swallows(7));
    const task<int> parent = spawn([](task<int> child) -> coro<int> { co_return co_await wait_for(child, 2h); }, child);
    co_await sleep_for(1s);
    parent.cancel();
    co_await test::join(parent);
    EXPECT_TRUE(parent.cancelled());
    EXPECT_EQ(child.result(), 7);
  });
}

/// The limit has passed and the child is cleaning up when the parent is cancelled: that is not lost.
TEST_P(WaitForOnEvery, ACancelDuringTheChildsCleanupWinsOverTheTimeout) {
  run([]() -> coro<> {
    const gate open, cleaning;
    const task<int> child = spawn(test::clean_up_at(open, cleaning));
    const task<int> parent = spawn([](task<int> child) -> coro<int> { co_return co_await wait_for(child, 1s); }, child);
    co_await cleaning;
    // The second request reaches the cleanup too, which it ends.
    parent.cancel();
    co_await test::join(parent);
    EXPECT_TRUE(parent.cancelled());
    EXPECT_TRUE(child.cancelled());
  });
}

TEST_P(WaitForOnEvery, ACancelRecordedBeforeTheParentResumesEndsItCancelled) {
  run([]() -> coro<> {
    const gate open;
    std::optional<task<int>> parent;
    const task<int> child = spawn([&]() -> coro<int> {
      co_await open;
      parent->cancel();
      co_return 1;
    });
    parent.emplace(spawn([](task<int> child) -> coro<int> { co_return co_await wait_for(child, 1h); }, child));
    co_await until_parked(child);
    co_await until_parked(*parent);
    open.open();
    co_await until_complete(*parent);
    EXPECT_TRUE(parent->cancelled());
    EXPECT_TRUE(child.done());
  });
}

TEST_P(WaitForOnEvery, NestedTheInnerLimitIsTheInnerOnes) {
  run([this]() -> coro<> {
    const auto inner = []() -> coro<int> {
      try {
        co_return co_await wait_for(value_after(1h, 1), 1s);
      } catch (const timeout_error&) {
      }
      co_await sleep_for(10s);
      co_return 2;
    };
    EXPECT_EQ(co_await wait_for(inner(), 20s), 2);
    EXPECT_THROW(co_await wait_for(inner(), 5s), timeout_error);
    EXPECT_EQ(clock().now(), 16s);
    const auto too_long_inside = []() -> coro<int> { co_return co_await wait_for(value_after(1h, 1), 10s); };
    EXPECT_THROW(co_await wait_for(too_long_inside(), 1s), timeout_error);
    EXPECT_EQ(clock().now(), 17s);
  });
}

TEST_P(WaitForOnEvery, AroundAGatherTheLimitCancelsEveryChild) {
  run([]() -> coro<> {
    const gate never;
    const task<int> one = spawn(value_at(never, 1));
    const task<int> two = spawn(value_at(never, 2));
    EXPECT_THROW(co_await wait_for(gather(one, two), 1s), timeout_error);
    EXPECT_TRUE(one.cancelled());
    EXPECT_TRUE(two.cancelled());
  });
}

// ---- elsewhere ---------------------------------------------------------------------------------------------------------------

TEST_P(WaitForOnEvery, ARunningCallableIsWaitedForAndItsTokenTold) {
  run([]() -> coro<> {
    const task<bool> call = spawn_blocking([](const cancel_token& token) {
      while (!token.requested()) std::this_thread::yield();
      return true;
    });
    while (call.status() != task_status::running) co_await this_task::yield();
    EXPECT_TRUE(co_await wait_for(call, 0s));  // it gave a value
  });
}

/// Given its only handle, an await that is cancelled cancels the future; a handle elsewhere keeps it as it is.
TEST_P(WaitForOnEvery, Waitfor17_ExpiryCancelsAFutureThatNobodyElseCanRead) {
  run([]() -> coro<> {
    const auto reads = [](future<int> only) -> coro<int> { co_return co_await std::move(only); };
    promise<int> unwanted;
    bool timed_out = false;
    try {
      co_await wait_for(reads(unwanted.get_future()), 1s);
    } catch (const timeout_error&) {
      timed_out = true;
    }
    EXPECT_TRUE(timed_out);
    EXPECT_TRUE(unwanted.done());
    EXPECT_FALSE(unwanted.try_set_value(1));

    promise<int> wanted;
    const future<int> kept = wanted.get_future();
    timed_out = false;
    try {
      co_await wait_for(reads(kept), 1s);
    } catch (const timeout_error&) {
      timed_out = true;
    }
    EXPECT_TRUE(timed_out);
    EXPECT_FALSE(kept.done());
    wanted.set_value(2);
    EXPECT_EQ(kept.result(), 2);
  });
}

TEST_P(WaitForOnEvery, FromAPlainThread) {
  const entered here = rt().enter();
  EXPECT_EQ(wait_for(value_after(1h, 1), 2h).get(), 1);
  EXPECT_THROW(wait_for(value_after(3h, 1), 1h).get(), timeout_error);
  EXPECT_EQ(clock().now(), 2h);
}

TEST_P(WaitForOnEvery, AChildOfAnotherRuntime) {
  runtime elsewhere({.workers = 1, .clock = &clock()});
  run([&]() -> coro<> {
    runtime* const home = runtime::current();
    EXPECT_EQ(co_await wait_for(elsewhere.spawn(value_after(1s, 1)), 2s), 1);
    const task<int> slow = elsewhere.spawn(value_after(1h, 2));
    EXPECT_THROW(co_await wait_for(slow, 2s), timeout_error);
    EXPECT_TRUE(slow.cancelled());
    EXPECT_EQ(runtime::current(), home);
  });
}

TEST_P(WaitForOnEvery, OfItselfIsAnInvalidState) {
  run([]() -> coro<> {
    const any_task self = this_task::handle();
    EXPECT_THROW(static_cast<void>(co_await wait_for(self, 1s)), invalid_state);
  });
}

// ---- races -------------------------------------------------------------------------------------------------------------------

/// Waitfor18: the limit passes at the instant at which the child ends, on another thread. Value or timeout, never both.
/// WAITFOR-18 as well. In some rounds one of the two is decided for certain before the other begins: the child has made its value, or has
/// ended because it was asked to.
TEST_P(WaitForOnPools, Mt29_ValueOrTimeoutAndNoValueIsDropped) {
  enum class first { race, value, limit };
  const auto held = clock().hold();
  drop_counter drops;
  rt();
  for (int round = 0; round < 120; ++round) {
    const first order = round % 4 == 0 ? first::value : round % 4 == 1 ? first::limit : first::race;
    const gate open;
    std::atomic<bool> made{false};
    const task<bool> parent = rt().spawn([&]() -> coro<bool> {
      auto child = spawn(
          [](gate open, drop_counter& drops, std::atomic<bool>& made) -> coro<drop_counter::payload> {
            co_await open;
            made = true;
            co_return drops.make(3);
          },
          open, std::ref(drops), std::ref(made));
      try {
        const auto payload = co_await wait_for(std::move(child), 1s);
        EXPECT_EQ(payload.value(), 3);
        co_return true;
      } catch (const timeout_error&) {
        co_return false;
      }
    });
    test::spin_until([&] { return test::is_parked(parent) && open.parked() == 1; });
    if (order == first::value) {
      open.open();
      test::spin_until([&] { return made.load(); });
      clock().advance(1s);
    } else if (order == first::limit) {
      clock().advance(1s);
      test::spin_until([&] { return open.parked() == 0; });
      open.open();
    } else {
      test::racing_threads race;
      race.add([open] { open.open(); });
      race.add([this] { clock().advance(1s); });
      race.go();
    }
    const bool got_value = parent.get();
    EXPECT_EQ(made.load(), got_value);
    if (order != first::race) EXPECT_EQ(got_value, order == first::value);
    EXPECT_EQ(drops.alive(), 0);
  }
}

TEST_P(WaitForOnPools, Mt19_WhatTheChildWroteIsSeenAfterTheWait) {
  run([]() -> coro<> {
    for (int round = 0; round < 200; ++round) {
      int written = 0;
      task<> child = spawn([](int& to) { to = 1; }, std::ref(written));
      co_await wait_for(std::move(child), 1h);
      EXPECT_EQ(written, 1);
    }
  });
}

TEST_P(WaitForOnPools, ACancelOfTheParentAgainstLimitAndEnd) {
  const auto held = clock().hold();
  rt();
  for (int round = 0; round < 100; ++round) {
    const gate open;
    const task<int> child = rt().spawn(value_at(open, 1));
    const task<int> parent = rt().spawn([](task<int> child) -> coro<int> { co_return co_await wait_for(child, 1s); }, child);
    test::spin_until([&] { return test::is_parked(parent) && open.parked() == 1; });
    bool recorded = false;
    {
      test::racing_threads race;
      race.add([open] { open.open(); });
      race.add([this] { clock().advance(1s); });
      race.add([parent, &recorded] { recorded = parent.cancel(); });
      race.go();
    }
    test::spin_until([&] { return parent.done(); });
    EXPECT_TRUE(child.done());
    if (!recorded) {
      EXPECT_FALSE(parent.cancelled());
    }
    if (parent.status() == task_status::succeeded) {
      EXPECT_EQ(child.result(), 1);
    } else if (parent.status() == task_status::failed) {
      EXPECT_THROW(static_cast<void>(parent.result()), timeout_error);
      EXPECT_TRUE(child.cancelled());
    }
  }
}

}  // namespace
}  // namespace sheaf
