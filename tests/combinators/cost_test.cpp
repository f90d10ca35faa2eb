/// What each combinator allocates beside its children: the column "cost" of the contract, call by call. Replaces the global allocation
/// functions of its program and the recycled blocks of tasks and coroutines by some that count, per thread. Empty where the first
/// cannot be replaced.
#include "support/replaced_new.hpp"

#ifndef SHEAF_TEST_FIXED_ALLOCATION

#include <gtest/gtest.h>

#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <optional>
#include <ostream>
#include <tuple>
#include <utility>
#include <vector>

#include <sheaf/detail/frame_cache.hpp>
#include <sheaf/sheaf.hpp>

#include "support/children.hpp"
#include "support/gate.hpp"
#include "support/run_test.hpp"
#include "support/until.hpp"

namespace {
thread_local std::size_t blocks = 0, others = 0, bytes_of_others = 0;
}  // namespace

void* sheaf::test::take_memory(std::size_t size, form) noexcept {
  ++others;
  bytes_of_others += size;
  return std::malloc(size != 0 ? size : 1);
}

namespace sheaf::detail {
void* allocate_block(std::size_t size) {
  ++blocks;
  if (void* const memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void free_block(void* block, std::size_t) noexcept { std::free(block); }
void trim_blocks() noexcept {}
}  // namespace sheaf::detail

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::gate;
using test::value_at;
using tasks = std::vector<task<int>>;

/// Blocks of tasks and coroutines, and allocations of any other kind.
struct cost {
  std::size_t blocks = 0, others = 0;
  bool operator==(const cost&) const = default;
};
void PrintTo(const cost& shown, std::ostream* out) { *out << shown.blocks << " blocks, " << shown.others << " others"; }

/// Counts on this thread from its construction on.
class meter {
 public:
  [[nodiscard]] cost so_far() const noexcept { return {blocks - from_.blocks, others - from_.others}; }

 private:
  cost from_{blocks, others};
};

/// What the last of three calls of `round` cost, on one worker: the first ones fill what is kept.
template <class Round>
cost cost_of(Round round) {
  const auto rounds = [&round]() -> coro<cost> {
    cost last;
    for (int i = 0; i < 3; ++i) last = co_await round();
    co_return last;
  };
  return test::run_test(rounds, 1);
}

/// Each waits at the gate.
coro<tasks> parked_at(gate open, int count) {
  tasks all;
  for (int i = 0; i < count; ++i) all.push_back(spawn(value_at(open, i)));
  for (const task<int>& each : all) co_await test::until_parked(each);
  co_return all;
}
coro<int> number(int value) { co_return value; }
std::vector<coro<int>> numbers(int count) {
  std::vector<coro<int>> all;
  for (int i = 0; i < count; ++i) all.push_back(number(i));
  return all;
}

// ---- all of them -------------------------------------------------------------------------------------------------------------

TEST(Cost, WhenAllOfAPackAllocatesNothing) {
  const auto two = []() -> coro<cost> {
    coro<int> one = number(1), other = number(2);
    const meter since;
    auto [a, b] = co_await when_all(std::move(one), std::move(other));
    EXPECT_EQ(a + b, 3);
    co_return since.so_far();
  };
  EXPECT_EQ(cost_of(two), (cost{0, 0}));
}

TEST(Cost, WhenAllOfARangeAllocatesItsResultsAndPointersToMoreThanTen) {
  for (const int count : {10, 11, 1000}) {
    const auto many = [count]() -> coro<cost> {
      std::vector<coro<int>> all = numbers(count);
      const meter since;
      const std::vector<int> values = co_await when_all(std::move(all));
      EXPECT_EQ(std::ssize(values), count);
      co_return since.so_far();
    };
    EXPECT_EQ(cost_of(many), (cost{0, count <= 10 ? 1U : 2U})) << count;
  }
}

TEST(Cost, AGatherIsOneBlockWithARegistrationPerChild) {
  const auto pack = []() -> coro<cost> {
    coro<int> one = number(1), other = number(2);
    const meter since;
    const std::tuple<int, int> both = co_await gather(std::move(one), std::move(other));
    EXPECT_EQ(both, std::make_tuple(1, 2));
    co_return since.so_far();
  };
  EXPECT_EQ(cost_of(pack), (cost{1, 0}));
  const auto collecting = []() -> coro<cost> {
    coro<int> one = number(1), other = number(2);
    const meter since;
    const auto both = co_await gather(return_exceptions, std::move(one), std::move(other));
    EXPECT_TRUE(std::get<0>(both).has_value());
    co_return since.so_far();
  };
  EXPECT_EQ(cost_of(collecting), (cost{1, 0}));
}

TEST(Cost, AGatherOfARangeAllocatesItsResultsAndPointersToMoreThanTenBesides) {
  for (const int count : {10, 11, 1000}) {
    const auto many = [count]() -> coro<cost> {
      const gate open;
      const tasks given = co_await parked_at(open, count);
      const meter since;
      auto all = gather(given);
      for (const task<int>& each : given) EXPECT_EQ(test::waiters_of(each), 1U);
      open.open();
      const std::vector<int> values = co_await std::move(all);
      const cost found = since.so_far();
      EXPECT_EQ(std::ssize(values), count);
      co_return found;
    };
    EXPECT_EQ(cost_of(many), (cost{1, count <= 10 ? 1U : 2U})) << count;
  }
}

// ---- as they complete ----------------------------------------------------------------------------------------------------------

/// Beside the stream itself. Of more than ten tasks there is a list besides, of more than sixteen a table that finds duplicates.
TEST(Cost, AStreamHasOneArrayForAllRegistrations) {
  for (const int count : {1, 10}) {
    const auto some = [count]() -> coro<cost> {
      const gate open;
      const tasks given = co_await parked_at(open, count);
      const meter since;
      auto stream = as_completed(given, 1h);
      open.open();
      for (int left = count; left != 0; --left) {
        const std::optional<task<int>> next = co_await stream.next();
        EXPECT_TRUE(next.has_value());
      }
      co_return since.so_far();
    };
    EXPECT_EQ(cost_of(some), (cost{0, 2})) << count;
  }
  const auto many = []() -> coro<cost> {
    const gate open;
    const tasks given = co_await parked_at(open, 1000);
    const meter since;
    auto stream = as_completed(given);
    open.open();
    co_return since.so_far();
  };
  EXPECT_EQ(cost_of(many), (cost{0, 4}));
}

TEST(Cost, AQueueAllocatesOneRegistrationPerAdd) {
  const auto round = []() -> coro<cost> {
    const gate open;
    const tasks given = co_await parked_at(open, 100);
    const meter whole;
    completion_queue<int> queue;
    EXPECT_EQ(whole.so_far(), (cost{0, 1}));
    const meter since;
    for (const task<int>& each : given) queue.add(each);
    open.open();
    while (!queue.empty()) {
      const std::optional<task<int>> next = co_await queue.next();
      EXPECT_TRUE(next.has_value());
    }
    co_return since.so_far();
  };
  EXPECT_EQ(cost_of(round), (cost{0, 100}));
}

/// The set, and one array for all registrations; a wait that gives nothing allocates nothing, one that gives something what Wait20_ says.
TEST(Cost, WaitRegistersOnceAndWaitsForTheSetAgainWithoutAnAllocation) {
  const auto first = []() -> coro<cost> {
    const gate open;
    const tasks given = co_await parked_at(open, 10);
    const wait_options snapshot{.timeout = 0s};
    const meter since;
    const auto found = co_await wait(given, snapshot);
    const cost spent = since.so_far();
    EXPECT_EQ(found.pending.size(), 10U);
    open.open();
    co_return spent;
  };
  EXPECT_EQ(cost_of(first), (cost{0, 2}));
  const auto again = []() -> coro<cost> {
    const gate open;
    const tasks given = co_await parked_at(open, 10);
    task_set<int> pending(given);
    const wait_options limited{.timeout = 1s};
    const meter since;
    for (int i = 0; i < 100; ++i) {
      const tasks done = co_await wait(pending, limited);
      EXPECT_TRUE(done.empty());
    }
    const cost spent = since.so_far();
    open.open();
    co_return spent;
  };
  EXPECT_EQ(cost_of(again), (cost{0, 0}));
}

/// WAIT-20: what a turn asks for is the list of what has ended, and its order, in sets of every size.
TEST(Cost, Wait20_ATurnCostsTheSameInSmallAndLargeSets) {
  for (const int count : {10, 100, 1000}) {
    std::size_t bytes = 0;
    const auto drained = [count, &bytes]() -> coro<cost> {
      tasks given;
      for (int i = 0; i < count; ++i) given.push_back(spawn(test::value_after(std::chrono::seconds(i + 1), i)));
      task_set<int> pending(std::move(given));
      const wait_options first{.return_when = first_completed};
      const std::size_t before = bytes_of_others;
      const meter since;
      while (!pending.empty()) {
        const tasks done = co_await wait(pending, first);
        EXPECT_EQ(done.size(), 1U);
      }
      bytes = bytes_of_others - before;
      co_return since.so_far();
    };
    const std::size_t turns = static_cast<std::size_t>(count);
    EXPECT_EQ(cost_of(drained), (cost{0, 2 * turns}));
    EXPECT_EQ(bytes, turns * (sizeof(detail::completion_node*) + sizeof(task<int>)));
  }
}

// ---- limits --------------------------------------------------------------------------------------------------------------------

TEST(Cost, WaitForAllocatesNothingAndStartsACoroutineInItsOwnBlock) {
  const auto work = []() -> coro<cost> {
    coro<int> one = test::value_after(1s, 1);
    const meter since;
    EXPECT_EQ(co_await wait_for(std::move(one), 1h), 1);
    co_return since.so_far();
  };
  EXPECT_EQ(cost_of(work), (cost{0, 0}));
  const auto of_task = []() -> coro<cost> {
    task<int> one = spawn(test::value_after(1s, 1));
    co_await test::until_parked(one);
    const meter since;
    EXPECT_EQ(co_await wait_for(std::move(one), 1h), 1);
    co_return since.so_far();
  };
  EXPECT_EQ(cost_of(of_task), (cost{0, 0}));
}

TEST(Cost, WithTimeoutIsACoroutineAndASharedBlock) {
  const auto round = []() -> coro<cost> {
    const auto body = [](timeout_scope&) -> coro<int> {
      co_await sleep_for(1s);
      co_return 1;
    };
    const meter since;
    EXPECT_EQ(co_await with_timeout(1h, body), 1);
    cost spent = since.so_far();
    spent.blocks -= 1;  // the body
    co_return spent;
  };
  EXPECT_EQ(cost_of(round), (cost{1, 1}));
}

// ---- many, one of many ---------------------------------------------------------------------------------------------------------

/// Beside a registration for each element: the copied source, the queue, the results, and a list of all tasks that grows by doubling.
TEST(Cost, MapLimitedIsATaskWithATaskAndARegistrationPerElement) {
  for (const std::size_t count : {10, 110, 1010}) {
    const auto round = [count]() -> coro<cost> {
      const std::vector<int> elements(count, 1);
      const auto same = [](int element) { return element; };
      const meter since;
      const std::vector<int> values = co_await map_limited(4, elements, same);
      EXPECT_EQ(values.size(), count);
      co_return since.so_far();
    };
    const cost found = cost_of(round);
    EXPECT_EQ(found.others, count + 3 + static_cast<std::size_t>(std::bit_width(count - 1)) + 1);
    EXPECT_GE(found.blocks, 2 * count);  // an element's task, and a frame that makes room for it
    EXPECT_LE(found.blocks, 3 * count + 3);
  }
}

template <class Decide>
cost cost_of_contest(Decide decide, int candidates) {
  const auto round = [decide, candidates]() -> coro<cost> {
    std::vector<coro<int>> given = numbers(candidates);
    const meter since;
    EXPECT_EQ(co_await decide(std::move(given)), 0);
    co_return since.so_far();
  };
  return cost_of(round);
}

/// Two coroutines: the race, and what decides it. Of a range there is one more list.
TEST(Cost, ARaceIsACoroutineWithARegistrationPerCandidate) {
  const auto pack = []() -> coro<cost> {
    coro<int> one = number(1), other = number(2);
    const meter since;
    const int won = co_await race(std::move(one), std::move(other));
    EXPECT_EQ(won, 1);
    co_return since.so_far();
  };
  EXPECT_EQ(cost_of(pack), (cost{2, 1 + 2}));
  const auto decide = [](std::vector<coro<int>> given) { return race(std::move(given)); };
  EXPECT_EQ(cost_of_contest(decide, 2), (cost{2, 2 + 2}));
  EXPECT_EQ(cost_of_contest(decide, 10), (cost{2, 2 + 10}));
}

TEST(Cost, FirstSuccessCostsARaceOfThoseThatStart) {
  const auto together = [](std::vector<coro<int>> given) { return first_success(std::move(given)); };
  EXPECT_EQ(cost_of_contest(together, 10), (cost{2, 2 + 10}));
  const auto staggered = [](std::vector<coro<int>> given) {
    const first_success_options options{.stagger = 1h};
    return first_success(options, std::move(given));
  };
  EXPECT_EQ(cost_of_contest(staggered, 10), (cost{2, 2 + 1}));  // the first succeeds; the timer is no allocation
}

TEST(Cost, AShieldIsACoroutineAndARegistrationUnlessItsTaskIsDone) {
  const auto waits = []() -> coro<cost> {
    const task<int> inner = spawn(test::value_after(1s, 1));
    co_await test::until_parked(inner);
    std::size_t registrations = 0;
    const auto looks = [&registrations, &inner] { registrations = test::waiters_of(inner); };
    const task<> looker = spawn(looks);
    const meter since;
    const int value = co_await shield(inner);
    const cost found = since.so_far();
    EXPECT_EQ(value, 1);
    EXPECT_EQ(registrations, 1U);
    co_await looker;
    const meter again;
    EXPECT_EQ(co_await shield(inner), 1);  // it is done
    EXPECT_EQ(again.so_far(), found);
    co_return found;
  };
  EXPECT_EQ(cost_of(waits), (cost{1, 0}));
}

/// Of a range, that is the set's two allocations more; every wait for the set lists what has ended.
TEST(Cost, CancelAndJoinIsACoroutineThatWaitsForASet) {
  for (const int count : {1, 10}) {
    const auto range = [count]() -> coro<cost> {
      const gate never;
      const tasks given = co_await parked_at(never, count);
      const meter since;
      co_await cancel_and_join(given);
      co_return since.so_far();
    };
    EXPECT_EQ(cost_of(range), (cost{1, 2 + 2})) << count;
    const auto set = [count]() -> coro<cost> {
      const gate never;
      const tasks given = co_await parked_at(never, count);
      task_set<int> pending(given);
      const meter since;
      co_await cancel_and_join(std::move(pending));
      co_return since.so_far();
    };
    EXPECT_EQ(cost_of(set), (cost{1, 2})) << count;
  }
}

TEST(Cost, WithCleanupIsACoroutine) {
  const auto round = []() -> coro<cost> {
    coro<int> body = number(1), cleanup = number(2);
    const meter since;
    EXPECT_EQ(co_await with_cleanup(std::move(body), std::move(cleanup)), 1);
    co_return since.so_far();
  };
  EXPECT_EQ(cost_of(round), (cost{1, 0}));
}

TEST(Cost, AGroupIsACoroutineAndABlockWithARegistrationPerChild) {
  for (const int count : {0, 1, 100}) {
    const auto round = [count]() -> coro<cost> {
      std::vector<coro<int>> children = numbers(count);
      const auto body = [&children](task_group& group) -> coro<> {
        for (coro<int>& each : children) static_cast<void>(group.spawn(std::move(each)));
        co_return;
      };
      const meter since;
      co_await with_task_group(body);
      cost found = since.so_far();
      found.blocks -= 1;  // the body
      co_return found;
    };
    EXPECT_EQ(cost_of(round), (cost{1 + static_cast<std::size_t>(count), 1})) << count;
  }
}

}  // namespace
}  // namespace sheaf

#endif
