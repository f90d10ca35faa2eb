/// promise and future: one outcome, decided from outside, awaited by any number of tasks and threads.
#include <sheaf/future.hpp>

#include <gtest/gtest.h>

#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include <sheaf/runtime.hpp>

#include "support/children.hpp"
#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using test::boom;
using test::boom_number;
using test::bystander;
using test::drop_counter;
using test::until_parked;

SHEAF_ON_EVERY_FLAVOUR(FutOnEvery);

coro<int> value_of(future<int> from) { co_return co_await from; }
coro<> parked(any_task waiter) { co_await until_parked(std::move(waiter)); }

void expect_refused(promise<int>& decided) {
  EXPECT_THROW(decided.set_value(2), invalid_state);
  EXPECT_THROW(decided.set_exception(boom(2)), invalid_state);
  EXPECT_THROW(decided.set_cancelled(), invalid_state);
  EXPECT_THROW(decided.set_outcome(outcome<int>(std::in_place, 2)), invalid_state);
  EXPECT_FALSE(decided.try_set_value(2));
}

TEST(Fut, Fut01_AFreshFutureIsCancelledOnce) {
  promise<int> pending;
  const future<int> seen = pending.get_future();
  EXPECT_FALSE(seen.done());
  EXPECT_FALSE(seen.cancelled());
  EXPECT_FALSE(pending.done());
  EXPECT_EQ(seen.status(), task_status::pending);
  EXPECT_THROW(static_cast<void>(seen.result()), invalid_state);
  EXPECT_THROW(static_cast<void>(seen.exception()), invalid_state);
  EXPECT_TRUE(seen.cancel("not needed"));
  EXPECT_FALSE(seen.cancel());
  EXPECT_TRUE(seen.done());
  EXPECT_TRUE(seen.cancelled());
  EXPECT_TRUE(pending.done());
  EXPECT_THROW(static_cast<void>(seen.result()), task_cancelled);
  EXPECT_THROW(static_cast<void>(seen.get()), task_cancelled);
  try {
    std::rethrow_exception(seen.exception());
  } catch (const task_cancelled& caught) {
    EXPECT_EQ(caught.reason(), "not needed");
    EXPECT_STREQ(caught.what(), "task behind a promise was cancelled: not needed");
  }
  expect_refused(pending);
}

TEST(Fut, Fut02_AValueOrAnErrorIsSetOnce) {
  promise<int> good;
  const future<int> value = good.get_future();
  good.set_value(1);
  EXPECT_EQ(value.status(), task_status::succeeded);
  EXPECT_EQ(value.result(), 1);
  EXPECT_EQ(value.exception(), nullptr);
  EXPECT_FALSE(value.cancel());
  expect_refused(good);
  EXPECT_EQ(value.result(), 1);

  promise<int> bad;
  const future<int> error = bad.get_future();
  bad.set_exception(boom(1));
  EXPECT_EQ(error.status(), task_status::failed);
  EXPECT_THROW(static_cast<void>(error.result()), boom);
  EXPECT_FALSE(error.cancel());
  expect_refused(bad);
  EXPECT_EQ(boom_number(error.exception()), 1);
  EXPECT_EQ(error.exception(), error.exception());  // the same object on every read
}

TEST(Fut, Fut02_AnOutcomeOfEachKindIsTakenOver) {
  promise<std::string> value, error, stopped;
  const auto of_value = value.get_future(), of_error = error.get_future(), of_stopped = stopped.get_future();
  value.set_outcome(outcome<std::string>(std::in_place, 3, 'x'));
  error.set_outcome(outcome<std::string>(std::make_exception_ptr(boom(4))));
  stopped.set_outcome(outcome<std::string>::make_cancelled(std::make_exception_ptr(task_cancelled("'t'", "why"))));
  EXPECT_EQ(of_value.result(), "xxx");
  EXPECT_EQ(boom_number(of_error.exception()), 4);
  EXPECT_TRUE(of_stopped.cancelled());
  EXPECT_THROW(static_cast<void>(of_stopped.result()), task_cancelled);
  promise<> nothing;
  const auto of_nothing = nothing.get_future();
  nothing.set_outcome(outcome<void>(std::in_place));
  of_nothing.get();
  promise<> without_cause;
  const auto of_without_cause = without_cause.get_future();
  without_cause.set_outcome(outcome<void>::make_cancelled(nullptr));
  EXPECT_THROW(of_without_cause.get(), task_cancelled);
}

TEST(Fut, Fut03_AValueUnlessCancelled) {
  promise<std::unique_ptr<int>> pending;
  const auto seen = pending.get_future();
  seen.cancel();
  auto value = std::make_unique<int>(1);
  EXPECT_FALSE(pending.try_set_value(std::move(value)));
  EXPECT_NE(value, nullptr);  // NOLINT(bugprone-use-after-move)
  EXPECT_TRUE(seen.cancelled());
}

TEST(Fut, Fut04_ErrorsThatMeanACancelAreCancelledOutcomes) {
  promise<int> bare, foreign, null;
  const auto of_bare = bare.get_future(), of_foreign = foreign.get_future(), of_null = null.get_future();
  bare.set_exception(cancelled("stop"));  // what only a request to the reading task itself may look like
  EXPECT_TRUE(of_bare.cancelled());
  try {
    static_cast<void>(of_bare.result());
    ADD_FAILURE();
  } catch (const task_cancelled& caught) {
    EXPECT_EQ(caught.reason(), "stop");
  }
  foreign.set_exception(task_cancelled("'other'"));
  EXPECT_TRUE(of_foreign.cancelled());
  EXPECT_THROW(null.set_exception(std::exception_ptr()), std::invalid_argument);
  EXPECT_FALSE(of_null.done());
}

TEST_P(FutOnEvery, Fut05_ASecondAwaitDoesNotSuspend) {
  run([this]() -> coro<> {
    promise<int> pending;
    const future<int> seen = pending.get_future();
    const task<> setter = spawn([](promise<int>& set) { set.set_value(5); }, std::ref(pending));
    EXPECT_EQ(co_await seen, 5);
    const bystander other;
    EXPECT_EQ(co_await seen, 5);
    if (one_thread()) {
      EXPECT_FALSE(other.has_run());
    }
    co_await other.done();
    co_await setter;
  });
}

TEST_P(FutOnEvery, Fut06_WhoAwaitsSeesTheVeryObject) {
  drop_counter drops;
  run([&]() -> coro<> {
    promise<drop_counter::copyable> pending;
    const auto seen = pending.get_future();
    const auto address = [](future<drop_counter::copyable> from) -> coro<const void*> {
      const drop_counter::copyable& value = co_await from;
      co_return &value;
    };
    const task<const void*> one = spawn(address, seen), two = spawn(address, seen);
    co_await until_parked(one);
    co_await until_parked(two);
    pending.set_value(drops.make_copyable(1));
    EXPECT_EQ(co_await one, &seen.result());
    EXPECT_EQ(co_await two, &seen.result());
    EXPECT_EQ(drops.alive(), 1);  // no copies
    future<drop_counter::copyable> other = seen;
    const drop_counter::copyable copied = co_await std::move(other);  // not the only handle
    EXPECT_EQ(copied.value(), 1);
    EXPECT_EQ(drops.alive(), 2);
  });
  EXPECT_EQ(drops.alive(), 0);
}

TEST_P(FutOnEvery, Fut13_AThreadsValueArrives) {
  promise<std::string> pending;
  const future<std::string> seen = pending.get_future();
  const auto held = clock().hold();
  const auto reads = [](future<std::string> from) -> coro<std::string> { co_return co_await from; };
  const task<std::string> waiter = rt().spawn(reads, seen);
  run(parked(waiter));
  std::thread([&pending] { pending.set_value("from a thread"); }).join();
  EXPECT_EQ(waiter.get(), "from a thread");
}

TEST_P(FutOnEvery, Fut13_ACancelledFutureRefusesTheThreadsValueAndADoneOneKeepsIt) {
  promise<int> refused, kept;
  const future<int> of_refused = refused.get_future(), of_kept = kept.get_future();
  EXPECT_TRUE(of_refused.cancel());
  std::thread([&] {
    EXPECT_TRUE(refused.done());  // it need not begin
    EXPECT_FALSE(refused.try_set_value(1));
    EXPECT_TRUE(kept.try_set_value(2));
  }).join();
  EXPECT_FALSE(of_kept.cancel());
  run([&]() -> coro<> {
    EXPECT_THROW(static_cast<void>(co_await of_refused), task_cancelled);
    EXPECT_EQ(co_await of_kept, 2);
  });
}

TEST(Fut, Fut14_ACopyIsTheSameFuture) {
  promise<int> one, two;
  const future<int> first = one.get_future();
  const future<int> copy = first;
  EXPECT_EQ(first, copy);
  EXPECT_NE(first, two.get_future());
  EXPECT_EQ(future<int>(), future<int>());
  EXPECT_THROW(static_cast<void>(one.get_future()), invalid_state);
  one.set_value(1);
  EXPECT_EQ(&first.result(), &copy.result());
}

TEST_P(FutOnEvery, Fut15_AnErrorNobodyReadIsReportedOnce) {
  test::unobserved_errors reported;
  const auto current = start(reported.options()).enter();
  {
    promise<int> unread;
    const auto seen = unread.get_future();
    unread.set_exception(boom(1));
    EXPECT_FALSE(seen.cancel());  // does not silence it
    const auto other = seen;
    EXPECT_EQ(reported.count(), 0);
  }
  EXPECT_EQ(reported.count(), 1);
  {
    promise<int> without_future;
    without_future.set_exception(boom(1));
  }
  EXPECT_EQ(reported.count(), 2);
}

TEST_P(FutOnEvery, Fut15_WhatIsReadAbandonedOrCancelledIsSilent) {
  test::unobserved_errors reported;
  const auto current = start(reported.options()).enter();
  {
    promise<int> read, looked_at, value, cancelled_one, broken;
    const auto of_read = read.get_future(), of_looked_at = looked_at.get_future(), of_value = value.get_future(),
               of_cancelled = cancelled_one.get_future(), of_broken = broken.get_future();
    read.set_exception(boom(1));
    EXPECT_THROW(static_cast<void>(of_read.get()), boom);
    looked_at.set_exception(boom(2));
    EXPECT_EQ(boom_number(of_looked_at.exception()), 2);
    value.set_value(1);
    cancelled_one.set_cancelled();
  }
  EXPECT_EQ(reported.count(), 0);
}

/// Outside any runtime the report goes to stderr.
TEST(Fut, Fut15_WithoutARuntimeAnUnreadErrorIsNoCrash) {
  testing::internal::CaptureStderr();
  {
    promise<int> unread;
    unread.set_exception(boom(7));
  }
  EXPECT_NE(testing::internal::GetCapturedStderr().find("boom 7"), std::string::npos);
}

TEST_P(FutOnEvery, Fut16_ADroppedPromiseWakesItsWaiters) {
  run([]() -> coro<> {
    auto pending = std::make_unique<promise<int>>();
    const future<int> seen = pending->get_future();
    const task<int> waiter = spawn(value_of, seen);
    co_await until_parked(waiter);
    pending.reset();
    EXPECT_THROW(static_cast<void>(co_await waiter), broken_promise);
    EXPECT_THROW(static_cast<void>(co_await seen), broken_promise);
    EXPECT_EQ(seen.status(), task_status::failed);
  });
}

TEST(Fut, Fut16_APromiseThatIsReplacedIsDropped) {
  promise<int> pending;
  const future<int> first = pending.get_future();
  pending = promise<int>();
  EXPECT_THROW(static_cast<void>(first.get()), broken_promise);
  const future<int> second = pending.get_future();
  promise<int> moved = std::move(pending);
  moved.set_value(1);
  EXPECT_EQ(second.get(), 1);
}

TEST_P(FutOnEvery, Fut17_EmptyHandlesSaySo) {
  future<int> nothing;
  EXPECT_FALSE(nothing);
  EXPECT_THROW(static_cast<void>(nothing.done()), invalid_state);
  EXPECT_THROW(static_cast<void>(nothing.status()), invalid_state);
  EXPECT_THROW(static_cast<void>(nothing.result()), invalid_state);
  EXPECT_THROW(static_cast<void>(nothing.exception()), invalid_state);
  EXPECT_THROW(static_cast<void>(nothing.get()), invalid_state);
  EXPECT_THROW(static_cast<void>(std::move(nothing).get()), invalid_state);
  EXPECT_THROW(nothing.cancel(), invalid_state);
  run([&]() -> coro<> {
    EXPECT_THROW(static_cast<void>(co_await nothing), invalid_state);
    EXPECT_THROW(static_cast<void>(co_await std::move(nothing)), invalid_state);
  });
  promise<int> given;
  promise<int> taken = std::move(given);
  EXPECT_TRUE(taken);
  EXPECT_FALSE(given);                              // NOLINT(bugprone-use-after-move)
  EXPECT_THROW(given.set_value(1), invalid_state);  // NOLINT(bugprone-use-after-move)
  EXPECT_THROW(given.set_exception(boom(1)), invalid_state);
  EXPECT_THROW(given.set_cancelled(), invalid_state);
  EXPECT_THROW(static_cast<void>(given.get_future()), invalid_state);
  EXPECT_THROW(static_cast<void>(given.done()), invalid_state);
}

}  // namespace
}  // namespace sheaf
