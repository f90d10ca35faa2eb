/// @file
/// count MEASURE N ROUNDS: the work of one measure, ROUNDS times over, on one worker; prints how many tasks a round has. Under callgrind
/// the difference between two numbers of rounds is what the tasks cost once everything is warm.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include <sheaf/sheaf.hpp>

namespace {

using namespace sheaf;

coro<std::int64_t> fib(std::int64_t n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await when_all(fib(n - 1), fib(n - 2));
  co_return a + b;
}

coro<std::int64_t> number(std::int64_t which) { co_return which; }
coro<> nothing() { co_return; }

std::vector<coro<std::int64_t>> numbers(std::int64_t n) {
  std::vector<coro<std::int64_t>> all;
  all.reserve(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) all.push_back(number(i));
  return all;
}

// Each round returns how many tasks it had.

coro<std::int64_t> fib_round(std::int64_t n) {
  std::int64_t a = 0, b = 1;
  for (std::int64_t i = 0; i < n; ++i) b += std::exchange(a, b);
  const std::int64_t found = co_await fib(n);
  co_return found == a ? 2 * b - 1 : -1;
}

coro<std::int64_t> when_all_round(std::int64_t n) {
  std::vector<coro<>> all;
  all.reserve(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) all.push_back(nothing());
  co_await when_all(std::move(all));
  co_return n;
}

coro<std::int64_t> spawn_round(std::int64_t n) {
  std::vector<task<>> all;
  all.reserve(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) all.push_back(spawn([] {}));
  for (task<>& each : all) co_await std::move(each);
  co_return n;
}

coro<std::int64_t> gather_round(std::int64_t n) {
  const std::vector<std::int64_t> all = co_await gather(numbers(n));
  co_return std::ssize(all);
}

coro<std::int64_t> as_completed_round(std::int64_t n) {
  auto completed = as_completed(numbers(n));
  std::int64_t count = 0;
  while (const auto next = co_await completed.next()) count += next->done() ? 1 : 0;
  co_return count;
}

coro<std::int64_t> wait_round(std::int64_t n) {
  std::vector<task<std::int64_t>> all;
  all.reserve(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) all.push_back(spawn(number(i)));
  task_set<std::int64_t> pending(all);
  const wait_options first{.return_when = first_completed};
  std::int64_t count = 0;
  while (!pending.empty()) {
    auto seen = co_await wait(std::move(pending), first);
    count += std::ssize(seen.done);
    pending = std::move(seen.pending);
  }
  co_return count;
}

/// Another one of n tasks ends before each wait, so each takes one out of all that are left.
coro<std::int64_t> wait_in_turn_round(std::int64_t n) {
  std::vector<event> ends(static_cast<std::size_t>(n));
  const auto ends_at = [](event& end, std::int64_t which) -> coro<std::int64_t> {
    co_await end.wait();
    co_return which;
  };
  std::vector<task<std::int64_t>> all;
  all.reserve(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) all.push_back(spawn(ends_at(ends[static_cast<std::size_t>(i)], i)));
  task_set<std::int64_t> pending(all);
  const wait_options first{.return_when = first_completed};
  std::int64_t turns = 0;
  for (event& each : ends) {
    each.set();
    const auto done = co_await wait(pending, first);
    turns += done.empty() ? 0 : 1;
  }
  co_return pending.empty() ? turns : -1;
}

/// Cancelled while they are queued, and dropped.
coro<std::int64_t> cancel_queued_round(std::int64_t n) {
  std::vector<task<>> all;
  all.reserve(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) all.push_back(spawn([] {}));
  std::int64_t cancelled = 0;
  for (const task<>& each : all) cancelled += each.cancel() ? 1 : 0;
  all.clear();
  co_await this_task::yield();
  co_return cancelled;
}

/// Cancelled while they sleep, and awaited: the exception that unwinds each is most of it.
coro<std::int64_t> cancel_asleep_round(std::int64_t n) {
  std::vector<task<>> all;
  all.reserve(static_cast<std::size_t>(n));
  const auto sleeper = []() -> coro<> { co_await sleep_for(std::chrono::hours(1)); };
  for (std::int64_t i = 0; i < n; ++i) all.push_back(spawn(sleeper()));
  co_await this_task::yield();
  for (const task<>& each : all) each.cancel();
  const auto seen = co_await wait(all);
  co_return std::ssize(seen.done);
}

struct measure {
  std::string_view name;
  coro<std::int64_t> (*round)(std::int64_t n);
};
constexpr measure k_measures[] = {{"fib", fib_round},
                                  {"when_all", when_all_round},
                                  {"spawn", spawn_round},
                                  {"gather", gather_round},
                                  {"as_completed", as_completed_round},
                                  {"wait", wait_round},
                                  {"wait_in_turn", wait_in_turn_round},
                                  {"cancel_queued", cancel_queued_round},
                                  {"cancel_asleep", cancel_asleep_round}};

}  // namespace

int main(int count, char** given) {
  if (count != 4) return std::fprintf(stderr, "usage: count MEASURE N ROUNDS\n"), 2;
  const std::int64_t n = std::atoll(given[2]), rounds = std::atoll(given[3]);
  for (const measure& each : k_measures) {
    if (each.name != given[1]) continue;
    runtime rt({.workers = 1});
    const auto whole = [&]() -> coro<std::int64_t> {
      std::int64_t tasks = 0;
      for (std::int64_t i = 0; i < rounds; ++i) tasks = co_await each.round(n);
      co_return tasks;
    };
    std::printf("%lld\n", static_cast<long long>(rt.run(whole)));
    return 0;
  }
  return std::fprintf(stderr, "count: no measure %s\n", given[1]), 2;
}
