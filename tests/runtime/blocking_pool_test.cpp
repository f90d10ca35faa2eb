/// The blocking pool: order, growth, shrinking, end.
#include "blocking_pool.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "support/sanitized.hpp"
#include "thread_activity.hpp"

namespace sheaf::detail {
namespace {

constexpr sync::nanoseconds k_millisecond = 1'000'000;

template <class F>
struct call final : work_item {
  explicit call(F f) : work_item([](work_item& self) noexcept { static_cast<call&>(self).function(); }), function(std::move(f)) {}
  F function;
};

template <class F>
auto calls(std::size_t count, F function) {
  std::vector<std::unique_ptr<call<F>>> all;
  for (std::size_t i = 0; i < count; ++i) all.push_back(std::make_unique<call<F>>(function));
  return all;
}

/// Opens once, for any number of threads.
class gate {
 public:
  void open() noexcept { parker_.signal(); }
  void pass() noexcept { parker_.wait(); }

 private:
  sync::parker parker_;
};

/// Opens when `expected` threads have come.
class meeting {
 public:
  explicit meeting(std::size_t expected) : missing_(expected) {}
  void come() noexcept {
    // order: acq_rel: what each did before it came is seen by all who go on; peer: the others' same operation, and the gate.
    if (missing_.fetch_sub(1, sync::acq_rel) == 1) gate_.open();
  }
  void come_and_wait() noexcept {
    come();
    gate_.pass();
  }
  void wait() noexcept { gate_.pass(); }

 private:
  sync::atomic<std::size_t> missing_;
  gate gate_;
};

bool end(blocking_pool& pool) { return pool.shutdown(sync::k_forever); }

TEST(BlockingPool, RunsWhatIsSubmitted) {
  sync::atomic<int> ran{0};
  auto all = calls(1000, [&] { ran.fetch_add(1, sync::relaxed); });
  blocking_pool pool({});
  for (auto& one : all) pool.submit(*one);
  EXPECT_TRUE(end(pool));
  EXPECT_EQ(ran.load(sync::relaxed), 1000);
  EXPECT_EQ(pool.threads(), 0U);
  EXPECT_EQ(pool.queued(), 0U);
}

TEST(BlockingPool, StartsNoThreadBeforeTheFirstCall) {
  blocking_pool pool({});
  EXPECT_EQ(pool.threads(), 0U);
  EXPECT_TRUE(end(pool));
}

TEST(BlockingPool, RunsCallsInTheOrderOfSubmission) {
  struct numbered final : work_item {
    explicit numbered(std::vector<work_item*>& list)
        : work_item([](work_item& self) noexcept { static_cast<numbered&>(self).ran->push_back(&self); }), ran(&list) {}
    std::vector<work_item*>* ran;
  };
  gate go;
  call first([&] { go.pass(); });
  std::vector<work_item*> expected, ran;
  std::vector<std::unique_ptr<numbered>> all;
  blocking_pool pool({.max_threads = 1});
  pool.submit(first);
  for (int i = 0; i < 100; ++i) {
    all.push_back(std::make_unique<numbered>(ran));
    expected.push_back(all.back().get());
    pool.submit(*all.back());
  }
  EXPECT_GE(pool.queued(), 100U);
  EXPECT_EQ(pool.threads(), 1U);
  go.open();
  EXPECT_TRUE(end(pool));
  EXPECT_EQ(ran, expected);
}

TEST(BlockingPool, GivesCallsThatWaitForEachOtherAThreadEach) {
  constexpr std::size_t k_calls = 100;
  meeting all_here(k_calls);
  auto all = calls(k_calls, [&] { all_here.come_and_wait(); });
  blocking_pool pool({.max_threads = k_calls, .base_threads = 2});
  for (auto& one : all) pool.submit(*one);
  all_here.wait();
  EXPECT_EQ(pool.threads(), k_calls);
  EXPECT_TRUE(end(pool));
}

TEST(BlockingPool, GivesCallsThatSpinForEachOtherAThreadEach) {
  constexpr std::size_t k_calls = 6;
  sync::atomic<std::size_t> here{0};
  auto all = calls(k_calls, [&] {
    here.fetch_add(1, sync::relaxed);
    while (here.load(sync::relaxed) != k_calls) sync::spin_pause();
  });
  blocking_pool pool({.base_threads = 2});
  for (auto& one : all) pool.submit(*one);
  EXPECT_TRUE(end(pool));
  EXPECT_EQ(here.load(sync::relaxed), k_calls);
}

TEST(BlockingPool, NeverHasMoreThreadsThanItsBound) {
  constexpr std::size_t k_bound = 5;
  sync::atomic<std::size_t> inside{0};
  sync::atomic<std::size_t> most{0};
  meeting bound_reached(k_bound);
  gate go;
  const auto enter = [&] {
    const auto now = inside.fetch_add(1, sync::relaxed) + 1;
    for (auto seen = most.load(sync::relaxed); seen < now && !most.compare_exchange_weak(seen, now, sync::relaxed);) {
    }
  };
  auto first = calls(k_bound, [&] {
    enter();
    bound_reached.come();
    go.pass();
    inside.fetch_sub(1, sync::relaxed);
  });
  auto rest = calls(50, [&] {
    enter();
    inside.fetch_sub(1, sync::relaxed);
  });
  blocking_pool pool({.max_threads = k_bound, .base_threads = 2});
  for (auto& one : first) pool.submit(*one);
  for (auto& one : rest) pool.submit(*one);
  bound_reached.wait();
  EXPECT_EQ(pool.threads(), k_bound);
  EXPECT_EQ(pool.queued(), 50U);
  go.open();
  EXPECT_TRUE(end(pool));
  EXPECT_EQ(most.load(sync::relaxed), k_bound);
}

TEST(BlockingPool, RunsShortCallsBesideStuckOnes) {
  constexpr std::size_t k_stuck = 8, k_short = 2000;
  gate go;
  auto stuck = calls(k_stuck, [&] { go.pass(); });
  meeting all_short(k_short);
  auto brief = calls(k_short, [&] { all_short.come(); });
  blocking_pool pool({.base_threads = 2});
  for (auto& one : stuck) pool.submit(*one);
  for (auto& one : brief) pool.submit(*one);
  all_short.wait();
  go.open();
  EXPECT_TRUE(end(pool));
}

TEST(BlockingPool, RunsThousandsOfTinyCallsOnFewThreads) {
  constexpr std::size_t k_calls = 20'000;
  meeting all_done(k_calls);
  auto all = calls(k_calls, [&] { all_done.come(); });
  blocking_pool pool({.base_threads = 2});
  std::size_t most = 0;
  for (auto& one : all) {
    pool.submit(*one);
    most = std::max(most, pool.threads());
  }
  all_done.wait();
  most = std::max(most, pool.threads());
  EXPECT_LT(most, 64U) << "of 512 allowed";
  EXPECT_TRUE(end(pool));
}

TEST(BlockingPool, GrowsForCallsThatMostlySleep) {
  // Each sleeps far shorter than a period, so none ever counts as stuck.
  sync::atomic<std::size_t> inside{0};
  sync::atomic<bool> enough{false};
  constexpr std::size_t k_base = 2;
  const auto nap = [&] {
    if (enough.load(sync::relaxed)) return;
    const auto now = inside.fetch_add(1, sync::relaxed) + 1;
    sync::parker never;
    never.wait(sync::now() + k_millisecond / 10);
    if (now >= 4 * k_base) enough.store(true, sync::relaxed);
    inside.fetch_sub(1, sync::relaxed);
  };
  using calls_type = decltype(calls(1, nap));
  std::vector<calls_type> batches;
  blocking_pool pool({.base_threads = k_base});
  while (!enough.load(sync::relaxed)) {
    if (pool.queued() > 2000) continue;
    batches.push_back(calls(500, nap));
    for (auto& one : batches.back()) pool.submit(*one);
  }
  EXPECT_TRUE(end(pool));
}

TEST(BlockingPool, UsesAnIdleThreadAgain) {
  blocking_pool pool({});
  for (int i = 0; i < 200; ++i) {
    while (pool.threads() != pool.idle()) sync::spin_pause();
    gate ran;
    call one([&] { ran.open(); });
    pool.submit(one);
    ran.pass();
  }
  EXPECT_EQ(pool.threads(), 1U);
  EXPECT_TRUE(end(pool));
}

TEST(BlockingPool, LetsIdleThreadsGoAfterAWhile) {
  constexpr std::size_t k_calls = 6;
  blocking_pool pool({.max_threads = k_calls, .keep_alive = k_millisecond});
  for (int round = 0; round < 3; ++round) {
    meeting all_here(k_calls);
    meeting all_left(k_calls);
    auto all = calls(k_calls, [&] {
      all_here.come_and_wait();
      all_left.come();
    });
    for (auto& one : all) pool.submit(*one);
    all_left.wait();
    sync::parker never;
    while (pool.threads() != 0) never.wait(sync::now() + k_millisecond);
  }
  EXPECT_TRUE(end(pool));
}

TEST(BlockingPool, TellsEachThreadBeforeItsFirstCall) {
  static thread_local bool told = false;
  sync::atomic<int> tellings{0};
  sync::atomic<int> untold{0};
  const auto hook = [](void* raw) noexcept {
    told = true;
    static_cast<sync::atomic<int>*>(raw)->fetch_add(1, sync::relaxed);
  };
  constexpr std::size_t k_calls = 10;
  meeting all_here(k_calls);
  auto all = calls(k_calls, [&] {
    if (!told) untold.fetch_add(1, sync::relaxed);
    all_here.come_and_wait();
  });
  blocking_pool pool({.on_thread_start = hook, .argument = &tellings});
  for (auto& one : all) pool.submit(*one);
  EXPECT_TRUE(end(pool));
  EXPECT_EQ(untold.load(sync::relaxed), 0);
  EXPECT_GE(tellings.load(sync::relaxed), static_cast<int>(k_calls));
}

TEST(BlockingPool, SubmitsFromItsOwnCalls) {
  gate done;
  blocking_pool pool({});
  call last([&] { done.open(); });
  call first([&] { pool.submit(last); });
  pool.submit(first);
  done.pass();
  EXPECT_TRUE(end(pool));
}

// ---- the end

TEST(BlockingPoolEnd, RunsWhatIsQueuedBeforeItsThreadsLeave) {
  gate go;
  sync::atomic<int> ran{0};
  auto stuck = calls(2, [&] { go.pass(); });
  auto rest = calls(500, [&] { ran.fetch_add(1, sync::relaxed); });
  blocking_pool pool({.max_threads = 2});
  for (auto& one : stuck) pool.submit(*one);
  for (auto& one : rest) pool.submit(*one);
  EXPECT_FALSE(pool.shutdown(sync::now()));
  EXPECT_EQ(ran.load(sync::relaxed), 0);
  go.open();
  EXPECT_TRUE(end(pool));
  EXPECT_EQ(ran.load(sync::relaxed), 500);
  EXPECT_TRUE(end(pool)) << "again is harmless";
}

TEST(BlockingPoolEnd, ReportsCallsThatAreStillOut) {
  gate go, out;
  call one([&] {
    out.open();
    go.pass();
  });
  blocking_pool pool({});
  pool.submit(one);
  out.pass();
  EXPECT_FALSE(pool.shutdown(sync::now() + k_millisecond));
  EXPECT_EQ(pool.threads(), 1U);
  go.open();
  EXPECT_TRUE(end(pool));
}

TEST(BlockingPoolEnd, HappensInTheDestructorToo) {
  sync::atomic<int> ran{0};
  auto all = calls(100, [&] { ran.fetch_add(1, sync::relaxed); });
  {
    blocking_pool pool({});
    for (auto& one : all) pool.submit(*one);
  }
  EXPECT_EQ(ran.load(sync::relaxed), 100);
}

TEST(BlockingPoolEnd, LetsGoOfCallsThatDoNotEnd) {
  // The call outlives the pool object and all this test owns but its own block.
  struct long_call final : work_item {
    long_call()
        : work_item([](work_item& self) noexcept {
            auto& mine = static_cast<long_call&>(self);
            mine.out.open();
            mine.go.pass();
            mine.ended.open();
          }) {}
    gate out, go, ended;
  };
  long_call stuck;
  std::vector<kernel_thread_id> ran_on;
  auto rest = calls(20, [&] { ran_on.push_back(this_kernel_thread()); });
  {
    blocking_pool pool({.max_threads = 1});
    pool.submit(stuck);
    stuck.out.pass();
    for (auto& one : rest) pool.submit(*one);
    ASSERT_FALSE(pool.shutdown(sync::now()));
    pool.abandon();
    EXPECT_EQ(ran_on, std::vector(20, this_kernel_thread())) << "what was queued runs here";
  }
  stuck.go.open();
  stuck.ended.pass();
}

TEST(BlockingPoolEnd, LetsGoOfThreadsThatHaveJustStarted) {
  for (int i = 0; i < 50; ++i) {
    int told = 0;
    {
      meeting all_ran(3);
      auto counted = calls(3, [&] { all_ran.come(); });
      const auto hook = [](void* raw) noexcept { ++*static_cast<int*>(raw); };
      blocking_pool pool({.max_threads = 1, .on_thread_start = hook, .argument = &told});
      for (auto& one : counted) pool.submit(*one);
      if (!pool.shutdown(sync::now())) pool.abandon();
      all_ran.wait();
    }
    EXPECT_LE(told, 1);
  }
}

#if !SHEAF_TEST_SANITIZED  // it takes address space away
TEST(BlockingPoolDeathTest, ThrowsWhenThereIsNoThreadAndNoneToBeHad) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto refused = [] {
    blocking_pool pool({});
    bool ran = false;
    call one([&] { ran = true; });
    rlimit limit;
    getrlimit(RLIMIT_AS, &limit);
    const rlimit none{1, limit.rlim_max};  // no new mapping, hence no stack
    setrlimit(RLIMIT_AS, &none);
    bool threw = false;
    try {
      pool.submit(one);
    } catch (const std::system_error&) {
      threw = true;
    }
    setrlimit(RLIMIT_AS, &limit);
    const bool clean = threw && !ran && pool.queued() == 0 && pool.threads() == 0;
    pool.submit(one);
    std::exit(clean && end(pool) && ran ? 0 : 1);
  };
  EXPECT_EXIT(refused(), testing::ExitedWithCode(0), "");
}
#endif

}  // namespace
}  // namespace sheaf::detail
