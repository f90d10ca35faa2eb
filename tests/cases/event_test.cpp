/// EVENT: a flag that tasks wait for.
#include <sheaf/event.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <sheaf/cancel_token.hpp>
#include <sheaf/runtime.hpp>
#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>

#include "cases/race.hpp"
#include "support/children.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/notes.hpp"
#include "support/run_test.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::gate;
using test::notes;
using test::spin_until;
using test::until_complete;
using test::until_parked;

SHEAF_ON_EVERY_FLAVOUR(EventOnEvery);
SHEAF_ON_NATIVE_POOLS(EventOnPools);

coro<> pass(event& awaited, notes& order, char mark) {
  EXPECT_TRUE(co_await awaited.wait());
  order += mark;
}

/// Passes again and again, and counts.
coro<> pass_often(event& awaited, std::atomic<int>& passed) {
  for (;;) {
    co_await awaited.wait();
    passed.fetch_add(1);
  }
}

// ---- EVENT-01 ----------------------------------------------------------------------------------------------------------------

TEST_P(EventOnEvery, Event01_WaitersPassAfterSetAndLaterOnesAtOnce) {
  run([]() -> coro<> {
    event ready;
    notes order;
    EXPECT_FALSE(ready.is_set());
    std::vector<task<>> waiters;
    for (const char mark : {'a', 'b', 'c'}) {
      waiters.push_back(spawn(pass, std::ref(ready), std::ref(order), mark));
      co_await until_parked(waiters.back());
    }
    EXPECT_EQ(order.text(), "");
    ready.set();
    EXPECT_TRUE(ready.is_set());
    for (const task<>& each : waiters) co_await each;
    EXPECT_EQ(order.size(), 3U);
    EXPECT_TRUE(co_await ready.wait());
    co_await pass(ready, order, 'd');
    EXPECT_EQ(order.text().back(), 'd');
  });
}

TEST(Event, Event01_OneWorkerReleasesWaitersInOrder) {
  event ready;
  notes order;
  test::run_test(
      [&]() -> coro<> {
        std::vector<task<>> waiters;
        for (const char mark : {'a', 'b', 'c', 'd'}) {
          waiters.push_back(spawn(pass, std::ref(ready), std::ref(order), mark));
          co_await until_parked(waiters.back());
        }
        ready.set();
        for (const task<>& each : waiters) co_await each;
      },
      1);
  EXPECT_EQ(order.text(), "abcd");
}

TEST(Event, Event01_AnEventThatIsSetIsPassedWithoutASuspension) {
  event ready;
  ready.set();
  test::run_test(
      [&]() -> coro<> {
        const test::bystander other;
        co_await ready.wait();
        EXPECT_FALSE(other.has_run());
        co_await other.done();
      },
      1);
}

TEST_P(EventOnEvery, Event01_ALoopOfReadyWaitsIsCancellable) {
  run([]() -> coro<> {
    event ready;
    ready.set();
    std::atomic<int> passed{0};
    const task<> loops = spawn(pass_often, std::ref(ready), std::ref(passed));
    const auto begun = [&] { return passed.load() > 0; };
    co_await test::until(begun);
    loops.cancel();
    co_await until_complete(loops);
    EXPECT_TRUE(loops.cancelled());
  });
}

// ---- EVENT-02 ----------------------------------------------------------------------------------------------------------------

TEST_P(EventOnEvery, Event02_ACancelledWaiterIsRemoved) {
  run([]() -> coro<> {
    for (unsigned which = 0; which < 3; ++which) {
      event ready;
      notes order;
      std::vector<task<>> waiters;
      for (const char mark : {'a', 'b', 'c'}) {
        waiters.push_back(spawn(pass, std::ref(ready), std::ref(order), mark));
        co_await until_parked(waiters.back());
      }
      waiters[which].cancel();
      co_await until_complete(waiters[which]);
      EXPECT_TRUE(waiters[which].cancelled());
      EXPECT_FALSE(ready.is_set());
      ready.set();
      for (const task<>& each : waiters) co_await until_complete(each);
      EXPECT_EQ(order.size(), 2U);
      EXPECT_EQ(order.text().find(static_cast<char>('a' + which)), std::string::npos);
    }
  });
}

/// A request recorded before the released waiter has resumed ends its wait cancelled; the event stays set.
TEST_P(EventOnEvery, Event02_AWaiterReleasedAndCancelledAtOnceEndsCancelled) {
  event ready;
  notes order;
  const auto time = clock().hold();
  const task<> first = rt().spawn(pass, std::ref(ready), std::ref(order), '1');
  run([first]() -> coro<> { co_await until_parked(first); });
  const task<> second = rt().spawn(pass, std::ref(ready), std::ref(order), '2');
  run([second]() -> coro<> { co_await until_parked(second); });
  const gate release;
  occupy(release);
  ready.set();
  EXPECT_TRUE(first.cancel());
  release.open();
  EXPECT_THROW(first.get(), task_cancelled);
  second.get();
  EXPECT_EQ(order.text(), "2");
  EXPECT_TRUE(ready.is_set());
}

// ---- EVENT-03, EVENT-04 ------------------------------------------------------------------------------------------------------

TEST_P(EventOnEvery, Event03_ClearResetsAndSetTwiceIsHarmless) {
  run([]() -> coro<> {
    event ready;
    notes order;
    ready.clear();
    EXPECT_FALSE(ready.is_set());
    ready.set();
    ready.set();
    EXPECT_TRUE(ready.is_set());
    co_await ready.wait();
    ready.clear();
    EXPECT_FALSE(ready.is_set());
    const task<> waiter = spawn(pass, std::ref(ready), std::ref(order), 'w');
    co_await until_parked(waiter);
    EXPECT_EQ(order.text(), "");
    ready.set();
    co_await waiter;
    EXPECT_EQ(order.text(), "w");
  });
}

TEST_P(EventOnEvery, Event04_WhoWaitedAtSetPassesAlthoughClearFollows) {
  run([]() -> coro<> {
    event pulse;
    for (int round = 0; round < 20; ++round) {
      notes order;
      std::vector<task<>> waiters;
      for (const char mark : {'a', 'b', 'c'}) {
        waiters.push_back(spawn(pass, std::ref(pulse), std::ref(order), mark));
        co_await until_parked(waiters.back());
      }
      pulse.set();
      pulse.clear();
      const task<> late = spawn(pass, std::ref(pulse), std::ref(order), 'l');
      for (const task<>& each : waiters) co_await each;
      co_await until_parked(late);
      EXPECT_EQ(order.size(), 3U);
      pulse.set();
      co_await late;
      pulse.clear();
    }
  });
}

/// With one thread nobody comes back between set() and clear().
TEST(Event, Event04_EachPulseReleasesAWaiterOnce) {
  test::run_test(
      []() -> coro<> {
        event pulse;
        std::atomic<int> passed{0};
        std::vector<task<>> waiters;
        for (int i = 0; i < 5; ++i) {
          waiters.push_back(spawn(pass_often, std::ref(pulse), std::ref(passed)));
          co_await until_parked(waiters.back());
        }
        for (int round = 1; round <= 3; ++round) {
          pulse.set();
          pulse.clear();
          for (const task<>& each : waiters) co_await until_parked(each);
          EXPECT_EQ(passed.load(), 5 * round);
        }
        for (const task<>& each : waiters) {
          each.cancel();
          co_await until_complete(each);
        }
      },
      1);
}

// ---- EVENT-05 ----------------------------------------------------------------------------------------------------------------

TEST_P(EventOnEvery, Event05_SetFromAForeignThread) {
  event ready;
  notes order;
  int published = 0;
  const auto time = clock().hold();
  const auto reads = [](event& ready, const int& published, notes& order) -> coro<> {
    co_await ready.wait();
    if (published == 7) order += 'p';
  };
  const task<> waiter = rt().spawn(reads, std::ref(ready), std::cref(published), std::ref(order));
  run([waiter]() -> coro<> { co_await until_parked(waiter); });
  std::thread([&] {
    published = 7;
    ready.set();
  }).join();
  waiter.get();
  rt().spawn(reads, std::ref(ready), std::cref(published), std::ref(order)).get();
  EXPECT_EQ(order.text(), "pp");
}

TEST_P(EventOnEvery, Event05_SetAfterATimerFromADestructorAndFromACallback) {
  struct sets_at_end {
    explicit sets_at_end(event& which) : target(&which) {}
    ~sets_at_end() { target->set(); }
    sets_at_end(const sets_at_end&) = delete;
    sets_at_end& operator=(const sets_at_end&) = delete;
    event* target;
  };
  run([]() -> coro<> {
    event by_timer, by_destructor, by_callback;
    notes order;
    const auto all = [](event& first, event& second, event& third, notes& order) -> coro<> {
      for (event* each : {&first, &second, &third}) {
        co_await each->wait();
        order += '.';
      }
    };
    const task<> waiter = spawn(all, std::ref(by_timer), std::ref(by_destructor), std::ref(by_callback), std::ref(order));
    co_await until_parked(waiter);
    const task<> timer = spawn(
        [](event& ready) -> coro<> {
          co_await sleep_for(1s);
          ready.set();
        },
        std::ref(by_timer));
    co_await timer;
    {
      const auto at_end = std::make_unique<sets_at_end>(by_destructor);
    }
    const gate never;
    const task<> stopped = spawn(
        [](gate never, event& ready) -> coro<> {
          const auto asked = this_task::token().on_cancel([&ready] { ready.set(); });
          co_await never;
        },
        never, std::ref(by_callback));
    co_await until_parked(stopped);
    stopped.cancel();
    co_await waiter;
    co_await until_complete(stopped);
    EXPECT_EQ(order.text(), "...");
  });
}

TEST_P(EventOnEvery, APlainThreadWaitsThroughGet) {
  event ready;
  const entered current = rt().enter();
  const task<> setter = rt().spawn(
      [](event& ready) -> coro<> {
        co_await sleep_for(1h);
        ready.set();
      },
      std::ref(ready));
  EXPECT_TRUE(ready.wait().get());
  EXPECT_TRUE(ready.wait().get());
  setter.get();
}

// ---- races -------------------------------------------------------------------------------------------------------------------

TEST_P(EventOnPools, MtEvent_SetAgainstCancelAndAgainstArrival) {
  const auto time = clock().hold();
  int cancelled_ones = 0;
  for (int round = 0; round < 300; ++round) {
    event ready;
    notes order;
    int published = 0;
    const auto reads = [](event& ready, const int& published) -> coro<int> {
      co_await ready.wait();
      co_return published;
    };
    const task<int> waiting = rt().spawn(reads, std::ref(ready), std::cref(published));
    spin_until([&] { return test::is_parked(waiting); });
    const task<> stopped = rt().spawn(pass, std::ref(ready), std::ref(order), 's');
    spin_until([&] { return test::is_parked(stopped); });
    const task<int> arriving = rt().spawn(reads, std::ref(ready), std::cref(published));
    test::race(
        round, [&] { stopped.cancel(); },
        [&] {
          published = 1;
          ready.set();
        },
        [&] { return !order.empty(); });
    ASSERT_EQ(waiting.get(), 1);
    ASSERT_EQ(arriving.get(), 1);
    spin_until([&] { return stopped.done(); });
    ASSERT_EQ(order.text(), stopped.cancelled() ? "" : "s");
    if (stopped.cancelled()) ++cancelled_ones;
  }
  RecordProperty("cancelled", cancelled_ones);
}

}  // namespace
}  // namespace sheaf
