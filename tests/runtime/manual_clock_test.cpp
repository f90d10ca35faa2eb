/// When manual time moves, and when it does not. Activity is played by hand: enter() and leave() as a runtime would call them.
#include <sheaf/clock.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include <sheaf/detail/context.hpp>
#include <sheaf/errors.hpp>

#include "timer_queue.hpp"

namespace sheaf::detail {
namespace {

using namespace std::chrono_literals;

static_assert(!std::is_copy_constructible_v<manual_clock> && !std::is_move_constructible_v<manual_clock>);
static_assert(!std::is_copy_constructible_v<manual_clock::hold_guard> &&
              std::is_nothrow_move_constructible_v<manual_clock::hold_guard>);

/// Runs a function of the test when it fires.
template <class F>
struct calling_timer : timer {
  explicit calling_timer(F f)
      : timer([](timer& self) noexcept { static_cast<calling_timer&>(self).function(); }), function(std::move(f)) {}
  F function;
};

/// A thread running a lambda.
template <class F>
class side_thread {
 public:
  explicit side_thread(F f)
      : function_(std::move(f)), thread_("side", [](void* raw) noexcept { static_cast<side_thread*>(raw)->function_(); }, this) {}
  side_thread(const side_thread&) = delete;
  side_thread& operator=(const side_thread&) = delete;
  ~side_thread() {
    if (thread_.joinable()) thread_.join();
  }
  void join() { thread_.join(); }

 private:
  F function_;
  sync::thread thread_;
};

class ManualClock : public testing::Test {
 protected:
  auto noting(int name) {
    return calling_timer([this, name] { notes_.emplace_back(name, core_.now()); });
  }
  using note = std::pair<int, sync::nanoseconds>;

  manual_clock clock_;
  manual_clock_core& core_ = core_of(clock_);
  timer_queue queue_{{.clock = &core_}};
  std::vector<note> notes_;
};

TEST_F(ManualClock, StartsAtZeroAndStandsStill) {
  EXPECT_EQ(clock_.now(), 0ns);
  EXPECT_EQ(queue_.now(), 0);
}

TEST_F(ManualClock, AdvancesByAnyDuration) {
  clock_.advance(1h);
  EXPECT_EQ(clock_.now(), 1h);
  clock_.advance(0.5s);
  EXPECT_EQ(clock_.now(), 1h + 500ms);
  clock_.advance(0s);
  EXPECT_EQ(clock_.now(), 1h + 500ms);
}

TEST_F(ManualClock, RefusesToRunBackwards) {
  EXPECT_THROW(clock_.advance(-1ns), std::invalid_argument);
  EXPECT_THROW(clock_.advance(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN())), std::invalid_argument);
  EXPECT_EQ(clock_.now(), 0ns);
}

TEST_F(ManualClock, RefusesToAdvanceFromWithinARuntime) {
  context().owner = reinterpret_cast<runtime_core*>(this);
  EXPECT_THROW(clock_.advance(1s), invalid_state);
  context().owner = nullptr;
  context().step = inside::task;
  EXPECT_THROW(clock_.advance(1s), invalid_state);
  context().step = inside::nothing;
  EXPECT_EQ(clock_.now(), 0ns);
}

TEST_F(ManualClock, FiresEveryTimerOnTheWayAtItsOwnInstant) {
  auto a = noting(1), b = noting(2), c = noting(3), d = noting(4);
  queue_.arm(c, 3'600'000'000'000);
  queue_.arm(a, 1);
  queue_.arm(d, 3'600'000'000'001);
  queue_.arm(b, 5'000'000);
  clock_.advance(1h);
  EXPECT_EQ(notes_, (std::vector<note>{{1, 1}, {2, 5'000'000}, {3, 3'600'000'000'000}}));
  EXPECT_EQ(clock_.now(), 1h);
  clock_.advance(1ns);
  EXPECT_EQ(notes_.size(), 4U);
}

TEST_F(ManualClock, FiresWhatATimerArmsOnTheWay) {
  auto second = noting(2);
  auto first = calling_timer([&] {
    notes_.emplace_back(1, core_.now());
    queue_.arm(second, core_.now() + 10);
  });
  queue_.arm(first, 5);
  clock_.advance(14ns);
  EXPECT_EQ(notes_, (std::vector<note>{{1, 5}}));
  clock_.advance(1ns);
  EXPECT_EQ(notes_, (std::vector<note>{{1, 5}, {2, 15}}));
}

TEST_F(ManualClock, FiresDeadlinesOfThePastWithoutMoving) {
  clock_.advance(10ns);
  auto past = noting(1);
  queue_.arm(past, 3);
  clock_.advance(0s);
  EXPECT_EQ(notes_, (std::vector<note>{{1, 10}}));
}

TEST_F(ManualClock, LetsTheWorkOfAnInstantEndBeforeTimeGoesOn) {
  sync::parker work_queued;
  auto first = calling_timer([&] {
    core_.enter();  // posts a work item
    work_queued.signal();
  });
  auto second = noting(2);
  queue_.arm(first, 5);
  queue_.arm(second, 6);
  side_thread worker([&] {
    work_queued.wait();
    notes_.emplace_back(1, core_.now());
    core_.leave();  // goes on with the advance
  });
  clock_.advance(1s);
  worker.join();
  EXPECT_EQ(notes_, (std::vector<note>{{1, 5}, {2, 6}}));
  EXPECT_EQ(clock_.now(), 1s);
}

TEST_F(ManualClock, FiresAllOfAnInstantBeforeItsWorkCanMoveTime) {
  auto first = calling_timer([&] {
    core_.enter();
    core_.leave();  // an inline end of activity within fire: the mover is at work already
    notes_.emplace_back(1, core_.now());
  });
  auto twin = noting(2);
  auto later = noting(3);
  queue_.arm(first, 5);
  queue_.arm(twin, 5);
  queue_.arm(later, 6);
  clock_.advance(1s);
  EXPECT_EQ(notes_, (std::vector<note>{{1, 5}, {2, 5}, {3, 6}}));
}

TEST_F(ManualClock, TellsOnceWhenAllOfAnInstantHasFired) {
  struct telling final : instant_end {
    explicit telling(std::vector<note>& all)
        : instant_end([](instant_end& self) noexcept { static_cast<telling&>(self).notes.emplace_back(9, 0); }), notes(all) {}
    std::vector<note>& notes;
  } end(notes_);
  timer_queue other{{.clock = &core_}};
  auto asks = calling_timer([&] {
    EXPECT_EQ(context().firing, &core_);
    core_.at_end_of_instant(end);
    notes_.emplace_back(1, core_.now());
  });
  auto twin = noting(2);
  auto elsewhere = noting(3);
  auto later = noting(4);
  queue_.arm(asks, 5);
  queue_.arm(twin, 5);
  other.arm(elsewhere, 5);
  queue_.arm(later, 6);
  clock_.advance(1s);
  EXPECT_EQ(notes_, (std::vector<note>{{1, 5}, {2, 5}, {3, 5}, {9, 0}, {4, 6}}));
  EXPECT_EQ(context().firing, nullptr);
}

TEST_F(ManualClock, WaitsForActivityBeforeItAdvances) {
  core_.enter();
  auto entry = noting(1);
  sync::parker advancing;
  side_thread advancer([&] {
    advancing.signal();
    clock_.advance(1s);
  });
  advancing.wait();
  EXPECT_EQ(clock_.now(), 0ns);
  queue_.arm(entry, 5);
  EXPECT_EQ(clock_.now(), 0ns);
  core_.leave();
  advancer.join();
  EXPECT_EQ(notes_, (std::vector<note>{{1, 5}}));
  EXPECT_EQ(clock_.now(), 1s);
}

TEST_F(ManualClock, ServesSeveralAdvancesAtOnce) {
  core_.enter();
  side_thread first([&] { clock_.advance(2s); });
  side_thread second([&] { clock_.advance(1s); });
  core_.leave();
  first.join();
  second.join();
  EXPECT_GE(clock_.now(), 2s);
  EXPECT_LE(clock_.now(), 3s);
}

// ---- waiters

/// A wait that a timer ends, as get_for() does.
struct timed_wait {
  explicit timed_wait(manual_clock_core& core, bool counted = false)
      : end([this, &core] {
          core.end_wait(waiter);
          parker.signal();
        }) {
    waiter.parker = &parker;
    waiter.items = counted ? 1 : 0;
    end_timer = std::make_unique<calling_timer<std::function<void()>>>(end);
  }
  sync::parker parker;
  clock_waiter waiter;
  std::function<void()> end;
  std::unique_ptr<calling_timer<std::function<void()>>> end_timer;
};

TEST_F(ManualClock, MovesToTheNextDeadlineWhileAThreadWaits) {
  timed_wait wait(core_);
  queue_.arm(*wait.end_timer, 1'000'000'000);
  auto before = noting(1);
  auto after = noting(2);
  queue_.arm(before, 400);
  queue_.arm(after, 1'000'000'001);
  EXPECT_EQ(clock_.now(), 0ns);
  core_.begin_wait(wait.waiter);
  EXPECT_TRUE(wait.parker.signalled());
  EXPECT_EQ(wait.waiter.told, 0U);
  EXPECT_EQ(clock_.now(), 1s);
  EXPECT_EQ(notes_, (std::vector<note>{{1, 400}})) << "nobody waits any more: time stops";
  EXPECT_TRUE(queue_.disarm(after));
}

TEST_F(ManualClock, DoesNotMoveWhileThereIsActivity) {
  core_.enter();
  core_.call_out();
  timed_wait wait(core_);
  queue_.arm(*wait.end_timer, 10);
  core_.begin_wait(wait.waiter);
  EXPECT_EQ(clock_.now(), 0ns);
  core_.leave();
  EXPECT_EQ(clock_.now(), 0ns);
  core_.call_back();
  EXPECT_EQ(clock_.now(), 10ns);
  EXPECT_TRUE(wait.parker.signalled());
}

TEST_F(ManualClock, DoesNotCountAWorkItemThatWaits) {
  core_.enter();  // what this thread runs
  timed_wait wait(core_, true);
  queue_.arm(*wait.end_timer, 10);
  timed_wait other(core_);
  queue_.arm(*other.end_timer, 20);
  core_.begin_wait(other.waiter);
  EXPECT_EQ(clock_.now(), 0ns);
  core_.begin_wait(wait.waiter);
  EXPECT_EQ(clock_.now(), 10ns) << "woken, it counts again";
  EXPECT_TRUE(wait.parker.signalled());
  EXPECT_FALSE(other.parker.signalled());
  core_.leave();
  EXPECT_EQ(clock_.now(), 20ns);
  EXPECT_TRUE(other.parker.signalled());
}

TEST_F(ManualClock, ForgetsAWaitThatEndedBeforeItBegan) {
  core_.enter();
  timed_wait wait(core_, true);
  EXPECT_FALSE(core_.end_wait(wait.waiter));
  core_.begin_wait(wait.waiter);
  auto entry = noting(1);
  queue_.arm(entry, 5);
  EXPECT_FALSE(core_.end_wait(wait.waiter));
  EXPECT_EQ(clock_.now(), 0ns);
  core_.leave();
  EXPECT_TRUE(notes_.empty()) << "nobody waits";
  EXPECT_TRUE(queue_.disarm(entry));
}

TEST_F(ManualClock, EndsAWaitOnce) {
  core_.enter();
  clock_waiter waiter;
  sync::parker parker;
  waiter.parker = &parker;
  core_.begin_wait(waiter);
  EXPECT_TRUE(core_.end_wait(waiter));
  EXPECT_FALSE(core_.end_wait(waiter));
  core_.leave();
  EXPECT_FALSE(parker.signalled());
}

TEST_F(ManualClock, ForgetsTheWaitsOfARuntimeThatIsLeftBehind) {
  core_.enter(2);
  sync::atomic<bool> left_behind{false}, other{false};
  sync::parker told_parker, stays_parker;
  clock_waiter told, stays;
  told.parker = &told_parker;
  told.items = 1;
  told.forgotten = &left_behind;
  stays.parker = &stays_parker;
  stays.forgotten = &other;
  core_.begin_wait(stays);
  core_.begin_wait(told);
  left_behind.store(true);
  core_.forget(left_behind);
  EXPECT_EQ(told.told, clock_waiter::k_look);
  EXPECT_TRUE(told_parker.signalled());
  EXPECT_FALSE(core_.end_wait(told));
  core_.leave();
  EXPECT_FALSE(stays_parker.signalled()) << "who was told counts again";
  core_.leave();
  EXPECT_EQ(stays.told, clock_waiter::k_stuck);

  sync::parker late_parker;
  clock_waiter late;
  late.parker = &late_parker;
  late.forgotten = &left_behind;
  core_.begin_wait(late);
  EXPECT_EQ(late.told, clock_waiter::k_look);
  EXPECT_FALSE(core_.end_wait(late));
}

// ---- holds

TEST_F(ManualClock, StandsStillWhileHeld) {
  timed_wait wait(core_);
  queue_.arm(*wait.end_timer, 10);
  {
    auto hold = clock_.hold();
    auto second = clock_.hold();
    core_.begin_wait(wait.waiter);
    EXPECT_EQ(clock_.now(), 0ns);
    auto moved = std::move(second);
    second = std::move(moved);
    EXPECT_EQ(clock_.now(), 0ns);
  }
  EXPECT_EQ(clock_.now(), 10ns);
  EXPECT_TRUE(wait.parker.signalled());
}

TEST_F(ManualClock, AdvancesUnderAHold) {
  const auto hold = clock_.hold();
  timed_wait wait(core_);
  queue_.arm(*wait.end_timer, 10);
  core_.begin_wait(wait.waiter);
  clock_.advance(9ns);
  EXPECT_FALSE(wait.parker.signalled());
  clock_.advance(1ns);
  EXPECT_TRUE(wait.parker.signalled());
  EXPECT_EQ(clock_.now(), 10ns);
}

TEST_F(ManualClock, ReportsNoDeadlockWhileHeld) {
  clock_waiter waiter;
  sync::parker parker;
  waiter.parker = &parker;
  {
    const auto hold = clock_.hold();
    core_.begin_wait(waiter);
    clock_.advance(1s);
    EXPECT_FALSE(parker.signalled());
  }
  EXPECT_TRUE(parker.signalled());
  EXPECT_EQ(waiter.told, clock_waiter::k_stuck);
}

// ---- deadlock

TEST_F(ManualClock, TellsAWaiterThatNothingCanEverMove) {
  clock_waiter waiter;
  sync::parker parker;
  waiter.parker = &parker;
  core_.begin_wait(waiter);
  EXPECT_TRUE(parker.signalled());
  EXPECT_EQ(waiter.told, clock_waiter::k_stuck);
  EXPECT_FALSE(core_.end_wait(waiter));
}

TEST_F(ManualClock, TellsTheLatestWaiterFirstAndLetsItGoOn) {
  core_.enter();
  sync::parker plain_parker, task_parker;
  clock_waiter plain, in_task;
  plain.parker = &plain_parker;
  in_task.parker = &task_parker;
  in_task.items = 1;
  core_.begin_wait(plain);
  core_.begin_wait(in_task);
  EXPECT_EQ(in_task.told, clock_waiter::k_stuck);
  EXPECT_TRUE(task_parker.signalled());
  EXPECT_FALSE(plain_parker.signalled()) << "the work item goes on: it may still end the other wait";
  core_.leave();
  EXPECT_EQ(plain.told, clock_waiter::k_stuck);
  EXPECT_TRUE(plain_parker.signalled());
}

/// A slow thread in run() may begin to wait after the task that it started does.
TEST_F(ManualClock, TellsAWaitInATaskBeforeALaterOneOutside) {
  core_.enter();
  core_.enter();
  sync::parker plain_parker, task_parker;
  clock_waiter plain, in_task;
  plain.parker = &plain_parker;
  in_task.parker = &task_parker;
  in_task.items = 1;
  core_.begin_wait(in_task);
  core_.begin_wait(plain);
  core_.leave();
  EXPECT_EQ(in_task.told, clock_waiter::k_stuck);
  EXPECT_FALSE(plain_parker.signalled());
  core_.leave();
  EXPECT_EQ(plain.told, clock_waiter::k_stuck);
}

TEST_F(ManualClock, TellsNobodyWhileADeadlineRemains) {
  clock_waiter waiter;
  sync::parker parker;
  waiter.parker = &parker;
  auto entry = calling_timer([&] { EXPECT_EQ(waiter.told, 0U); });
  queue_.arm(entry, 5);
  core_.begin_wait(waiter);
  EXPECT_EQ(clock_.now(), 5ns) << "only after the last timer had fired in vain";
  EXPECT_EQ(waiter.told, clock_waiter::k_stuck);
}

// ---- several runtimes

TEST_F(ManualClock, InterleavesTheDeadlinesOfAllItsQueues) {
  timer_queue other({.clock = &core_});
  auto a = noting(1), b = noting(2), c = noting(3), d = noting(4);
  other.arm(d, 30);
  queue_.arm(c, 30);
  other.arm(b, 20);
  queue_.arm(a, 10);
  clock_.advance(1s);
  EXPECT_EQ(notes_, (std::vector<note>{{1, 10}, {2, 20}, {3, 30}, {4, 30}}));
}

TEST_F(ManualClock, ForgetsAQueueThatStopped) {
  auto entry = noting(1);
  {
    timer_queue other({.clock = &core_});
    other.arm(entry, 5);
    other.stop();
    clock_.advance(10ns);
    EXPECT_TRUE(other.disarm(entry));
  }
  clock_.advance(10ns);
  EXPECT_TRUE(notes_.empty());
}

TEST_F(ManualClock, KeepsAQueueUntilItsFiringHasEnded) {
  sync::parker firing, go_on;
  sync::atomic<bool> stopped{false};
  bool stopped_while_firing = true;
  auto other = std::make_unique<timer_queue>(timer_queue::options{.clock = &core_});
  auto entry = calling_timer([&] {
    firing.signal();
    go_on.wait();
    // order: acquire; peer: release below.
    stopped_while_firing = stopped.load(sync::acquire);
  });
  other->arm(entry, 5);
  side_thread advancer([&] { clock_.advance(10ns); });
  firing.wait();
  side_thread stopper([&] {
    other->stop();
    // order: release; peer: acquire above.
    stopped.store(true, sync::release);
  });
  go_on.signal();
  stopper.join();
  EXPECT_FALSE(stopped_while_firing);
  other.reset();
  advancer.join();
  EXPECT_EQ(clock_.now(), 10ns);
}

// ---- races

TEST_F(ManualClock, LosesNoMoveBetweenThreadsThatWaitAndLeave) {
  constexpr int k_threads = 4, k_rounds = 300;
  struct sleeper {
    manual_clock_core* core;
    timer_queue* queue;
    bool counted;
    int deadlocks = 0;
    bool early = false;
  };
  const auto sleep_often = [](void* raw) noexcept {
    auto& me = *static_cast<sleeper*>(raw);
    std::mt19937 random(me.counted ? 1 : 2);
    for (int i = 0; i < k_rounds; ++i) {
      if (me.counted) me.core->enter();
      timed_wait wait(*me.core, me.counted);
      const auto deadline = me.core->now() + static_cast<sync::nanoseconds>(random() % 50);
      me.queue->arm(*wait.end_timer, deadline);
      me.core->begin_wait(wait.waiter);
      wait.parker.wait();
      me.deadlocks += wait.waiter.told != 0;
      me.early |= me.core->now() < deadline;
      if (me.queue->disarm(*wait.end_timer)) me.deadlocks += 1000;
      if (me.counted) me.core->leave();
    }
  };
  std::vector<std::unique_ptr<sleeper>> sleepers;
  std::vector<sync::thread> threads;
  for (int i = 0; i < k_threads; ++i) {
    sleepers.push_back(std::make_unique<sleeper>(sleeper{&core_, &queue_, i % 2 == 0}));
    threads.emplace_back("sleeper", sleep_often, sleepers.back().get());
  }
  for (auto& thread : threads) thread.join();
  for (const auto& each : sleepers) {
    EXPECT_EQ(each->deadlocks, 0);
    EXPECT_FALSE(each->early);
  }
}

}  // namespace
}  // namespace sheaf::detail
