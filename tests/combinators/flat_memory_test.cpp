/// Waiting for a long task again and again costs the same memory as waiting once: asyncio has leaked there more than once.
#include <gtest/gtest.h>

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <fstream>
#include <utility>
#include <vector>

#include <sheaf/sheaf.hpp>

#include "support/gate.hpp"
#include "support/run_test.hpp"
#include "support/sanitized.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::gate;
using test::run_test;

constexpr int k_share = test::k_sanitized ? 100 : 1;

std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

/// Calls `step(target)` so many times on a task that goes on, after some of them for caches to fill.
template <class Step>
void stays_flat(int times, Step step, std::size_t workers = test::test_workers()) {
  times /= k_share;
  const auto whole = [times, step]() -> coro<> {
    const gate open;
    const auto waits = [](gate open) -> coro<int> {
      co_await open;
      co_return 1;
    };
    const task<int> target = spawn(waits, open);
    co_await test::until_parked(target);
    for (int i = 0; i < times / 10; ++i) co_await step(target);
    const std::size_t waiters = test::waiters_of(target), before = resident_bytes();
    for (int i = 0; i < times; ++i) co_await step(target);
    EXPECT_EQ(test::waiters_of(target), waiters);
#ifndef SHEAF_TEST_SANITIZED
    EXPECT_LT(resident_bytes(), before + (std::size_t{4} << 20));  // a leak of one registration each would be more
#else
    static_cast<void>(before);
#endif
    open.open();
    EXPECT_EQ(co_await target, 1);
  };
  run_test(whole, workers);
}

TEST(FlatMemory, AMillionShortWaitsForALongTask) {
  stays_flat(1'000'000, [](const task<int>& target) -> coro<> {
    const std::vector<task<int>> targets(1, target);
    const wait_options options{.timeout = 1ns};
    const auto found = co_await wait(targets, options);
    EXPECT_EQ(found.pending.size(), 1U);
  });
}

/// Given up by a cancel, which throws once: a limit throws five times, and a million of them take their time. Two turns of one worker each.
TEST(FlatMemory, AMillionShieldsOfALongTask) {
  const auto step = [](const task<int>& target) -> coro<> {
    const task<int> waits = spawn(shield(target));
    co_await this_task::yield();
    EXPECT_EQ(test::waiters_of(target), 1U);
    waits.cancel();
    co_await this_task::yield();
    EXPECT_TRUE(waits.cancelled());
  };
  stays_flat(1'000'000, step, 1);
}

TEST(FlatMemory, AHundredThousandAbandonedStreamsOverALongTask) {
  stays_flat(100'000, [](const task<int>& target) -> coro<> {
    const std::vector<task<int>> targets(1, target);
    auto some = as_completed(targets, 1ns);
    try {
      static_cast<void>(co_await some.next());
      ADD_FAILURE() << "it is not over";
    } catch (const timeout_error&) {
    }
    const auto abandoned = as_completed(targets);
  });
}

}  // namespace
}  // namespace sheaf
