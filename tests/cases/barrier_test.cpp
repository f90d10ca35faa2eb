/// BARRIER: a number of tasks meet.
#include <sheaf/barrier.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include <sheaf/errors.hpp>
#include <sheaf/runtime.hpp>
#include <sheaf/this_task.hpp>

#include "cases/race.hpp"
#include "support/children.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/run_test.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::gate;
using test::spin_until;
using test::until_complete;
using test::until_parked;

SHEAF_ON_EVERY_FLAVOUR(BarrierOnEvery);
SHEAF_ON_NATIVE_POOLS(BarrierOnPools);

/// The index, or -1 when the barrier broke.
coro<int> meet(barrier& at) {
  try {
    co_return static_cast<int>(co_await at.wait());
  } catch (const broken_barrier&) {
  }
  co_return -1;
}

/// A runtime of one thread that does nothing until its gate opens, so that what was released on it does not resume.
class stopped_runtime {
 public:
  [[nodiscard]] task<int> spawn_parked(barrier& at) {
    task<int> made = runtime_.spawn(meet, std::ref(at));
    spin_until([&] { return test::is_parked(made); });
    return made;
  }
  void stop() {
    std::atomic<bool> busy{false};
    occupying_ = runtime_.spawn(
        [](gate until, std::atomic<bool>& busy) {
          busy.store(true);
          until.wait();
        },
        go_on_, std::ref(busy));
    spin_until([&] { return busy.load(); });
  }
  void go_on() {
    go_on_.open();
    occupying_.get();
  }

 private:
  runtime runtime_{{.workers = 1}};
  gate go_on_;
  task<> occupying_;
};

// ---- BARRIER-01 --------------------------------------------------------------------------------------------------------------

TEST(Barrier, Barrier01_FewerThanOnePartyIsRefusedByName) {
  EXPECT_THROW(barrier(0), std::invalid_argument);
  try {
    const barrier made(-3);
    ADD_FAILURE();
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("-3"), std::string::npos);
  }
  const barrier three(3);
  EXPECT_EQ(three.parties(), 3U);
  EXPECT_EQ(three.waiting(), 0U);
  EXPECT_FALSE(three.is_broken());
}

TEST_P(BarrierOnEvery, Barrier01_NobodyPassesBeforeAllHaveComeAndEachHasAnIndex) {
  run([]() -> coro<> {
    barrier at(4);
    for (int round = 0; round < 3; ++round) {
      std::vector<task<int>> parties;
      for (int i = 0; i < 3; ++i) {
        parties.push_back(spawn(meet, std::ref(at)));
        co_await until_parked(parties.back());
        EXPECT_EQ(at.waiting(), static_cast<std::size_t>(i + 1));
      }
      EXPECT_EQ(co_await at.wait(), 3U);
      EXPECT_EQ(at.waiting(), 0U);
      for (int i = 0; i < 3; ++i) EXPECT_EQ(co_await parties[static_cast<std::size_t>(i)], i);
    }
  });
}

TEST(Barrier, Barrier01_OnePartyNeverBlocks) {
  barrier alone(1);
  test::run_test(
      [&]() -> coro<> {
        const test::bystander other;
        EXPECT_EQ(co_await alone.wait(), 0U);
        EXPECT_EQ(co_await alone.wait(), 0U);
        EXPECT_FALSE(other.has_run());
        co_await other.done();
      },
      1);
}

TEST_P(BarrierOnEvery, Barrier01_ALoopOfOnePartyIsCancellable) {
  run([]() -> coro<> {
    barrier alone(1);
    this_task::handle().cancel();
    bool delivered = false;
    for (int i = 0; i < 1000 && !delivered; ++i) {
      try {
        co_await alone.wait();
      } catch (const cancelled&) {
        delivered = true;
      }
    }
    this_task::uncancel();
    EXPECT_TRUE(delivered);
    EXPECT_EQ(co_await alone.wait(), 0U);
  });
}

/// The first party of a round has been released and cannot resume: the next round may fill, but not trip.
TEST_P(BarrierOnEvery, Barrier01_NewcomersWaitWhileTheLastRoundDrains) {
  const auto time = clock().hold();
  stopped_runtime elsewhere;
  barrier at(2);
  const task<int> slow = elsewhere.spawn_parked(at);
  elsewhere.stop();
  EXPECT_EQ(rt().spawn(meet, std::ref(at)).get(), 1);
  std::vector<task<int>> next;
  for (int i = 0; i < 3; ++i) {
    next.push_back(rt().spawn(meet, std::ref(at)));
    run([last = next.back()]() -> coro<> { co_await until_parked(last); });
  }
  EXPECT_EQ(at.waiting(), 3U);
  elsewhere.go_on();
  EXPECT_EQ(slow.get(), 0);
  EXPECT_EQ(next[0].get(), 0);
  EXPECT_EQ(next[1].get(), 1);
  EXPECT_EQ(at.waiting(), 1U);
  EXPECT_EQ(rt().spawn(meet, std::ref(at)).get(), 1);
  EXPECT_EQ(next[2].get(), 0);
}

// ---- BARRIER-02 --------------------------------------------------------------------------------------------------------------

TEST_P(BarrierOnEvery, Barrier02_ACancelledPartyLeavesAndAnotherFillsItsPlace) {
  run([]() -> coro<> {
    for (std::size_t which = 0; which < 2; ++which) {
      barrier at(3);
      std::vector<task<int>> parties;
      for (int i = 0; i < 2; ++i) {
        parties.push_back(spawn(meet, std::ref(at)));
        co_await until_parked(parties.back());
      }
      parties[which].cancel();
      co_await until_complete(parties[which]);
      EXPECT_TRUE(parties[which].cancelled());
      EXPECT_EQ(at.waiting(), 1U);
      EXPECT_FALSE(at.is_broken());
      const task<int> instead = spawn(meet, std::ref(at));
      co_await until_parked(instead);
      EXPECT_EQ(at.waiting(), 2U);
      EXPECT_EQ(co_await at.wait(), 2U);
      EXPECT_EQ(co_await parties[1 - which], 0);
      EXPECT_EQ(co_await instead, 1);
    }
  });
}

/// Its wait ends cancelled. The round is complete all the same, and the next one can be.
TEST_P(BarrierOnEvery, Barrier02_APartyReleasedAndCancelledAtOnceHoldsNobodyBack) {
  const auto time = clock().hold();
  stopped_runtime elsewhere;
  barrier at(2);
  const task<int> slow = elsewhere.spawn_parked(at);
  elsewhere.stop();
  EXPECT_EQ(rt().spawn(meet, std::ref(at)).get(), 1);
  EXPECT_TRUE(slow.cancel());
  elsewhere.go_on();
  EXPECT_THROW(slow.get(), task_cancelled);
  const task<int> again = rt().spawn(meet, std::ref(at));
  run([again]() -> coro<> { co_await until_parked(again); });
  EXPECT_EQ(rt().spawn(meet, std::ref(at)).get(), 1);
  EXPECT_EQ(again.get(), 0);
}

// ---- BARRIER-04 --------------------------------------------------------------------------------------------------------------

TEST_P(BarrierOnEvery, Barrier04_AfterAbortEveryWaitFailsUntilReset) {
  run([]() -> coro<> {
    barrier at(3);
    const task<int> first = spawn(meet, std::ref(at));
    co_await until_parked(first);
    const task<int> second = spawn(meet, std::ref(at));
    co_await until_parked(second);
    at.abort();
    EXPECT_TRUE(at.is_broken());
    EXPECT_EQ(co_await first, -1);
    EXPECT_EQ(co_await second, -1);
    EXPECT_EQ(co_await meet(at), -1);
    EXPECT_EQ(at.waiting(), 0U);
    at.abort();
    EXPECT_EQ(co_await spawn(meet, std::ref(at)), -1);
    at.reset();
    EXPECT_FALSE(at.is_broken());
    const task<int> third = spawn(meet, std::ref(at));
    co_await until_parked(third);
    const task<int> fourth = spawn(meet, std::ref(at));
    co_await until_parked(fourth);
    EXPECT_EQ(co_await at.wait(), 2U);
    EXPECT_EQ(co_await third, 0);
    EXPECT_EQ(co_await fourth, 1);
  });
}

TEST_P(BarrierOnEvery, Barrier04_ResetFailsThoseWhoWaitAndNobodyElse) {
  run([]() -> coro<> {
    barrier at(2);
    at.reset();
    const task<int> old = spawn(meet, std::ref(at));
    co_await until_parked(old);
    at.reset();
    EXPECT_FALSE(at.is_broken());
    const task<int> fresh = spawn(meet, std::ref(at));
    EXPECT_EQ(co_await old, -1);
    co_await until_parked(fresh);
    EXPECT_EQ(at.waiting(), 1U);
    EXPECT_EQ(co_await at.wait(), 1U);
    EXPECT_EQ(co_await fresh, 0);
  });
}

/// Some of a round have gone on, one has been released but has not resumed, others wait for the next round.
TEST_P(BarrierOnEvery, Barrier04_AbortWhileARoundDrainsFailsWhoHasNotResumed) {
  const auto time = clock().hold();
  for (const bool only_reset : {false, true}) {
    stopped_runtime elsewhere;
    barrier at(2);
    const task<int> slow = elsewhere.spawn_parked(at);
    elsewhere.stop();
    EXPECT_EQ(rt().spawn(meet, std::ref(at)).get(), 1);
    const task<int> early = rt().spawn(meet, std::ref(at));
    run([early]() -> coro<> { co_await until_parked(early); });
    at.abort();
    EXPECT_EQ(early.get(), -1);
    task<int> fresh;
    if (only_reset) {
      at.reset();
      fresh = rt().spawn(meet, std::ref(at));
      run([fresh]() -> coro<> { co_await until_parked(fresh); });
    } else {
      EXPECT_EQ(rt().spawn(meet, std::ref(at)).get(), -1);
    }
    elsewhere.go_on();
    EXPECT_EQ(slow.get(), -1);
    if (only_reset) {
      EXPECT_EQ(rt().spawn(meet, std::ref(at)).get(), 1);
      EXPECT_EQ(fresh.get(), 0);
    }
  }
}

TEST_P(BarrierOnEvery, Barrier04_CancelBeatsAbort) {
  const auto time = clock().hold();
  stopped_runtime elsewhere;
  barrier at(2);
  const task<int> slow = elsewhere.spawn_parked(at);
  elsewhere.stop();
  at.abort();
  slow.cancel();
  elsewhere.go_on();
  EXPECT_THROW(slow.get(), task_cancelled);
  at.reset();
  const task<int> first = rt().spawn(meet, std::ref(at));
  run([first]() -> coro<> { co_await until_parked(first); });
  EXPECT_EQ(rt().spawn(meet, std::ref(at)).get(), 1);
  EXPECT_EQ(first.get(), 0);
}

TEST_P(BarrierOnEvery, APlainThreadMeetsThroughGet) {
  const auto time = clock().hold();
  const entered current = rt().enter();
  barrier at(2);
  const task<int> first = rt().spawn(meet, std::ref(at));
  run([first]() -> coro<> { co_await until_parked(first); });
  EXPECT_EQ(at.wait().get(), 1U);
  EXPECT_EQ(first.get(), 0);
  at.abort();
  EXPECT_THROW(at.wait().get(), broken_barrier);
}

// ---- races -------------------------------------------------------------------------------------------------------------------

/// Nobody is in round r + 1 before all have been in round r.
TEST_P(BarrierOnPools, MtBarrier_RoundsDoNotOverlap) {
  static constexpr int k_parties = 6, k_rounds = 200;
  barrier at(k_parties);
  std::array<std::atomic<int>, k_rounds> been{};
  std::array<std::atomic<int>, k_rounds> indices{};
  const auto party = [](barrier& at, std::array<std::atomic<int>, k_rounds>& been,
                        std::array<std::atomic<int>, k_rounds>& indices) -> coro<> {
    for (std::size_t round = 0; round < k_rounds; ++round) {
      been[round].fetch_add(1);
      const std::size_t index = co_await at.wait();
      EXPECT_EQ(been[round].load(), k_parties);
      indices[round].fetch_add(1 << (4 * index));
    }
  };
  run([&]() -> coro<> {
    std::vector<task<>> all;
    for (int i = 0; i < k_parties; ++i) all.push_back(spawn(party, std::ref(at), std::ref(been), std::ref(indices)));
    for (const task<>& each : all) co_await each;
  });
  for (const auto& each : indices) EXPECT_EQ(each.load(), 0x111111);
}

TEST_P(BarrierOnPools, MtBarrier_CancelAgainstTheLastParty) {
  const auto time = clock().hold();
  int cancelled_ones = 0, cancelled_after_release = 0;
  for (int round = 0; round < 300; ++round) {
    barrier at(2);
    const task<int> first = rt().spawn(meet, std::ref(at));
    spin_until([&] { return test::is_parked(first); });
    task<int> last;
    test::race(
        round, [&] { first.cancel(); },
        [&] {
          last = rt().spawn(meet, std::ref(at));
          spin_until([&] { return last.done() || first.done(); });
        },
        [&] { return first.done(); });
    spin_until([&] { return first.done(); });
    if (first.cancelled()) {
      ++cancelled_ones;
      // Either it left in time and the last one waits for another, or the round was complete.
      spin_until([&] { return last.done() || test::is_parked(last); });
      if (!last.done()) {
        ASSERT_EQ(rt().spawn(meet, std::ref(at)).get(), 1);
        ASSERT_EQ(last.get(), 0);
      } else {
        ++cancelled_after_release;
        ASSERT_EQ(last.get(), 1);
      }
    } else {
      ASSERT_EQ(first.get(), 0);
      ASSERT_EQ(last.get(), 1);
    }
    ASSERT_EQ(at.waiting(), 0U);
  }
  RecordProperty("cancelled", cancelled_ones);
  RecordProperty("cancelled_after_release", cancelled_after_release);
}

TEST_P(BarrierOnPools, MtBarrier_AbortAgainstTheLastParty) {
  const auto time = clock().hold();
  int broken = 0;
  for (int round = 0; round < 300; ++round) {
    barrier at(2);
    const task<int> first = rt().spawn(meet, std::ref(at));
    spin_until([&] { return test::is_parked(first); });
    task<int> last;
    test::race(
        round, [&] { at.abort(); },
        [&] {
          last = rt().spawn(meet, std::ref(at));
          spin_until([&] { return last.done(); });
        },
        [&] { return first.done(); });
    const int one = first.get(), other = last.get();
    ASSERT_TRUE(one == -1 || one == 0);
    ASSERT_TRUE(other == -1 || other == 1);
    if (one == -1) ++broken;
    ASSERT_EQ(at.waiting(), 0U);
    at.reset();
    const task<int> again = rt().spawn(meet, std::ref(at));
    spin_until([&] { return test::is_parked(again); });
    ASSERT_EQ(rt().spawn(meet, std::ref(at)).get(), 1);
    ASSERT_EQ(again.get(), 0);
  }
  RecordProperty("broken", broken);
}

/// As many as are needed have come while those of the last round were still leaving: the last of these lets them pass.
TEST_P(BarrierOnEvery, WhoComesWhileOthersLeavePassesWhenTheyHaveLeft) {
  run([]() -> coro<> {
    barrier two(2);
    const auto waits = [&two]() -> coro<> { co_await two.wait(); };
    const spawn_options eager{.eager = true};
    const auto brings_two = [&two, &waits, &eager]() -> coro<> {
      co_await two.wait();
      // On one worker, before the one that came first has run.
      const task<> third = spawn(eager, waits), fourth = spawn(eager, waits);
      co_await third;
      co_await fourth;
    };
    const task<> first = spawn(waits);
    co_await until_parked(first);
    const task<> second = spawn(brings_two);
    co_await second;
    co_await first;
    EXPECT_EQ(two.waiting(), 0U);
  });
}

}  // namespace
}  // namespace sheaf
