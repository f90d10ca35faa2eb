/// @file
/// Inside a worker: what does it cost to start N coroutines that return a number and to have all results in order?
///
/// sheaf           `gather(range)`
/// sheaf_when_all  `when_all(range)`, its structured sibling
/// tbb             task_group with N tasks that write to an array
/// std_async       N futures, one thread each, got in order; it knows no workers

#include <oneapi/tbb/task_group.h>
#include <sheaf/sheaf.hpp>

#include <future>
#include <numeric>
#include <utility>
#include <vector>

#include "support/check.hpp"
#include "support/registry.hpp"
#include "support/sheaf_pool.hpp"
#include "support/tbb_pool.hpp"

namespace {

void check(const std::vector<int>& results) {
  bench::check(std::accumulate(results.begin(), results.end(), 0LL), bench::sum_below(std::ssize(results)), "gather");
}

std::vector<sheaf::coro<int>> coroutines(std::int64_t n) {
  std::vector<sheaf::coro<int>> all;
  all.reserve(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) all.push_back(bench::return_index(i));
  return all;
}

sheaf::coro<> gather_rounds(benchmark::State& state, std::int64_t n) {
  for (auto _ : state) check(co_await sheaf::gather(coroutines(n)));
}

sheaf::coro<> when_all_rounds(benchmark::State& state, std::int64_t n) {
  for (auto _ : state) check(co_await sheaf::when_all(coroutines(n)));
}

template <sheaf::coro<> (*Rounds)(benchmark::State&, std::int64_t)>
void run_sheaf(benchmark::State& state, std::int64_t n, int workers) {
  sheaf::runtime runtime(bench::with_workers(workers));
  runtime.run(Rounds(state, n));
  bench::report(state, n);
}

void run_tbb(benchmark::State& state, std::int64_t n, int workers) {
  bench::tbb_pool pool(workers);
  pool.run([&] {
    for (auto _ : state) {
      std::vector<int> results(static_cast<std::size_t>(n));
      tbb::task_group group;
      for (int i = 0; i < n; ++i) group.run([slot = &results[static_cast<std::size_t>(i)], i] { *slot = i; });
      group.wait();
      check(results);
    }
  });
  bench::report(state, n);
}

void run_std_async(benchmark::State& state, std::int64_t n, int) {
  for (auto _ : state) {
    std::vector<std::future<int>> futures;
    futures.reserve(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) futures.push_back(std::async(std::launch::async, [i] { return i; }));
    std::vector<int> results;
    results.reserve(static_cast<std::size_t>(n));
    for (auto& future : futures) results.push_back(future.get());
    check(results);
  }
  bench::report(state, n);
}

}  // namespace

int main(int argc, char** argv) {
  const bench::sweep over{bench::sizes({10, 100, 1'000, 10'000, 100'000, 1'000'000}, {10, 1'000}), {1, 2, 8}};
  bench::add("gather", "sheaf", run_sheaf<gather_rounds>, over);
  bench::add("gather", "sheaf_when_all", run_sheaf<when_all_rounds>, over);
  bench::add("gather", "tbb", run_tbb, over);
  bench::add("gather", "std_async", run_std_async, {bench::sizes({10, 1'000}, {10}), {2}});
  return bench::run(argc, argv);
}
