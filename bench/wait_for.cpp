/// @file
/// What does a limit cost that is not reached? `wait_for` with an hour.
///
/// wait_for_done      on a task that is complete already
/// wait_for_in_time   on a coroutine that it starts, and that ends at once
/// wait_for_no_limit  that coroutine, spawned and awaited without a limit: what remains is the limit's

#include <sheaf/sheaf.hpp>

#include <chrono>
#include <utility>

#include "support/check.hpp"
#include "support/registry.hpp"
#include "support/sheaf_pool.hpp"

namespace {

using namespace std::chrono_literals;

sheaf::coro<> rounds_done(benchmark::State& state, std::int64_t n) {
  const sheaf::task<int> task = sheaf::spawn(bench::return_index(1));
  co_await task;
  for (auto _ : state) {
    std::int64_t sum = 0;
    for (int i = 0; i < n; ++i) sum += co_await sheaf::wait_for(task, 1h);
    bench::check(sum, n, "wait_for_done");
  }
}

sheaf::coro<> rounds_in_time(benchmark::State& state, std::int64_t n) {
  for (auto _ : state) {
    std::int64_t sum = 0;
    for (int i = 0; i < n; ++i) sum += co_await sheaf::wait_for(bench::return_index(i), 1h);
    bench::check(sum, bench::sum_below(n), "wait_for_in_time");
  }
}

sheaf::coro<> rounds_no_limit(benchmark::State& state, std::int64_t n) {
  for (auto _ : state) {
    std::int64_t sum = 0;
    for (int i = 0; i < n; ++i) {
      auto task = sheaf::spawn(bench::return_index(i));
      sum += co_await std::move(task);
    }
    bench::check(sum, bench::sum_below(n), "wait_for_no_limit");
  }
}

template <sheaf::coro<> (*Rounds)(benchmark::State&, std::int64_t)>
void run_sheaf(benchmark::State& state, std::int64_t n, int workers) {
  sheaf::runtime runtime(bench::with_workers(workers));
  runtime.run(Rounds(state, n));
  bench::report(state, n);
}

}  // namespace

int main(int argc, char** argv) {
  const bench::sweep over{{1'000}, {1, 2}};
  bench::add("wait_for_done", "sheaf", run_sheaf<rounds_done>, over);
  bench::add("wait_for_in_time", "sheaf", run_sheaf<rounds_in_time>, over);
  bench::add("wait_for_no_limit", "sheaf", run_sheaf<rounds_no_limit>, over);
  return bench::run(argc, argv);
}
