/// The narrow moments of what wait, as_completed and completion_queue share: a task that is done and not handed over yet, and a
/// consumer that is cancelled after it was given something.
#include <sheaf/detail/completion_core.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include <sheaf/completion_queue.hpp>
#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>
#include <sheaf/wait.hpp>

#include "support/children.hpp"
#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::boom_at;
using test::gate;
using test::until_complete;
using test::until_parked;
using test::value_at;
using tasks = std::vector<task<int>>;

SHEAF_ON_EVERY_FLAVOUR(CompletionOnEvery);
SHEAF_ON_NATIVE_POOLS(CompletionOnPools);

// ---- done, and not handed over yet ---------------------------------------------------------------------------------------------

/// The first waiter of a task. It keeps the completing thread, which has published the outcome, from the waiters behind it.
class obstacle final : public detail::waiter_node {
 public:
  explicit obstacle(const task<int>& at) : waiter_node(&met) { EXPECT_TRUE(detail::task_access::core(at).waiters.add(*this)); }
  void reached() const { reached_.wait(); }
  void remove() const { removed_.open(); }

 private:
  static void met(waiter_node& node, detail::outcome_kind) noexcept {
    const auto& self = static_cast<obstacle&>(node);
    const gate removed = self.removed_;
    self.reached_.open();
    removed.wait();
  }
  gate reached_, removed_;
};

/// A child whose only worker stands before an obstacle: done, and no set or stream behind the obstacle has been told.
class half_completed {
 public:
  template <class Child>
  half_completed(manual_clock& clock, Child child)
      : elsewhere_({.workers = 1, .clock = &clock}), child_(elsewhere_.spawn(child(open_, 7))) {
    obstacle_.emplace(child_);
  }
  ~half_completed() {
    open_.open();
    obstacle_->remove();
  }
  [[nodiscard]] const task<int>& child() const noexcept { return child_; }
  void complete() {
    open_.open();
    obstacle_->reached();
    EXPECT_TRUE(child_.done());
  }
  void hand_over() {
    obstacle_->remove();
    const task<> behind = elsewhere_.spawn([] {});
    test::spin_until([&] { return behind.done(); });
  }

 private:
  gate open_;
  std::optional<obstacle> obstacle_;
  runtime elsewhere_;
  task<int> child_;
};

/// publish outcome | poll | tell waiters
TEST_P(CompletionOnEvery, APollOfASetSeesATaskThatIsDoneAndHasNotToldItsWaiters) {
  for (const wait_mode mode : {first_completed, all_completed}) {
    half_completed half(clock(), value_at);
    run([&]() -> coro<> {
      const gate never;
      const tasks given{spawn(value_at(never, 1)), half.child(), spawn(value_at(never, 2))};
      task_set<int> pending(given);
      half.complete();
      const tasks done = co_await wait(pending, {.timeout = 0s, .return_when = mode});
      EXPECT_EQ(done, tasks{given[1]});
      EXPECT_EQ(pending.size(), 2U);
      half.hand_over();  // what was taken early does not come again
      const tasks none = co_await wait(pending, {.timeout = 0s});
      EXPECT_TRUE(none.empty());
      never.open();
      const tasks rest = co_await wait(pending);
      EXPECT_EQ(rest, (tasks{given[0], given[2]}));
    });
  }
}

TEST_P(CompletionOnEvery, APollForAFailureSeesOneThatHasNotToldItsWaiters) {
  half_completed half(clock(), boom_at);
  run([&]() -> coro<> {
    const gate never;
    const tasks given{spawn(value_at(never, 1)), half.child()};
    auto [done, pending] = co_await wait(given, {.timeout = 0s});
    EXPECT_TRUE(done.empty());
    half.complete();
    const tasks failed = co_await wait(pending, {.timeout = 0s, .return_when = first_exception});
    EXPECT_EQ(failed, tasks{given[1]});
    EXPECT_EQ(test::boom_number(given[1].exception()), 7);
    never.open();
    const tasks rest = co_await wait(pending, {.return_when = first_exception});
    EXPECT_EQ(rest, tasks{given[0]});
  });
}

TEST_P(CompletionOnEvery, AStreamThatPollsSeesATaskThatIsDoneAndHasNotToldItsWaiters) {
  half_completed half(clock(), value_at);
  run([&]() -> coro<> {
    const gate never;
    const tasks given{spawn(value_at(never, 1)), half.child()};
    auto stream = as_completed(given, 0s);
    half.complete();
    const auto next = co_await stream.next();
    EXPECT_EQ(next, given[1]);
    half.hand_over();
    EXPECT_THROW(static_cast<void>(co_await stream.next()), timeout_error);
    EXPECT_EQ(stream.unfinished(), tasks{given[0]});
    never.open();
    co_await until_complete(given[0]);
  });
}

/// publish outcome | poll, drop the set | tell waiters: the node outlives the set.
TEST_P(CompletionOnEvery, ASetThatPolledMayGoBeforeItsTasksTellTheirWaiters) {
  for (const bool taken : {true, false}) {
    half_completed half(clock(), value_at);
    run([&]() -> coro<> {
      const task<> parent = spawn([&]() -> coro<> {
        task_set<int> pending(tasks{half.child()});
        half.complete();
        if (!taken) this_task::handle().cancel();
        for (int i = 0; i < 1000; ++i) static_cast<void>(co_await wait(pending, {.timeout = 0s}));
      });
      co_await until_complete(parent);
      EXPECT_EQ(parent.cancelled(), !taken);
    });
  }
}

/// publish outcome | poll | tell waiters: a node of its own, which goes when it is popped, is not ready before its push.
TEST_P(CompletionOnEvery, APollLeavesANodeOutsideTheArrayToItsPush) {
  half_completed half(clock(), value_at);
  run([&]() -> coro<> {
    const detail::completion_owner core(detail::completion_core::make(0));
    detail::task_core& child = detail::task_access::core(half.child());
    child.state.add_handle();
    core->add(child);
    half.complete();
    const wait_options at_once{.timeout = 0s, .return_when = first_completed};
    co_await detail::set_wait(core.get(), at_once);
    EXPECT_EQ(core->ready(), 0U);
    half.hand_over();
    EXPECT_EQ(core->ready(), 1U);
  });
}

/// drop the stream | the last child tells its waiters: what the stream held of the others goes with it, not with that child.
TEST_P(CompletionOnEvery, AStreamLetsGoOfReadyTasksAtOnce) {
  test::drop_counter drops;
  half_completed half(clock(), value_at);
  run([&]() -> coro<> {
    std::vector<any_task> given{half.child(), spawn([&drops] { return drops.make(); })};
    co_await until_complete(given[1]);
    {
      const auto stream = as_completed(std::move(given));
      half.complete();
      EXPECT_EQ(drops.alive(), 1);
    }
    EXPECT_EQ(drops.alive(), 0);
    half.hand_over();
  });
}

/// A done task is in every snapshot, whatever its completing thread is about to do.
TEST_P(CompletionOnPools, ATaskThatIsDoneIsInEverySnapshot) {
  run([]() -> coro<> {
    for (int round = 0; round < 200; ++round) {
      const gate open;
      const tasks given{spawn(value_at(open, 1))};
      task_set<int> registered_before(given);
      auto stream = as_completed(given, 0s);
      const task<> opener = spawn([](const gate& open) { open.open(); }, open);
      while (!given[0].done()) co_await this_task::yield();
      const tasks before = co_await wait(registered_before, {.timeout = 0s});
      EXPECT_EQ(before, given);
      auto [after, pending] = co_await wait(given, {.timeout = 0s});
      EXPECT_EQ(after, given);
      completion_queue<int> queue;
      queue.add(given[0]);
      EXPECT_EQ(queue.try_next(), given[0]);
      const auto next = co_await stream.next();
      EXPECT_EQ(next, given[0]);
      co_await opener;
    }
  });
}

// ---- given, and cancelled before it resumed ------------------------------------------------------------------------------------

coro<std::optional<task<int>>> next_of(completion_stream<int>& stream) { co_return co_await stream.next(); }

/// Asks for the next item with a cancel request pending and its share of ready awaits used up: what it is granted at once it has
/// to yield with, and comes back to as a cancelled task.
coro<> next_and_cancelled(auto& from, task<int> done) {
  this_task::handle().cancel();
  for (int i = 0; i < 127; ++i) co_await done;
  static_cast<void>(co_await from.next());
}

coro<int> ready(int value) { co_return value; }

/// The deadline is granted to a consumer that is cancelled before it resumes: the timeout is raised at the next next(), once.
TEST_P(CompletionOnEvery, ATimeoutGrantedToACancelledConsumerIsRaisedAtTheNextNext) {
  run([]() -> coro<> {
    const gate open;
    const task<int> done = spawn(ready(0));
    co_await until_complete(done);
    const tasks given{spawn(value_at(open, 1))};
    auto stream = as_completed(given, 0s);
    for (int i = 0; i < 3; ++i) {
      const task<> consumer = spawn(next_and_cancelled(stream, done));
      co_await until_complete(consumer);
      EXPECT_TRUE(consumer.cancelled());
    }
    EXPECT_THROW(static_cast<void>(co_await stream.next()), timeout_error);
    const auto end = co_await stream.next();
    EXPECT_FALSE(end.has_value());
    EXPECT_EQ(stream.unfinished(), given);
    open.open();
    co_await until_complete(given[0]);
  });
}

/// Timer of the canceller | timer of the first consumer, which is granted the timeout | canceller runs | first consumer resumes.
/// Until then nobody may be told the end; then the second consumer is told of the timeout, and only it.
TEST_P(CompletionOnEvery, ATimeoutGrantedToACancelledConsumerGoesToTheNextThatWaits) {
  run([]() -> coro<> {
    const gate open;
    const tasks given{spawn(value_at(open, 1))};
    auto stream = as_completed(given, 1s);
    std::vector<task<std::optional<task<int>>>> consumers;
    const task<> canceller = spawn([&]() -> coro<> {
      co_await sleep_for(1s);
      consumers[0].cancel();
    });
    co_await until_parked(canceller);
    for (int i = 0; i < 3; ++i) {
      consumers.push_back(spawn(next_of(stream)));
      co_await until_parked(consumers.back());
    }
    int timeouts = 0, ends = 0, cancelled_ones = 0;
    for (const auto& each : consumers) {
      co_await test::join(each);
      if (each.cancelled()) {
        ++cancelled_ones;
      } else if (each.exception() != nullptr) {
        ++timeouts;
      } else {
        EXPECT_FALSE(each.result().has_value());
        ++ends;
      }
    }
    co_await canceller;
    EXPECT_EQ(timeouts, 1);
    EXPECT_EQ(ends + cancelled_ones, 2);
    EXPECT_EQ(stream.unfinished(), given);
    open.open();
    co_await until_complete(given[0]);
    const auto end = co_await stream.next();
    EXPECT_FALSE(end.has_value());
  });
}

/// The same on real threads: whoever wins, one of the two consumers is told of the timeout.
TEST_P(CompletionOnPools, ACancelAgainstTheLimitLosesNoTimeout) {
  const auto held = clock().hold();
  rt();
  int cancelled_ones = 0;
  for (int round = 0; round < 100; ++round) {
    const gate open;
    const tasks given{rt().spawn(value_at(open, 1))};
    std::optional<completion_stream<int>> stream;
    run([&]() -> coro<> {
      stream.emplace(as_completed(given, 1s));
      co_return;
    });
    const auto first = rt().spawn(next_of(*stream));
    test::spin_until([&] { return test::is_parked(first) && open.parked() == 1; });
    const auto second = rt().spawn(next_of(*stream));
    test::spin_until([&] { return test::is_parked(second); });
    {
      test::racing_threads race;
      race.add([this] { clock().advance(1s); });
      race.add([first] { first.cancel(); });
      race.go();
    }
    run(until_complete(first));
    run(until_complete(second));
    const auto told = [](const auto& consumer) { return !consumer.cancelled() && consumer.exception() != nullptr; };
    EXPECT_FALSE(second.cancelled());
    EXPECT_NE(told(first), told(second));
    if (first.cancelled()) ++cancelled_ones;
    open.open();
    given[0].get();
  }
  RecordProperty("cancelled", cancelled_ones);
}

/// first and second are granted | both have been cancelled: first gives its item back, then second does.
TEST_P(CompletionOnEvery, ItemsThatComeBackKeepCompletionOrder) {
  run([]() -> coro<> {
    const task<int> done = spawn(ready(0));
    co_await until_complete(done);
    tasks given;
    for (int i = 0; i < 5; ++i) {
      given.push_back(spawn(ready(i)));
      co_await until_complete(given.back());
    }
    completion_queue<int> queue;
    for (const int i : {3, 1, 4, 0, 2}) queue.add(given[static_cast<std::size_t>(i)]);
    std::vector<task<>> consumers;
    for (int i = 0; i < 3; ++i) consumers.push_back(spawn(next_and_cancelled(queue, done)));
    for (const task<>& each : consumers) {
      co_await until_complete(each);
      EXPECT_TRUE(each.cancelled());
    }
    EXPECT_EQ(queue.size(), 5U);
    std::vector<int> order;
    while (auto next = queue.try_next()) order.push_back(next->result());
    EXPECT_EQ(order, (std::vector<int>{3, 1, 4, 0, 2}));
  });
}

// ---- looking while others take -------------------------------------------------------------------------------------------------

/// unfinished() against consumers and completing threads: each list is a part of the input, in its order, and never grows.
TEST_P(CompletionOnPools, TheListOfTheUnfinishedMayBeAskedForWhileOthersTake) {
  run([]() -> coro<> {
    for (int round = 0; round < 20; ++round) {
      const gate open;
      tasks given;
      for (int i = 0; i < 50; ++i) given.push_back(spawn(value_at(open, i)));
      auto stream = as_completed(given);
      const auto drains = [](completion_stream<int>& stream) -> coro<> {
        while (auto next = co_await stream.next()) static_cast<void>(next->result());
      };
      const auto looks = [](completion_stream<int>& stream) {
        for (std::size_t before = stream.unfinished().size(); before != 0;) {
          const tasks left = stream.unfinished();
          EXPECT_LE(left.size(), before);
          EXPECT_TRUE(std::ranges::is_sorted(left, {}, [](const task<int>& each) { return each.id(); }));
          before = left.size();
        }
      };
      const std::vector<task<>> others{spawn(drains, std::ref(stream)), spawn(drains, std::ref(stream)),
                                       spawn_blocking(looks, std::ref(stream))};
      open.open();
      for (const task<>& each : others) co_await each;
    }
  });
}

}  // namespace
}  // namespace sheaf
