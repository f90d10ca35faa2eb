/// Cells of the contract in combinators/README.md that no other test is about.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include <sheaf/cancel_and_join.hpp>
#include <sheaf/cleanup.hpp>
#include <sheaf/race.hpp>
#include <sheaf/this_task.hpp>

#include "support/children.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using test::boom;
using test::gate;
using test::until_complete;
using test::until_parked;
using test::value_at;
using test::waiters_of;

SHEAF_ON_EVERY_FLAVOUR(ContractOnEvery);

/// Starts a task and leaves it running; waits at the gate before it returns.
coro<> starts_one(gate open, std::optional<task<int>>& started, gate wait_at) {
  started.emplace(spawn(value_at(open, 1)));
  co_await wait_at;
}

/// with_cleanup neither stops nor awaits what its phases started, whether it ends with a value or cancelled.
TEST_P(ContractOnEvery, WhatBodyAndCleanupOfWithCleanupStartedGoesOn) {
  run([]() -> coro<> {
    for (const bool is_cancelled : std::vector<bool>{false, true}) {
      const gate open, body_may_end, passed;
      passed.open();
      std::optional<task<int>> by_body, by_cleanup;
      const auto whole = [&]() -> coro<> {
        co_await with_cleanup(starts_one(open, by_body, body_may_end), starts_one(open, by_cleanup, passed));
      };
      const task<> caller = spawn(whole);
      co_await until_parked(caller);
      if (is_cancelled) {
        caller.cancel();
      } else {
        body_may_end.open();
      }
      co_await until_complete(caller);
      EXPECT_EQ(caller.cancelled(), is_cancelled);
      EXPECT_TRUE(by_body.has_value() && by_cleanup.has_value());
      EXPECT_FALSE(by_body->done() || by_cleanup->done());
      open.open();
      EXPECT_EQ(co_await *by_body, 1);
      EXPECT_EQ(co_await *by_cleanup, 1);
    }
  });
}

TEST_P(ContractOnEvery, CancelAndJoinAsksATaskThatIsGivenTwiceOnce) {
  run([]() -> coro<> {
    const gate open;
    std::atomic<int> asked{0};
    const auto counts = [](gate open, std::atomic<int>& asked) -> coro<unsigned> {
      co_await test::pass_stubbornly(open, &asked);
      co_return this_task::cancelling();
    };
    const task<unsigned> target = spawn(counts, open, std::ref(asked));
    co_await until_parked(target);
    const std::vector<task<unsigned>> twice{target, target};
    const task<> joins = spawn(cancel_and_join(twice));
    const auto heard = [&] { return asked.load() != 0; };
    co_await test::until(heard);
    co_await until_parked(joins);
    EXPECT_EQ(waiters_of(target), 1U);
    open.open();
    co_await joins;
    EXPECT_EQ(target.result(), 1U);
  });
}

/// Counts how often it runs, and fails if it was told to.
coro<int> counted(gate open, std::atomic<int>& runs, bool fails) {
  co_await open;
  runs.fetch_add(1);
  if (fails) throw boom(1);
  co_return 1;
}

TEST_P(ContractOnEvery, ACandidateThatIsGivenTwiceRunsOnce) {
  run([]() -> coro<> {
    const gate open;
    open.open();
    std::atomic<int> runs{0};
    const task<int> raced = spawn(counted, open, std::ref(runs), false);
    EXPECT_EQ(co_await race(raced, raced), 1);
    EXPECT_EQ(runs.exchange(0), 1);
    const task<int> succeeds = spawn(counted, open, std::ref(runs), false);
    EXPECT_EQ(co_await first_success(succeeds, succeeds), 1);
    EXPECT_EQ(runs.exchange(0), 1);
    const task<int> fails = spawn(counted, open, std::ref(runs), true);
    std::size_t failures = 0;
    try {
      static_cast<void>(co_await first_success(fails, fails));
    } catch (const exception_group& all) {
      failures = all.errors().size();
    }
    EXPECT_EQ(failures, 2U);  // one for each place
    EXPECT_EQ(runs.load(), 1);
  });
}

}  // namespace
}  // namespace sheaf
