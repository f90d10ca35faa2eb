/// Executors other than the built-in pool: a host's loop, oneTBB's threads, and one of the user's own.
#include <sheaf/executor.hpp>

#include <gtest/gtest.h>
#include <oneapi/tbb/parallel_for.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <sheaf/inline_executor.hpp>
#include <sheaf/runtime.hpp>
#include <sheaf/sleep.hpp>
#include <sheaf/tbb_executor.hpp>
#include <sheaf/this_task.hpp>
#include <sheaf/when_all.hpp>

#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::gate;

// ---- a host's loop -----------------------------------------------------------------------------------------------------------

TEST(InlineExecutor, NothingRunsUntilTheHostPolls) {
  inline_executor host;
  runtime rt({.executor = &host});
  bool ran = false;
  const task<> waiting = rt.spawn([](bool& ran) { ran = true; }, std::ref(ran));
  EXPECT_FALSE(ran);
  EXPECT_EQ(host.poll(), 1U);
  EXPECT_TRUE(ran);
  EXPECT_TRUE(waiting.done());
  EXPECT_EQ(host.poll(), 0U);
}

TEST(InlineExecutor, PollRunsAtMostItsLimitOldestFirstAndNotWhatItQueues) {
  inline_executor host;
  runtime rt({.executor = &host});
  std::vector<int> order;
  for (int i = 0; i < 4; ++i) {
    const task<> each = rt.spawn([](std::vector<int>& order, int i) { order.push_back(i); }, std::ref(order), i);
  }
  EXPECT_EQ(host.poll(0), 0U);
  EXPECT_EQ(host.poll(3), 3U);
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(host.poll(), 1U);
  const task<> endless = rt.spawn([]() -> coro<> {
    for (;;) co_await this_task::yield();
  });
  EXPECT_EQ(host.poll(), 1U);  // it queues itself again; that is for the next poll
  EXPECT_EQ(host.poll(), 1U);
  endless.cancel();
}

TEST(InlineExecutor, OnWorkIsCalledWhenTheQueueStopsBeingEmpty) {
  std::atomic<int> calls{0};
  inline_executor host([&calls] { calls.fetch_add(1); });
  runtime rt({.executor = &host});
  const task<> a = rt.spawn([] {});
  EXPECT_EQ(calls.load(), 1);
  const task<> b = rt.spawn([] {});
  EXPECT_EQ(calls.load(), 1);
  host.poll();
  std::thread([&rt] { const task<> c = rt.spawn([] {}); }).join();
  EXPECT_EQ(calls.load(), 2);
  host.poll();
}

TEST(InlineExecutor, OnlyItsHostPollsAndNotInATask) {
  inline_executor host;
  runtime rt({.executor = &host});
  std::thread([&host] { EXPECT_THROW(host.poll(), invalid_state); }).join();
  rt.run([&host]() -> coro<> {
    EXPECT_THROW(host.poll(), invalid_state);
    co_return;
  });
}

TEST(InlineExecutor, AForeignThreadsGetWaitsForTheHostToPoll) {
  inline_executor host;
  runtime rt({.executor = &host});
  const gate got;
  std::thread foreign([&rt, got] {
    EXPECT_EQ(rt.spawn([] { return 5; }).get(), 5);
    got.open();
  });
  while (!got.is_open()) host.poll();
  foreign.join();
}

TEST(InlineExecutor, SeveralRuntimesShareAHost) {
  inline_executor host;
  runtime a({.executor = &host}), b({.executor = &host});
  const task<int> in_b = b.spawn([] { return 3; });
  EXPECT_EQ(a.run([in_b]() -> coro<int> { co_return co_await in_b; }), 3);
}

TEST(InlineExecutor, TheHostWaitingForABlockingCallSleepsUntilItsEnd) {
  inline_executor host;
  runtime rt({.executor = &host});
  const gate inside;
  const int value = rt.run([inside]() -> coro<int> {
    auto call = spawn_blocking(
        [](gate inside) {
          inside.wait();
          return 4;
        },
        inside);
    inside.open();
    co_return co_await std::move(call);
  });
  EXPECT_EQ(value, 4);
}

TEST(InlineExecutor, AWaitOfTheHostEndsAtItsDeadlineThoughThereIsMoreToRun) {
  struct again final : work_item {
    explicit again(inline_executor& of) noexcept
        : work_item([](work_item& item) noexcept { static_cast<again&>(item).host->post(item); }), host(&of) {}
    inline_executor* host;
  };
  inline_executor host;
  again item(host);
  host.post(item);
  detail::sync::parker nobody;
  EXPECT_EQ(host.wait(nobody, detail::sync::now() + 1'000'000, false), executor::wait_result::timed_out);
}

// ---- oneTBB ------------------------------------------------------------------------------------------------------------------

TEST(TbbExecutor, TasksRunOnItsArenasThreadsOnly) {
  tbb_executor arena(2);
  EXPECT_EQ(arena.concurrency(), 2U);
  runtime rt({.executor = &arena});
  EXPECT_EQ(rt.metrics().workers, 2U);
  std::atomic<int> inside{0};
  const gate both;
  const auto meet = [](std::atomic<int>& inside, gate both) {
    if (inside.fetch_add(1) == 1) both.open();
    both.wait();
    return std::this_thread::get_id();
  };
  const auto a = rt.spawn(meet, std::ref(inside), both);
  const auto b = rt.spawn(meet, std::ref(inside), both);
  EXPECT_NE(a.get(), b.get());
  EXPECT_NE(a.get(), std::this_thread::get_id());
}

/// Isolation: a task that waits inside oneTBB under a lock never has another task run on its stack.
TEST(TbbExecutor, OneTbbsOwnWaitsDoNotPickUpTasks) {
  tbb_executor arena(2);
  runtime rt({.executor = &arena});
  std::mutex lock;
  std::atomic<std::thread::id> owner{};
  const auto job = [](std::mutex& lock, std::atomic<std::thread::id>& owner) {
    EXPECT_NE(owner.load(), std::this_thread::get_id()) << "run on the stack of a task that holds the lock";
    const std::lock_guard guard(lock);
    owner.store(std::this_thread::get_id());
    std::atomic<int> sum{0};
    oneapi::tbb::parallel_for(0, 200, [&sum](int i) { sum.fetch_add(i % 2); });
    owner.store({});
    return sum.load();
  };
  std::vector<task<int>> jobs;
  for (int i = 0; i < 50; ++i) jobs.push_back(rt.spawn(job, std::ref(lock), std::ref(owner)));
  for (const task<int>& each : jobs) EXPECT_EQ(each.get(), 100);
}

TEST(TbbExecutor, WhenAllRunsOnItToo) {
  tbb_executor arena(2);
  runtime rt({.executor = &arena});
  struct recursion {
    static coro<int> fib(int n) {
      if (n < 2) co_return n;
      const auto [a, b] = co_await when_all(fib(n - 1), fib(n - 2));
      co_return a + b;
    }
  };
  EXPECT_EQ(rt.run(recursion::fib(15)), 610);
}

// ---- one's own ---------------------------------------------------------------------------------------------------------------

/// The least that an executor may do: one thread, one queue, the inherited wait().
class one_thread final : public executor {
 public:
  one_thread() : thread_([this] { serve(); }) {}
  ~one_thread() override {
    {
      const std::lock_guard guard(lock_);
      stop_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  void post(work_item& item) noexcept override {
    {
      const std::lock_guard guard(lock_);
      queue_.push_back(&item);
      ++posted_;
    }
    changed_.notify_one();
  }
  [[nodiscard]] std::size_t concurrency() const noexcept override { return 1; }
  [[nodiscard]] std::thread::id id() const { return thread_.get_id(); }
  [[nodiscard]] int posted() {
    const std::lock_guard guard(lock_);
    return posted_;
  }

 private:
  void serve() {
    std::unique_lock guard(lock_);
    for (;;) {
      changed_.wait(guard, [this] { return stop_ || !queue_.empty(); });
      if (queue_.empty()) return;
      work_item* const item = queue_.front();
      queue_.pop_front();
      guard.unlock();
      item->run();
      guard.lock();
    }
  }
  std::mutex lock_;
  std::condition_variable changed_;
  std::deque<work_item*> queue_;
  int posted_ = 0;
  bool stop_ = false;
  std::thread thread_;
};

TEST(Executor, AUsersOwnRunsEverything) {
  one_thread own;
  manual_clock clock;
  runtime rt({.executor = &own, .clock = &clock});
  const auto id = own.id();
  rt.run([id]() -> coro<> {
    EXPECT_EQ(std::this_thread::get_id(), id);
    co_await sleep_for(1h);
    EXPECT_EQ(std::this_thread::get_id(), id);
    const auto child = [](std::thread::id id) -> coro<int> {
      EXPECT_EQ(std::this_thread::get_id(), id);
      co_await this_task::yield();
      co_return 2;
    };
    const auto [a, b] = co_await when_all(child(id), child(id));
    EXPECT_EQ(a + b, 4);
    EXPECT_EQ(co_await spawn_blocking([] { return 1; }), 1);
  });
  EXPECT_EQ(clock.now(), 1h);
  EXPECT_GT(own.posted(), 0);
}

TEST(Executor, ShutdownWaitsUntilAUsersExecutorHasLetGoOfEveryItem) {
  one_thread own;
  for (int i = 0; i < 100; ++i) {
    runtime rt({.executor = &own});
    const gate never;
    const task<> parked = rt.spawn([](gate at) -> coro<> { co_await at; }, never);
    const task<> runnable = rt.spawn([] {});
  }
}

}  // namespace
}  // namespace sheaf
