/// A million tasks out, and in again; a hundred thousand where no time is given.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <utility>
#include <vector>

#include <sheaf/sheaf.hpp>

#include "stress/box.hpp"

namespace sheaf::stress {
namespace {

const std::size_t k_tasks = std::getenv("SHEAF_STRESS_SECONDS") != nullptr ? 1'000'000 : 100'000;

/// One in 64 suspends once.
coro<std::size_t> number(std::size_t which, ledger& accounts) {
  const counted frame(accounts.frames);
  if (which % 64 == 0) co_await this_task::yield();
  co_return which;
}

std::vector<coro<std::size_t>> numbers(ledger& accounts) {
  std::vector<coro<std::size_t>> all;
  all.reserve(k_tasks);
  for (std::size_t i = 0; i < k_tasks; ++i) all.push_back(number(i, accounts));
  return all;
}

std::size_t sum(const std::vector<std::size_t>& all) {
  std::size_t total = 0;
  for (const std::size_t each : all) total += each;
  return total;
}

/// `fan` gives the sum of all numbers.
template <class Fan>
void out_and_in(Fan fan) {
  repeat([&fan](std::uint64_t) {
    ledger accounts;
    {
      runtime rt({.workers = 8});
      EXPECT_EQ(rt.run(fan(accounts)), k_tasks * (k_tasks - 1) / 2);
    }
    accounts.expect_balance();
  });
}

TEST(FanOutAndIn, ByGather) {
  out_and_in([](ledger& accounts) -> coro<std::size_t> { co_return sum(co_await gather(numbers(accounts))); });
}

TEST(FanOutAndIn, ByWhenAll) {
  out_and_in([](ledger& accounts) -> coro<std::size_t> { co_return sum(co_await when_all(numbers(accounts))); });
}

TEST(FanOutAndIn, ByAsCompleted) {
  out_and_in([](ledger& accounts) -> coro<std::size_t> {
    auto stream = as_completed(numbers(accounts));
    std::size_t total = 0;
    while (const auto next = co_await stream.next()) total += next->result();
    co_return total;
  });
}

TEST(FanOutAndIn, ByAGroup) {
  out_and_in([](ledger& accounts) -> coro<std::size_t> {
    std::atomic<std::size_t> total{0};
    const auto adds = [&](std::size_t which) -> coro<> { total += co_await number(which, accounts); };
    const auto body = [&](task_group& group) -> coro<> {
      for (std::size_t i = 0; i < k_tasks; ++i) group.spawn(adds, i);
      co_return;
    };
    co_await with_task_group(body);
    co_return total.load();
  });
}

/// Half of them are cancelled from outside while the others end.
TEST(FanOutAndIn, CancelledOnTheWay) {
  repeat([](std::uint64_t seed) {
    ledger accounts;
    {
      runtime rt({.workers = 8});
      const task<std::vector<std::size_t>> all =
          rt.run([&]() -> coro<task<std::vector<std::size_t>>> { co_return gather(numbers(accounts)); });
      dice roll(seed);
      std::size_t seen = 0;
      for (const any_task& each : rt.tasks()) {
        ++seen;
        if (roll.one_in(2)) each.cancel();
      }
      EXPECT_LE(seen, k_tasks + 1);
      try {
        EXPECT_EQ(sum(all.get()), k_tasks * (k_tasks - 1) / 2);
      } catch (const task_cancelled&) {
      }
    }
    accounts.expect_balance();
  });
}

}  // namespace
}  // namespace sheaf::stress
