/// task::on_done and remove_done.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <sheaf/sheaf.hpp>

#include "support/children.hpp"
#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/notes.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::drop_counter;
using test::gate;
using test::notes;
using test::until_complete;

SHEAF_ON_EVERY_FLAVOUR(OnDoneOnEvery);
SHEAF_ON_NATIVE_POOLS(OnDoneOnPools);

coro<int> value_at(gate open, int value) {
  co_await open;
  co_return value;
}
coro<int> failure_at(gate open) {
  co_await open;
  throw std::runtime_error("no value");
}

/// In a task: until nothing else is alive in its runtime.
coro<> until_alone() {
  while (runtime::current()->tasks().size() > 1) co_await this_task::yield();
}

TEST_P(OnDoneOnEvery, Fut07_CalledOnceWithTheTaskOrWithNothing) {
  run([]() -> coro<> {
    const gate open;
    std::atomic<int> with_task{0}, with_nothing{0}, erased{0};
    const task<int> target = spawn(value_at, open, 7);
    const any_task any = target;
    target.on_done([&with_task](const task<int>& ended) { with_task.fetch_add(ended.result()); });
    target.on_done([&with_nothing] { with_nothing.fetch_add(1); });
    any.on_done([&erased](const any_task& ended) { erased.fetch_add(ended.status() == task_status::succeeded ? 1 : 0); });
    EXPECT_EQ(with_task.load() + with_nothing.load() + erased.load(), 0);
    open.open();
    co_await until_alone();
    EXPECT_EQ(with_task.load(), 7);
    EXPECT_EQ(with_nothing.load(), 1);
    EXPECT_EQ(erased.load(), 1);
  });
}

TEST_P(OnDoneOnEvery, Fut07_CalledAfterAnErrorAndAfterACancelToo) {
  run([]() -> coro<> {
    const gate open, never;
    std::atomic<int> failed{0}, cancelled{0};
    const task<int> fails = spawn(failure_at, open);
    const task<int> stopped = spawn(value_at, never, 1);
    fails.on_done([&failed](const task<int>& ended) { failed.fetch_add(ended.exception() != nullptr ? 1 : 0); });
    stopped.on_done([&cancelled](const task<int>& ended) { cancelled.fetch_add(ended.cancelled() ? 1 : 0); });
    open.open();
    stopped.cancel();
    co_await until_alone();
    EXPECT_EQ(failed.load(), 1);
    EXPECT_EQ(cancelled.load(), 1);
  });
}

/// One worker calls them in the order of their registration, and none within the end of the task or within on_done().
TEST_P(OnDoneOnEvery, Fut07_InOrderAndNeverInPlace) {
  run([this]() -> coro<> {
    const gate open;
    notes order;
    const task<int> target = spawn(value_at, open, 1);
    target.on_done([&order] { order += 'a'; });
    target.on_done([&order] { order += 'b'; });
    target.on_done([&order] { order += 'c'; });
    open.open();
    co_await until_complete(target);
    target.on_done([&order] { order += 'd'; });
    if (one_thread()) EXPECT_EQ(order.text().find('d'), std::string::npos);
    co_await until_alone();
    EXPECT_EQ(order.text().size(), 4U);
    if (one_thread()) EXPECT_EQ(order.text(), "abcd");
  });
}

TEST_P(OnDoneOnEvery, Fut08_AddedToADoneTaskItIsStillCalledOnce) {
  run([]() -> coro<> {
    const task<int> target = spawn([] { return 5; });
    co_await until_complete(target);
    std::atomic<int> sum{0};
    const callback_id late = target.on_done([&sum](const task<int>& ended) { sum.fetch_add(ended.result()); });
    co_await until_alone();
    EXPECT_EQ(sum.load(), 5);
    EXPECT_FALSE(target.remove_done(late));
  });
}

TEST_P(OnDoneOnEvery, Fut09_ARemovedOneIsNotCalledAndTheOthersAre) {
  drop_counter drops;
  run([&drops]() -> coro<> {
    const gate open;
    std::atomic<int> calls{0};
    const task<int> target = spawn(value_at, open, 1);
    const task<int> other = spawn(value_at, open, 2);
    const auto add = [&](int weight) {
      return target.on_done(
          [&calls, weight, held = std::make_shared<drop_counter::payload>(drops.make())] { calls.fetch_add(weight); });
    };
    const callback_id first = add(1), second = add(10), third = add(100);
    EXPECT_NE(first, second);
    EXPECT_FALSE(other.remove_done(second));
    EXPECT_FALSE(target.remove_done(callback_id()));
    EXPECT_TRUE(target.remove_done(second));
    EXPECT_FALSE(target.remove_done(second));
    while (drops.alive() != 2) co_await this_task::yield();  // not kept until the task's end
    EXPECT_FALSE(target.remove_done(second));
    EXPECT_EQ(test::waiters_of(target), 2U);
    open.open();
    co_await until_alone();
    EXPECT_EQ(calls.load(), 101);
    EXPECT_FALSE(target.remove_done(first));
    EXPECT_FALSE(target.remove_done(third));
  });
  EXPECT_EQ(drops.drops(), 3);
}

TEST_P(OnDoneOnEvery, Fut11_AThrowingOneIsReportedAndDisturbsNobody) {
  test::unobserved_errors errors;
  start(errors.options());
  run([]() -> coro<> {
    const gate open;
    std::atomic<int> calls{0};
    const task<int> target = spawn(value_at, open, 3);
    target.on_done([&calls] { calls.fetch_add(1); });
    const callback_id throws = target.on_done([] { throw std::runtime_error("callback"); });
    target.on_done([] { throw 1; });
    target.on_done([&calls] { calls.fetch_add(1); });
    open.open();
    co_await until_alone();
    EXPECT_EQ(calls.load(), 2);
    EXPECT_EQ(target.result(), 3);
  });
  destroy_runtime();
  EXPECT_EQ(errors.count(), 2);
}

/// A callback that does not look at the outcome is no observer; one that does is.
TEST_P(OnDoneOnEvery, Mt51_AFailureIsReportedUnlessACallbackLooksAtIt) {
  for (const bool looks : {false, true}) {
    test::unobserved_errors errors;
    start(errors.options());
    run([looks]() -> coro<> {
      const gate open;
      task<int> target = spawn(failure_at, open);
      target.on_done([looks](const task<int>& ended) {
        if (looks) EXPECT_NE(ended.exception(), nullptr);
      });
      target = {};
      open.open();
      co_await until_alone();
    });
    destroy_runtime();
    EXPECT_EQ(errors.count(), looks ? 0 : 1);
  }
}

TEST_P(OnDoneOnEvery, Mt52_ACallbackMayCancelSpawnAddAndDropTheLastHandle) {
  drop_counter drops;
  run([&drops]() -> coro<> {
    const gate open;
    const auto spawned = std::make_shared<std::atomic<int>>(0);
    auto held = std::make_shared<task<drop_counter::payload>>();
    const auto makes = [](gate open, drop_counter& drops) -> coro<drop_counter::payload> {
      co_await open;
      co_return drops.make();
    };
    *held = spawn(makes, open, std::ref(drops));
    held->on_done([held, spawned] {
      EXPECT_FALSE(held->cancel());
      spawn([](const std::shared_ptr<std::atomic<int>>& count) { count->fetch_add(1); }, spawned);
      held->on_done([spawned] { spawned->fetch_add(10); });
      *held = {};
    });
    held.reset();
    open.open();
    co_await until_alone();
    EXPECT_EQ(spawned->load(), 11);
  });
  EXPECT_EQ(drops.drops(), 1);
}

/// It is called in a task of its own, which cancelling does not keep from it.
TEST_P(OnDoneOnEvery, ShutdownCallsWhatIsRegistered) {
  drop_counter drops;
  std::atomic<int> calls{0};
  const gate never;
  const task<int> target = rt().spawn(value_at, never, 1);
  const task<int> done = rt().spawn([] { return 1; });
  done.get();
  target.on_done([&calls, held = std::make_shared<drop_counter::payload>(drops.make())](const task<int>& ended) {
    calls.fetch_add(ended.cancelled() ? 1 : 0);
  });
  rt().shutdown();
  EXPECT_EQ(calls.load(), 1);
  EXPECT_EQ(drops.alive(), 0);
  const auto late = [&target] { target.on_done([] { ADD_FAILURE() << "called"; }); };
  EXPECT_THROW(late(), runtime_closed);
  destroy_runtime();
  EXPECT_THROW(late(), runtime_closed);
  EXPECT_THROW(done.on_done([] {}), runtime_closed);
  EXPECT_THROW(task<int>().on_done([] {}), invalid_state);
}

/// A function that takes the task has a handle: whoever awaits the task by value shares the value. Others leave it alone.
TEST_P(OnDoneOnEvery, OnlyAFunctionThatTakesTheTaskCountsAsAHandle) {
  run([]() -> coro<> {
    const gate open;
    const auto boxed = [](gate open) -> coro<std::unique_ptr<int>> {
      co_await open;
      co_return std::make_unique<int>(4);
    };
    task<std::unique_ptr<int>> alone = spawn(boxed, open);
    alone.on_done([] {});
    task<std::unique_ptr<int>> shared = spawn(boxed, open);
    const callback_id looks = shared.on_done([](const task<std::unique_ptr<int>>& ended) { EXPECT_EQ(*ended.result(), 4); });
    open.open();
    EXPECT_EQ(*co_await std::move(alone), 4);
    EXPECT_EQ(*co_await shared, 4);
    co_await until_alone();
  });
}

// ---- races -------------------------------------------------------------------------------------------------------------------

/// MT-01, MT-51: callbacks come and go while the task ends; each is called or removed, never both, and destroyed once.
TEST_P(OnDoneOnPools, Mt51_AddedAndRemovedWhileTheTaskEnds) {
  runtime& pool = start({}, false);
  drop_counter drops;
  int made = 0;
  for (int round = 0; round < 200; ++round) {
    const gate open;
    std::atomic<int> calls{0};
    const task<int> target = pool.spawn(value_at, open, 1);
    int removed = 0;
    constexpr int k_callbacks = 6;
    std::vector<callback_id> ids;
    for (int i = 0; i < k_callbacks; ++i) {
      if (i == 3) open.open();
      ids.push_back(
          target.on_done([&calls, held = std::make_shared<drop_counter::payload>(drops.make())] { calls.fetch_add(1); }));
      ++made;
      if (i % 2 == 1) removed += target.remove_done(ids[static_cast<std::size_t>(i - 1)]) ? 1 : 0;
    }
    std::thread remover([&] { removed += target.remove_done(ids.back()) ? 1 : 0; });
    const bool mine = target.remove_done(ids.back());
    remover.join();
    removed += mine ? 1 : 0;
    static_cast<void>(target.get());
    test::spin_until([&] { return drops.drops() == made; });
    EXPECT_EQ(calls.load() + removed, k_callbacks);
  }
}

TEST_P(OnDoneOnPools, AddedWhileTheRuntimeShutsDown) {
  for (int round = 0; round < 50; ++round) {
    drop_counter drops;
    std::atomic<int> calls{0};
    int accepted = 0;
    const gate never;
    std::optional<runtime> pool(std::in_place, runtime_options{.workers = 2});
    const task<int> target = pool->spawn(value_at, never, 1);
    std::thread adds([&] {
      try {
        for (int i = 0; i < 1000; ++i) {
          target.on_done([&calls, held = std::make_shared<drop_counter::payload>(drops.make())] { calls.fetch_add(1); });
          ++accepted;
        }
      } catch (const runtime_closed&) {
      }
    });
    pool.reset();
    adds.join();
    EXPECT_EQ(calls.load(), accepted);
    EXPECT_EQ(drops.alive(), 0);
  }
}

/// A callback is a live task that tasks() lists; somebody who looks at all of them removes none.
TEST_P(OnDoneOnEvery, GatheringAllTasksLeavesCallbacksInPlace) {
  run([]() -> coro<> {
    const gate open;
    std::atomic<int> calls{0};
    const task<int> target = spawn(value_at, open, 1);
    target.on_done([&calls] { calls.fetch_add(1); });
    std::vector<any_task> others;
    for (const any_task& each : runtime::current()->tasks()) {
      if (each != this_task::handle()) others.push_back(each);
    }
    EXPECT_EQ(others.size(), 2U);
    open.open();
    co_await gather(others);
    EXPECT_EQ(calls.load(), 1);
  });
}

/// A task that was complete when it was made, and so never started, belongs to its runtime as any other.
TEST_P(OnDoneOnEvery, AGatherOfWhatHasEndedCallsToo) {
  test::unobserved_errors errors;
  start(errors.options());
  run([]() -> coro<> {
    std::atomic<int> sum{0};
    const task<int> ended = spawn([] { return 5; });
    const task<int> failed = spawn([]() -> int { throw std::runtime_error("lost"); });
    co_await until_complete(ended);
    co_await until_complete(failed);
    const auto all = gather(ended, ended);
    EXPECT_TRUE(all.done());
    all.on_done([&sum](const auto& both) { sum.fetch_add(std::get<0>(both.result()) + std::get<1>(both.result())); });
    co_await until_alone();
    EXPECT_EQ(sum.load(), 10);
    static_cast<void>(gather(ended, failed));
  });
  EXPECT_EQ(errors.count(), 1);
}

}  // namespace
}  // namespace sheaf
