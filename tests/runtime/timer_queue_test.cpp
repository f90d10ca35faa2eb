/// Deadlines: the queue by hand on a manual clock, and its thread on the steady one.
#include "timer_queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include <sheaf/clock.hpp>

namespace sheaf::detail {
namespace {

constexpr sync::nanoseconds k_millisecond = 1'000'000;

/// Counts its firings, and calls on.
struct counted_timer : timer {
  counted_timer() : timer(&count) {}
  static void count(timer& self) noexcept { static_cast<counted_timer&>(self).fired.fetch_add(1, sync::relaxed); }
  sync::atomic<int> fired{0};
};

/// Writes its name into a list.
struct noting_timer : timer {
  explicit noting_timer(std::vector<int>& notes, int n) : timer(&note), list(&notes), name(n) {}
  static void note(timer& self) noexcept {
    auto& mine = static_cast<noting_timer&>(self);
    mine.list->push_back(mine.name);
  }
  std::vector<int>* list;
  int name;
};

// ---- by hand

class TimerQueueByHand : public testing::Test {
 protected:
  manual_clock clock_;
  timer_queue queue_{{.clock = &core_of(clock_)}};
  std::vector<int> notes_;
};

TEST_F(TimerQueueByHand, FiresWhatIsDueInDeadlineOrder) {
  noting_timer a(notes_, 3), b(notes_, 1), c(notes_, 2), d(notes_, 4);
  queue_.arm(a, 3 * k_millisecond);
  queue_.arm(b, 1 * k_millisecond);
  queue_.arm(c, 1 * k_millisecond + 1);
  queue_.arm(d, 4 * k_millisecond);
  EXPECT_FALSE(queue_.fire_due(k_millisecond - 1));
  EXPECT_TRUE(queue_.fire_due(3 * k_millisecond));
  EXPECT_EQ(notes_, (std::vector{1, 2, 3}));
  EXPECT_EQ(queue_.next_deadline(), 4 * k_millisecond);
  EXPECT_TRUE(queue_.disarm(d));
}

TEST_F(TimerQueueByHand, FiresEqualDeadlinesInArmingOrder) {
  std::vector<std::unique_ptr<noting_timer>> timers;
  std::vector<int> expected;
  for (int i = 0; i < 100; ++i) {
    timers.push_back(std::make_unique<noting_timer>(notes_, i));
    expected.push_back(i);
    queue_.arm(*timers.back(), 7 * k_millisecond);
  }
  queue_.fire_due(7 * k_millisecond);
  EXPECT_EQ(notes_, expected);
}

TEST_F(TimerQueueByHand, FiresDeadlinesOfThePastBeforeThoseOfThePresent) {
  ASSERT_FALSE(queue_.fire_due(10 * k_millisecond));
  noting_timer present(notes_, 3), past(notes_, 2), before_time(notes_, 1);
  queue_.arm(present, 10 * k_millisecond);
  queue_.arm(past, 0);
  queue_.arm(before_time, -5);
  EXPECT_EQ(queue_.next_deadline(), -5);
  queue_.fire_due(10 * k_millisecond);
  EXPECT_EQ(notes_, (std::vector{1, 2, 3}));
}

TEST_F(TimerQueueByHand, SaysWhetherADisarmCameInTime) {
  noting_timer entry(notes_, 1);
  EXPECT_FALSE(queue_.disarm(entry)) << "never armed";
  queue_.arm(entry, 5);
  EXPECT_TRUE(queue_.disarm(entry));
  EXPECT_FALSE(queue_.disarm(entry)) << "idle again";
  queue_.fire_due(5);
  EXPECT_TRUE(notes_.empty());
  queue_.arm(entry, 5);
  queue_.fire_due(5);
  EXPECT_FALSE(queue_.disarm(entry)) << "has fired";
  EXPECT_EQ(notes_, std::vector{1});
}

TEST_F(TimerQueueByHand, NeverFiresADeadlineWithoutEnd) {
  noting_timer entry(notes_, 1);
  queue_.arm(entry, sync::k_forever);
  EXPECT_EQ(queue_.next_deadline(), std::nullopt);
  EXPECT_FALSE(queue_.fire_due(sync::k_forever));
  EXPECT_TRUE(queue_.disarm(entry));
  EXPECT_FALSE(queue_.disarm(entry));
}

TEST_F(TimerQueueByHand, KnowsTheExactNextDeadlineAfterADisarm) {
  noting_timer a(notes_, 1), b(notes_, 2), c(notes_, 3);
  queue_.arm(a, 1'000'000);
  queue_.arm(b, 1'000'700);
  queue_.arm(c, 1'000'300);
  queue_.disarm(a);
  EXPECT_EQ(queue_.next_deadline(), 1'000'300);
  queue_.disarm(c);
  EXPECT_EQ(queue_.next_deadline(), 1'000'700);
  queue_.disarm(b);
  EXPECT_EQ(queue_.next_deadline(), std::nullopt);
}

TEST_F(TimerQueueByHand, LetsATimerRearmItselfWhileItFires) {
  struct periodic : timer {
    explicit periodic(timer_queue& q) : timer(&again), queue(&q) {}
    static void again(timer& self) noexcept {
      auto& mine = static_cast<periodic&>(self);
      if (++mine.times < 5) mine.queue->arm(mine, mine.deadline + 10);
    }
    timer_queue* queue;
    int times = 0;
  } entry(queue_);
  queue_.arm(entry, 10);
  queue_.fire_due(35);
  EXPECT_EQ(entry.times, 3);
  queue_.fire_due(100);
  EXPECT_EQ(entry.times, 5);
}

TEST_F(TimerQueueByHand, DoesNotTouchATimerAfterItFired) {
  struct once : timer {
    explicit once(int& count) : timer(&end), freed(&count) {}
    static void end(timer& self) noexcept {
      auto* mine = static_cast<once*>(&self);
      ++*mine->freed;
      delete mine;
    }
    int* freed;
  };
  int freed = 0;
  for (int i = 0; i < 50; ++i) queue_.arm(*new once(freed), i % 7);
  queue_.fire_due(7);
  EXPECT_EQ(freed, 50);
}

TEST_F(TimerQueueByHand, LetsAFiringTimerDisarmOneOfTheSameInstant) {
  struct killer : timer {
    killer(timer_queue& q, timer& v) : timer(&kill), queue(&q), victim(&v) {}
    static void kill(timer& self) noexcept {
      auto& mine = static_cast<killer&>(self);
      mine.in_time = mine.queue->disarm(*mine.victim);
    }
    timer_queue* queue;
    timer* victim;
    bool in_time = false;
  };
  noting_timer victim(notes_, 1);
  killer first(queue_, victim);
  queue_.arm(first, 10);
  queue_.arm(victim, 10);
  queue_.fire_due(10);
  EXPECT_TRUE(first.in_time);
  EXPECT_TRUE(notes_.empty());
}

// ---- on the steady clock

/// Signals when it fires, and notes when that was.
struct signalling_timer : timer {
  signalling_timer() : timer(&signal) {}
  static void signal(timer& self) noexcept {
    auto& mine = static_cast<signalling_timer&>(self);
    mine.fired_at = sync::now();
    mine.fired.signal();
  }
  sync::nanoseconds fired_at = 0;
  sync::parker fired;
};

TEST(TimerQueue, FiresAndNeverBeforeTheDeadline) {
  timer_queue queue({});
  for (const sync::nanoseconds delay :
       {sync::nanoseconds{-1}, sync::nanoseconds{0}, sync::nanoseconds{1}, k_millisecond / 3, 3 * k_millisecond}) {
    signalling_timer entry;
    const auto deadline = queue.now() + delay;
    queue.arm(entry, deadline);
    entry.fired.wait();
    EXPECT_GE(entry.fired_at, deadline);
    EXPECT_FALSE(queue.disarm(entry));
  }
}

TEST(TimerQueue, WakesForADeadlineEarlierThanTheOneItSleepsFor) {
  timer_queue queue({});
  signalling_timer hour, soon;
  queue.arm(hour, queue.now() + 3'600'000 * k_millisecond);
  queue.arm(soon, queue.now() + k_millisecond);
  EXPECT_TRUE(soon.fired.wait());
  EXPECT_TRUE(queue.disarm(hour));
}

TEST(TimerQueue, FiresAfterTheEarliestWasDisarmed) {
  timer_queue queue({});
  signalling_timer first, second;
  const auto now = queue.now();
  queue.arm(first, now + 3 * k_millisecond);
  queue.arm(second, now + 4 * k_millisecond);
  const bool in_time = queue.disarm(first);
  EXPECT_TRUE(second.fired.wait());
  EXPECT_EQ(first.fired.signalled(), !in_time);
}

TEST(TimerQueue, StartsItsThreadWithTheFirstArmAndTellsIt) {
  struct told {
    sync::atomic<int> times{0};
  } hook;
  timer_queue queue({.on_thread_start = [](void* raw) noexcept { static_cast<told*>(raw)->times.fetch_add(1, sync::relaxed); },
                     .argument = &hook});
  EXPECT_EQ(hook.times.load(sync::relaxed), 0);
  for (int i = 0; i < 3; ++i) {
    signalling_timer entry;
    queue.arm(entry, 0);
    entry.fired.wait();
    EXPECT_EQ(hook.times.load(sync::relaxed), 1);
  }
}

TEST(TimerQueue, StopsOnceAndForAll) {
  counted_timer armed;
  timer_queue queue({});
  queue.start();
  queue.arm(armed, queue.now() + 3'600'000 * k_millisecond);
  queue.stop();
  queue.stop();
  counted_timer later;
  queue.arm(later, 0);
  EXPECT_TRUE(queue.disarm(later));
  EXPECT_TRUE(queue.disarm(armed));
  EXPECT_EQ(armed.fired.load(sync::relaxed) + later.fired.load(sync::relaxed), 0);
}

TEST(TimerQueue, StopsWithoutEverHavingStarted) {
  timer_queue queue({});
  queue.stop();
}

TEST(TimerQueue, FiresInDeadlineOrderFromEveryThread) {
  // The threads arm one after the other, each in a shard of its own, interleaved deadlines.
  struct ordered : timer {
    ordered() : timer(&note) {}
    static void note(timer& self) noexcept {
      auto& mine = static_cast<ordered&>(self);
      mine.list->push_back(mine.deadline);  // the timer thread's alone until `last` fires
      if (mine.last != nullptr) mine.last->signal();
    }
    std::vector<sync::nanoseconds>* list = nullptr;
    sync::parker* last = nullptr;
  };
  constexpr int k_threads = 4, k_each = 50;
  std::vector<sync::nanoseconds> fired;
  sync::parker last;
  std::vector<std::unique_ptr<ordered>> timers;
  timer_queue queue({});
  struct batch {
    timer_queue* queue;
    std::vector<std::pair<ordered*, sync::nanoseconds>> mine;
  };
  // Past deadlines, armed while a first entry keeps the timer thread busy: all are there when it looks.
  struct blocker : timer {
    blocker() : timer(&block) {}
    static void block(timer& self) noexcept {
      static_cast<blocker&>(self).entered.signal();
      static_cast<blocker&>(self).go.wait();
    }
    sync::parker entered, go;
  } first;
  queue.arm(first, 0);
  first.entered.wait();
  for (int i = 0; i < k_threads; ++i) {
    batch work{&queue, {}};
    for (int j = 0; j < k_each; ++j) {
      timers.push_back(std::make_unique<ordered>());
      timers.back()->list = &fired;
      work.mine.emplace_back(timers.back().get(), 1 + (j * 37 % k_each) * k_threads + i);
    }
    sync::thread arming(
        "arming",
        [](void* raw) noexcept {
          auto& mine = *static_cast<batch*>(raw);
          for (auto& [entry, deadline] : mine.mine) mine.queue->arm(*entry, deadline);
        },
        &work);
    arming.join();
  }
  ordered final_entry;
  final_entry.list = &fired;
  final_entry.last = &last;
  queue.arm(final_entry, 1'000'000);
  first.go.signal();
  last.wait();
  EXPECT_TRUE(std::is_sorted(fired.begin(), fired.end()));
  EXPECT_EQ(fired.size(), k_threads * k_each + 1U);
}

/// MT-56: a hundred thousand, each disarmed by another thread than the one that armed it.
TEST(TimerQueue, FiresOrDisarmsEachExactlyOnceUnderFire) {
  constexpr int k_threads = 4, k_each = 25'000;
  struct thread_work {
    timer_queue* queue = nullptr;
    std::vector<std::unique_ptr<counted_timer>> timers;
    std::vector<std::unique_ptr<counted_timer>>* victims = nullptr;
    sync::parker armed;
    sync::parker* victims_armed = nullptr;
    int disarmed = 0;
  };
  timer_queue queue({});
  std::vector<std::unique_ptr<thread_work>> work;
  for (int i = 0; i < k_threads; ++i) {
    work.push_back(std::make_unique<thread_work>());
    work.back()->queue = &queue;
    for (int j = 0; j < k_each; ++j) work.back()->timers.push_back(std::make_unique<counted_timer>());
  }
  std::vector<sync::thread> threads;
  for (int i = 0; i < k_threads; ++i) {
    thread_work& mine = *work[static_cast<std::size_t>(i)];
    thread_work& other = *work[static_cast<std::size_t>((i + 1) % k_threads)];
    mine.victims = &other.timers;
    mine.victims_armed = &other.armed;
    threads.emplace_back(
        "arming",
        [](void* raw) noexcept {
          auto& me = *static_cast<thread_work*>(raw);
          std::mt19937_64 random(reinterpret_cast<std::uintptr_t>(raw));
          const auto now = me.queue->now();
          for (auto& entry : me.timers)
            me.queue->arm(*entry, now + static_cast<sync::nanoseconds>(random() % (20 * k_millisecond)));
          me.armed.signal();
          me.victims_armed->wait();
          for (auto& victim : *me.victims) me.disarmed += me.queue->disarm(*victim);
        },
        &mine);
  }
  for (auto& thread : threads) thread.join();
  queue.stop();  // whoever was firing has fired
  int fired = 0, disarmed = 0;
  for (auto& each : work) {
    disarmed += each->disarmed;
    for (auto& entry : each->timers) {
      ASSERT_LE(entry->fired.load(sync::relaxed), 1);
      fired += entry->fired.load(sync::relaxed);
    }
  }
  EXPECT_EQ(fired + disarmed, k_threads * k_each);
}

}  // namespace
}  // namespace sheaf::detail
