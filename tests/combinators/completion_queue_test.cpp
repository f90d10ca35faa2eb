/// completion_queue: tasks are added at any time and come out as they complete.
#include <sheaf/completion_queue.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <vector>

#include <sheaf/this_task.hpp>

#include "support/children.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::gate;
using test::until_complete;
using test::until_parked;
using test::value_after;
using test::value_at;
using test::waiters_of;

SHEAF_ON_EVERY_FLAVOUR(QueueOnEvery);

TEST_P(QueueOnEvery, AQueueTakesTasksAtAnyTimeAndEndsWhenNothingIsOutstanding) {
  run([]() -> coro<> {
    completion_queue<int> queue;
    EXPECT_TRUE(queue.empty());
    const auto nothing = co_await queue.next();
    EXPECT_FALSE(nothing.has_value());
    queue.add(spawn(value_after(2s, 2)));
    queue.add(spawn(value_after(1s, 1)));
    EXPECT_EQ(queue.size(), 2U);
    std::vector<int> values;
    while (auto next = co_await queue.next()) {
      const int value = next->result();
      values.push_back(value);
      if (value < 4) queue.add(spawn(value_after(1500ms, value + 2)));
    }
    EXPECT_EQ(values, (std::vector<int>{1, 2, 3, 4, 5}));
    EXPECT_EQ(queue.size(), 0U);
  });
}

TEST_P(QueueOnEvery, AQueueGivesWhatIsDoneWithoutWaiting) {
  run([]() -> coro<> {
    const gate open;
    completion_queue<int> queue;
    const task<int> slow = spawn(value_at(open, 1));
    queue.add(slow);
    EXPECT_FALSE(queue.try_next().has_value());
    const task<int> done = spawn([] { return 2; });
    co_await until_complete(done);
    queue.add(done);
    EXPECT_EQ(queue.size(), 2U);
    EXPECT_EQ(queue.try_next(), done);
    EXPECT_FALSE(queue.try_next().has_value());
    open.open();
    const auto next = co_await queue.next();
    EXPECT_EQ(next, slow);
    EXPECT_TRUE(queue.empty());
    queue.add(done);  // a task may come again
    const auto again = co_await queue.next();
    EXPECT_EQ(again, done);
    EXPECT_THROW(queue.add(task<int>()), invalid_state);
    EXPECT_TRUE(queue.empty());
  });
}

TEST_P(QueueOnEvery, WhoWaitsInAQueueComesBeforeWhoTries) {
  run([]() -> coro<> {
    const gate open;
    completion_queue<int> queue;
    queue.add(spawn(value_at(open, 1)));
    const auto waiting = spawn([&]() -> coro<std::optional<task<int>>> { co_return co_await queue.next(); });
    co_await until_parked(waiting);
    open.open();
    while (!waiting.done()) {
      EXPECT_FALSE(queue.try_next().has_value());
      co_await this_task::yield();
    }
    EXPECT_EQ(waiting.result()->result(), 1);
  });
}

TEST_P(QueueOnEvery, AConsumerOfAQueueSeesWhatIsAddedWhileItWaits) {
  run([]() -> coro<> {
    const gate first, second;
    completion_queue<int> queue;
    queue.add(spawn(value_at(first, 1)));
    const auto waiting = spawn([&]() -> coro<std::optional<task<int>>> { co_return co_await queue.next(); });
    co_await until_parked(waiting);
    const task<int> later = spawn(value_at(second, 2));
    queue.add(later);
    second.open();
    const auto& got = co_await waiting;
    EXPECT_EQ(got, later);
    EXPECT_EQ(queue.size(), 1U);
    first.open();
    const auto rest = co_await queue.next();
    EXPECT_EQ(rest->result(), 1);
  });
}

TEST_P(QueueOnEvery, ATaskIsInSeveralQueuesAndStreamsAtOnce) {
  run([]() -> coro<> {
    const gate open;
    const task<int> child = spawn(value_at(open, 1));
    const std::vector<task<int>> given{child};
    completion_queue<int> one;
    completion_queue<any_result> two;
    one.add(child);
    one.add(child);
    two.add(child);
    auto stream = as_completed(given);
    EXPECT_EQ(waiters_of(child), 4U);
    open.open();
    const auto from_one = co_await one.next();
    EXPECT_EQ(from_one, child);
    const auto from_two = co_await two.next();
    EXPECT_EQ(from_two, any_task(child));
    const auto from_stream = co_await stream.next();
    EXPECT_EQ(from_stream, child);
    const auto twice = co_await one.next();
    EXPECT_EQ(twice, child);
    EXPECT_EQ(co_await child, 1);
  });
}

TEST_P(QueueOnEvery, ADroppedQueueLeavesItsTasksRunningAndUnregistered) {
  run([]() -> coro<> {
    const gate open;
    const task<int> child = spawn(value_at(open, 1));
    for (int i = 0; i < 20; ++i) {
      completion_queue<int> queue;
      queue.add(child);
      EXPECT_EQ(waiters_of(child), 1U);
    }
    EXPECT_EQ(waiters_of(child), 0U);
    open.open();
    EXPECT_EQ(co_await child, 1);
  });
}

TEST_P(QueueOnEvery, AQueueFromAPlainThread) {
  const entered here = rt().enter();
  completion_queue<int> queue;
  queue.add(spawn(value_after(2s, 2)));
  queue.add(spawn(value_after(1s, 1)));
  EXPECT_EQ(queue.next().get()->result(), 1);
  EXPECT_EQ(queue.next().get()->result(), 2);
  EXPECT_FALSE(queue.next().get().has_value());
}

}  // namespace
}  // namespace sheaf
