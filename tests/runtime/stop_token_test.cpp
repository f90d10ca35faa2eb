/// spawn_options::stop and linked_stop_source: what is asked to stop together.
#include <sheaf/stop_token.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include <sheaf/runtime.hpp>
#include <sheaf/task_group.hpp>
#include <sheaf/this_task.hpp>

#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using test::drop_counter;
using test::gate;
using test::until_complete;
using test::until_parked;

SHEAF_ON_EVERY_FLAVOUR(StopTokenOnEvery);

coro<> wait_at(gate at) { co_await at; }

TEST_P(StopTokenOnEvery, AStdStopTokenCancelsTheTaskThatWasGivenIt) {
  run([]() -> coro<> {
    const gate never;
    std::stop_source source;
    const task<> tied = spawn(spawn_options{.stop = source.get_token()}, wait_at, never);
    const task<> free = spawn(wait_at, never);
    co_await until_parked(tied);
    co_await until_parked(free);
    source.request_stop();
    co_await until_complete(tied);
    EXPECT_TRUE(tied.cancelled());
    EXPECT_FALSE(free.done());
    try {
      tied.result();
    } catch (const task_cancelled& error) {
      EXPECT_EQ(error.reason(), "its stop token was requested");
    }
    free.cancel();
    co_await until_complete(free);
  });
}

TEST_P(StopTokenOnEvery, ACancelTokenTiesATaskToAnotherOne) {
  run([]() -> coro<> {
    const gate never, release;
    const auto leader = [](gate never, gate release, task<>& follower) -> coro<> {
      const auto follow = [](gate never, gate release) -> coro<> {
        try {
          co_await never;
        } catch (const cancelled&) {
        }
        co_await release;  // cleaning up: the leader does not wait for it
      };
      follower = spawn(spawn_options{.stop = this_task::token()}, follow, never, release);
      co_await never;
    };
    task<> follower;
    const task<> leading = spawn(leader, never, release, std::ref(follower));
    co_await until_parked(leading);
    co_await until_parked(follower);
    leading.cancel();
    co_await until_complete(leading);
    EXPECT_FALSE(follower.done());
    release.open();
    co_await follower;
  });
}

TEST_P(StopTokenOnEvery, WorkWhoseTokenWasRequestedBeforeNeverStarts) {
  run([]() -> coro<> {
    std::stop_source source;
    source.request_stop();
    int starts = 0;
    const auto counts = [](int& starts, const drop_counter::payload&) -> coro<> {
      ++starts;
      co_return;
    };
    drop_counter counted;
    std::vector<task<>> never;
    for (int i = 0; i < 2; ++i) {
      const std::stop_token token = source.get_token();
      const spawn_options options{.stop = token, .eager = i == 1};
      never.push_back(spawn(options, counts, std::ref(starts), counted.make()));
      never.push_back(spawn(options, [&starts] { ++starts; }));
    }
    never.push_back(spawn_blocking(spawn_options{.stop = source.get_token()}, [&starts] { ++starts; }));
    for (const task<>& each : never) co_await until_complete(each);
    for (const task<>& each : never) EXPECT_TRUE(each.cancelled());
    EXPECT_EQ(starts, 0);
    EXPECT_EQ(counted.alive(), 0);
  });
}

TEST_P(StopTokenOnEvery, AGroupsChildMayHaveOneToo) {
  run([]() -> coro<> {
    std::stop_source source;
    const gate never;
    const auto body = [&](task_group& group) -> coro<> {
      const task<> child = group.spawn(spawn_options{.stop = source.get_token()}, wait_at, never);
      co_await until_parked(child);
      source.request_stop();
    };
    co_await with_task_group(body);
  });
}

/// The token outlives what was tied to it, and keeps nothing of it.
TEST_P(StopTokenOnEvery, TheTieEndsWithTheTask) {
  std::stop_source source;
  run([&]() -> coro<> {
    drop_counter counted;
    const auto returns = [](const drop_counter::payload&) {};
    for (int i = 0; i < 10; ++i) {
      const task<> ends = spawn(spawn_options{.stop = source.get_token()}, returns, counted.make());
      co_await ends;
    }
    EXPECT_EQ(counted.alive(), 0);
  });
  source.request_stop();
}

TEST_P(StopTokenOnEvery, LinkedStopSource) {
  run([]() -> coro<> {
    const gate never;
    std::stop_token seen;
    const auto lends = [](gate never, std::stop_token& seen) -> coro<> {
      const linked_stop_source linked(this_task::token());
      seen = linked.get_token();
      co_await never;
    };
    const task<> lending = spawn(lends, never, std::ref(seen));
    co_await until_parked(lending);
    EXPECT_TRUE(seen.stop_possible());
    EXPECT_FALSE(seen.stop_requested());
    lending.cancel();
    EXPECT_TRUE(seen.stop_requested());
    co_await until_complete(lending);
    const linked_stop_source never_asked{cancel_token()};
    EXPECT_FALSE(never_asked.get_token().stop_requested());
  });
}

SHEAF_ON_NATIVE_POOLS(StopTokenOnPools);

/// Requests while tasks start, wait and end; every one is destroyed once, and none stays.
TEST_P(StopTokenOnPools, RequestedWhileTasksStartAndEnd) {
  for (int round = 0; round < 50; ++round) {
    std::stop_source source;
    const gate never, begun;
    drop_counter counted;
    std::thread stopping([&] {
      begun.wait();
      source.request_stop();
    });
    run([&]() -> coro<> {
      const std::stop_token token = source.get_token();
      std::vector<task<>> all;
      for (int i = 0; i < 20; ++i) {
        const spawn_options options{.stop = token, .eager = i % 5 == 0};
        all.push_back(
            spawn(options, [](gate never, const drop_counter::payload&) -> coro<> { co_await never; }, never, counted.make()));
        all.push_back(spawn(options, [](const drop_counter::payload&) {}, counted.make()));
        if (i == 5) begun.open();
      }
      for (const task<>& each : all) co_await until_complete(each);
    });
    stopping.join();
    EXPECT_EQ(counted.alive(), 0);
  }
}

}  // namespace
}  // namespace sheaf
