/// SEM: bounded_semaphore, and the races of both semaphores. The other cases of SEM are tested for semaphore, whose queue this is, in
/// tests/runtime/semaphore_test.cpp; awaiting the semaphore itself (SEM-11) is refused in tests/compile_fail/await_of_a_semaphore.cpp.
/// There is no close().
#include <sheaf/bounded_semaphore.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <sheaf/errors.hpp>
#include <sheaf/runtime.hpp>
#include <sheaf/this_task.hpp>

#include "cases/race.hpp"
#include "support/children.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/notes.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using test::gate;
using test::notes;
using test::spin_until;
using test::until_complete;
using test::until_parked;

SHEAF_ON_EVERY_FLAVOUR(BoundedSemaphoreOnEvery);
SHEAF_ON_NATIVE_POOLS(SemaphoreOnPools);

/// Notes that it has been admitted, and keeps `count` permits until `leave` opens.
coro<> visit(bounded_semaphore& seats, std::size_t count, notes& order, char mark, gate leave) {
  const permit inside = co_await seats.acquire(count);
  order += mark;
  co_await leave;
}

gate open_gate() {
  gate made;
  made.open();
  return made;
}

std::string text_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const std::logic_error& error) {
    return error.what();
  }
  return {};
}

TEST(BoundedSemaphore, Sem01_ZeroIsLegalNegativeIsNot) {
  bounded_semaphore none(0);
  EXPECT_EQ(none.available(), 0U);
  EXPECT_THROW(none.release(), invalid_state);
  EXPECT_THROW(bounded_semaphore(-1), std::invalid_argument);
}

TEST(BoundedSemaphore, WrongNumbersAreRefusedByName) {
  bounded_semaphore two(2);
  EXPECT_THROW(static_cast<void>(two.acquire(0)), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(two.try_acquire(0)), std::invalid_argument);
  EXPECT_NE(text_of([&] { static_cast<void>(two.acquire(3)); }).find("acquire(3)"), std::string::npos);
  EXPECT_NE(text_of([&] { static_cast<void>(two.try_acquire(4)); }).find("try_acquire(4)"), std::string::npos);
  EXPECT_EQ(two.available(), 2U);
}

TEST(BoundedSemaphore, Sem07_AReleaseTooManyIsRefusedAndChangesNothing) {
  bounded_semaphore three(3);
  EXPECT_THROW(three.release(), invalid_state);
  three.release(0);
  {
    const permit two = three.try_acquire(2);
    EXPECT_EQ(three.available(), 1U);
    EXPECT_NE(text_of([&] { three.release(3); }).find("release(3)"), std::string::npos);
    EXPECT_EQ(three.available(), 1U);
  }
  EXPECT_EQ(three.available(), 3U);
  {
    permit kept = three.try_acquire(2);
    kept.detach();
  }
  three.release();
  EXPECT_THROW(three.release(2), invalid_state);
  three.release();
  EXPECT_EQ(three.available(), 3U);
}

TEST(BoundedSemaphore, Sem07_APermitAfterAReleaseTooManyAddsNothing) {
  bounded_semaphore one(1);
  {
    const permit mine = one.try_acquire();
    one.release();  // wrong, but it cannot be told from giving back
  }
  EXPECT_EQ(one.available(), 1U);
  EXPECT_TRUE(one.try_acquire());
  EXPECT_THROW(one.release(), invalid_state);
}

TEST_P(BoundedSemaphoreOnEvery, Sem02_WaitersAreAdmittedInOrderAsPermitsComeBack) {
  run([]() -> coro<> {
    bounded_semaphore seats(2);
    notes order;
    permit first = co_await seats.acquire();
    permit second = co_await seats.acquire();
    std::vector<gate> leave(3);
    std::vector<task<>> visitors;
    for (std::size_t i = 0; i < 3; ++i) {
      visitors.push_back(spawn(visit, std::ref(seats), 1, std::ref(order), static_cast<char>('a' + i), leave[i]));
      co_await until_parked(visitors.back());
    }
    EXPECT_EQ(order.text(), "");
    first.release();
    const auto a_is_in = [&] { return leave[0].parked() == 1; };
    co_await test::until(a_is_in);
    EXPECT_EQ(order.text(), "a");
    second.release();
    const auto b_is_in = [&] { return leave[1].parked() == 1; };
    co_await test::until(b_is_in);
    EXPECT_EQ(order.text(), "ab");
    EXPECT_EQ(seats.available(), 0U);
    for (const gate& each : leave) each.open();
    for (const task<>& each : visitors) co_await each;
    EXPECT_EQ(order.text(), "abc");
    EXPECT_EQ(seats.available(), 2U);
  });
}

TEST_P(BoundedSemaphoreOnEvery, Sem03_Sem04_CancelledWaitersLeaveTheQueue) {
  run([]() -> coro<> {
    bounded_semaphore seats(1);
    notes order;
    permit mine = co_await seats.acquire();
    std::vector<task<>> waiters;
    for (const char mark : {'a', 'b', 'c', 'd'}) {
      waiters.push_back(spawn(visit, std::ref(seats), 1, std::ref(order), mark, open_gate()));
      co_await until_parked(waiters.back());
    }
    for (std::size_t i = 0; i < 2; ++i) {
      waiters[i].cancel();
      co_await until_complete(waiters[i]);
      EXPECT_TRUE(waiters[i].cancelled());
    }
    mine.release();
    for (const task<>& each : waiters) co_await until_complete(each);
    EXPECT_EQ(order.text(), "cd");
    EXPECT_EQ(seats.available(), 1U);
  });
}

/// What was granted to a wait that is cancelled before it has run is passed on: docs/decisions/cancel-on-the-worker.md.
TEST_P(BoundedSemaphoreOnEvery, APermitGrantedAndCancelledAtOnceIsPassedOn) {
  bounded_semaphore seats(1);
  notes order;
  const auto time = clock().hold();
  permit mine = seats.try_acquire();
  const task<> first = rt().spawn(visit, std::ref(seats), 1, std::ref(order), '1', open_gate());
  run([first]() -> coro<> { co_await until_parked(first); });
  const task<> second = rt().spawn(visit, std::ref(seats), 1, std::ref(order), '2', open_gate());
  run([second]() -> coro<> { co_await until_parked(second); });
  const gate release;
  occupy(release);
  mine.release();
  EXPECT_TRUE(first.cancel());
  release.open();
  EXPECT_THROW(first.get(), task_cancelled);
  second.get();
  EXPECT_EQ(order.text(), "2");
  EXPECT_EQ(seats.available(), 1U);
}

TEST_P(BoundedSemaphoreOnEvery, Sem12_ALargeRequestAtTheHeadHoldsSmallOnesBack) {
  run([]() -> coro<> {
    bounded_semaphore seats(3);
    notes order;
    permit mine = co_await seats.acquire(2);
    const task<> large = spawn(visit, std::ref(seats), 3, std::ref(order), 'l', open_gate());
    co_await until_parked(large);
    const task<> small = spawn(visit, std::ref(seats), 1, std::ref(order), 's', open_gate());
    co_await until_parked(small);
    EXPECT_FALSE(seats.try_acquire());
    EXPECT_EQ(order.text(), "");
    mine.release();
    co_await large;
    co_await small;
    EXPECT_EQ(order.text(), "ls");
    EXPECT_EQ(seats.available(), 3U);
  });
}

TEST_P(BoundedSemaphoreOnEvery, APlainThreadAcquiresThroughGet) {
  bounded_semaphore seats(1);
  semaphore many(2);
  notes order;
  const auto time = clock().hold();
  const entered current = rt().enter();
  permit mine = seats.acquire().get();
  EXPECT_EQ(seats.available(), 0U);
  const task<> waiter = rt().spawn(visit, std::ref(seats), 1, std::ref(order), 'w', open_gate());
  run([waiter]() -> coro<> { co_await until_parked(waiter); });
  mine.release();
  {
    const permit again = seats.acquire().get();  // behind the waiter
    EXPECT_EQ(order.text(), "w");
    const permit both = many.acquire(2).get();
    EXPECT_EQ(many.available(), 0U);
  }
  waiter.get();
  EXPECT_EQ(seats.available(), 1U);
  EXPECT_EQ(many.available(), 2U);
}

// ---- races -------------------------------------------------------------------------------------------------------------------

TEST_P(SemaphoreOnPools, MtSem_GrantAgainstCancel) {
  const auto time = clock().hold();
  int first_was_in = 0;
  for (int round = 0; round < 300; ++round) {
    bounded_semaphore seats(1);
    notes order;
    permit mine = seats.try_acquire();
    const task<> first = rt().spawn(visit, std::ref(seats), 1, std::ref(order), '1', open_gate());
    spin_until([&] { return test::is_parked(first); });
    const task<> second = rt().spawn(visit, std::ref(seats), 1, std::ref(order), '2', open_gate());
    spin_until([&] { return test::is_parked(second); });
    test::race(round, [&] { first.cancel(); }, [&] { mine.release(); }, [&] { return !order.empty(); });
    spin_until([&] { return first.done(); });
    second.get();
    ASSERT_EQ(order.text(), first.cancelled() ? "2" : "12");
    ASSERT_EQ(seats.available(), 1U);
    if (!first.cancelled()) ++first_was_in;
  }
  RecordProperty("first_was_in", first_was_in);
}

/// Requests of different sizes, half of them cancelled: never more inside than there are permits, and all come back.
TEST_P(SemaphoreOnPools, MtSem_NeverMoreInsideThanPermits) {
  bounded_semaphore seats(4);
  std::atomic<int> inside{0}, most{0};
  const auto visits = [](bounded_semaphore& seats, int count, std::atomic<int>& inside, std::atomic<int>& most) -> coro<> {
    for (int i = 0; i < 50; ++i) {
      const permit mine = co_await seats.acquire(static_cast<std::size_t>(count));
      const int now = inside.fetch_add(count) + count;
      int seen = most.load();
      while (seen < now && !most.compare_exchange_weak(seen, now)) {
      }
      inside.fetch_sub(count);
      if (i % 4 == 0) co_await this_task::yield();
    }
  };
  run([&]() -> coro<> {
    std::vector<task<>> all;
    for (int i = 0; i < 24; ++i) all.push_back(spawn(visits, std::ref(seats), 1 + i % 4, std::ref(inside), std::ref(most)));
    for (std::size_t i = 0; i < all.size(); i += 2) {
      co_await this_task::yield();
      all[i].cancel();
    }
    for (const task<>& each : all) co_await until_complete(each);
  });
  EXPECT_LE(most.load(), 4);
  EXPECT_EQ(seats.available(), 4U);
}

}  // namespace
}  // namespace sheaf
