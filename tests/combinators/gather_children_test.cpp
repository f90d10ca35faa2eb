/// What gather takes as a child: a handle given in several times, a future, and everything that it starts itself.
#include <sheaf/gather.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include <sheaf/as_completed.hpp>
#include <sheaf/cancel_token.hpp>
#include <sheaf/future.hpp>
#include <sheaf/this_task.hpp>
#include <sheaf/wait.hpp>

#include "support/children.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using test::boom;
using test::boom_number;
using test::gate;
using test::until_complete;
using test::until_parked;
using test::value_at;
using test::waiters_of;

SHEAF_ON_EVERY_FLAVOUR(GatherChildrenOnEvery);

coro<int> ready(int value) { co_return value; }

TEST_P(GatherChildrenOnEvery, Gather08_TheSameHandleThreeTimesRunsOnceAndStandsThreeTimes) {
  run([]() -> coro<> {
    int runs = 0;
    const gate open;
    const task<int> child = spawn(
        [](gate open, int& runs) -> coro<int> {
          co_await open;
          co_return ++runs;
        },
        open, std::ref(runs));
    auto all = gather(child, child, child);
    EXPECT_EQ(waiters_of(child), 3U);
    open.open();
    EXPECT_EQ(co_await all, std::make_tuple(1, 1, 1));
    EXPECT_EQ(runs, 1);
    const std::vector<task<int>> twice{child, child};
    const std::vector<int> got_1 = co_await gather(twice);
    EXPECT_EQ(got_1, (std::vector<int>{1, 1}));
  });
}

TEST_P(GatherChildrenOnEvery, Gather08_ItsOutcomeStandsThreeTimesToo) {
  run([]() -> coro<> {
    std::atomic<int> runs{0};
    const gate open;
    const auto fails = [](gate open, std::atomic<int>& runs) -> coro<int> {
      co_await open;
      throw boom(runs.fetch_add(1) + 1);
    };
    const task<int> failing = spawn(fails, open, std::ref(runs));
    const task<int> giving = spawn(value_at(open, 2));
    auto all = gather(return_exceptions, failing, giving, failing, giving, failing);
    EXPECT_EQ(waiters_of(failing), 3U);
    EXPECT_EQ(waiters_of(giving), 2U);
    open.open();
    const auto& [first, second, third, fourth, fifth] = co_await all;
    EXPECT_EQ(boom_number(first.error()), 1);
    EXPECT_EQ(second.value(), 2);
    EXPECT_EQ(third.error(), first.error());  // the same object
    EXPECT_EQ(fourth.value(), 2);
    EXPECT_EQ(fifth.error(), first.error());
    EXPECT_EQ(runs.load(), 1);
    const std::vector<task<int>> twice{failing, failing};
    const std::vector<outcome<int>> both = co_await gather(return_exceptions, twice);
    EXPECT_EQ(both.size(), 2U);
    EXPECT_EQ(both.at(1).error(), failing.exception());
  });
}

/// Also of many: each handle that was given in goes, so the result goes with the last of them.
TEST_P(GatherChildrenOnEvery, Gather08_NoHandleOfADuplicateStays) {
  run([]() -> coro<> {
    std::weak_ptr<int> watched;
    {
      const auto value = std::make_shared<int>(0);
      watched = value;
      const auto gives = [value] { return value; };
      const task<std::shared_ptr<int>> one = spawn(gives);
      const task<std::shared_ptr<int>> two = spawn(gives);
      for (const std::size_t copies : std::vector<std::size_t>{1, 20}) {
        std::vector<task<std::shared_ptr<int>>> given(copies, one);
        given.insert(given.end(), copies, two);
        static_cast<void>(co_await as_completed(given).next());
        static_cast<void>(co_await wait(given));
        static_cast<void>(co_await gather(given));
      }
    }
    while (!watched.expired()) co_await this_task::yield();  // for ever, if a handle is left somewhere
  });
}

TEST_P(GatherChildrenOnEvery, Gather09_CoroutinesTasksGathersAndCallables) {
  run([]() -> coro<> {
    const gate open;
    const task<int> running = spawn(value_at(open, 2));
    auto inner = gather(value_at(open, 3), value_at(open, 4));
    auto all = gather(
        value_at(open, 1), running, std::move(inner), [] { return 5; }, [](const cancel_token&) { return 6; },
        [] { return ready(7); });
    open.open();
    EXPECT_EQ(co_await std::move(all), std::make_tuple(1, 2, std::make_tuple(3, 4), 5, 6, 7));
    EXPECT_EQ(running.result(), 2);
  });
}

/// A future is no child: gather counts and cancels tasks, and a future has no task. A coroutine that awaits it stands for it; moved in,
/// the future is owned, and a cancelled gather tells its promise.
TEST_P(GatherChildrenOnEvery, Gather09_AFutureIsAwaitedByACoroutine) {
  run([]() -> coro<> {
    const auto reads = [](future<int> only) -> coro<int> { co_return co_await std::move(only); };
    promise<int> wanted;
    auto all = gather(reads(wanted.get_future()), [] { return 2; });
    wanted.set_value(1);
    EXPECT_EQ(co_await std::move(all), std::make_tuple(1, 2));

    promise<int> unwanted;
    const task<int> reader = spawn(reads(unwanted.get_future()));
    co_await until_parked(reader);  // unrun, it would drop the future and tell nobody
    const task<std::tuple<int>> given_up = gather(reader);
    EXPECT_TRUE(given_up.cancel());
    co_await until_complete(given_up);
    EXPECT_TRUE(given_up.cancelled());
    EXPECT_TRUE(unwanted.done());
    EXPECT_FALSE(unwanted.try_set_value(1));
  });
}

}  // namespace
}  // namespace sheaf
