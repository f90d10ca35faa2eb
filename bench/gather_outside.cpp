/// @file
/// What does it cost a thread outside the pool to run N callables and to have all results in order, when it may take part?
///
/// sheaf         `runtime.spawn` per callable and `get()` on each in order; callers_help
/// sheaf_gather  `gather` of the same tasks and one `get()`: the caller only waits, since a gather has no work of its own to take part in
/// tbb           task_group; the outside thread works along while it waits
/// asio          `post` to a thread_pool and a future per callable; its caller only waits
/// std_async     a thread per callable

#include <oneapi/tbb/task_group.h>
#include <sheaf/sheaf.hpp>

#include <future>
#include <numeric>
#include <utility>
#include <vector>

#include "support/check.hpp"
#include "support/peers.hpp"
#include "support/registry.hpp"
#include "support/sheaf_pool.hpp"
#include "support/tbb_pool.hpp"

namespace {

auto returning(int i) {
  return [i] { return i; };
}

/// `start(i)` is called N times, then every result is got.
template <class Start>
void rounds(benchmark::State& state, std::int64_t n, Start start) {
  for (auto _ : state) {
    std::vector<decltype(start(0))> started;
    started.reserve(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) started.push_back(start(i));
    std::int64_t sum = 0;
    for (auto& each : started) sum += each.get();
    bench::check(sum, bench::sum_below(n), "gather_outside");
  }
  bench::report(state, n);
}

void run_sheaf(benchmark::State& state, std::int64_t n, int workers) {
  auto options = bench::with_workers(workers);
  options.callers_help = true;
  sheaf::runtime runtime(options);
  rounds(state, n, [&](int i) { return runtime.spawn(returning(i)); });
}

void run_sheaf_gather(benchmark::State& state, std::int64_t n, int workers) {
  sheaf::runtime runtime(bench::with_workers(workers));
  const sheaf::entered inside = runtime.enter();
  for (auto _ : state) {
    std::vector<sheaf::task<int>> tasks;
    tasks.reserve(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) tasks.push_back(runtime.spawn(returning(i)));
    const std::vector<int> results = sheaf::gather(std::move(tasks)).get();
    bench::check(std::accumulate(results.begin(), results.end(), 0LL), bench::sum_below(n), "gather_outside");
  }
  bench::report(state, n);
}

void run_tbb(benchmark::State& state, std::int64_t n, int workers) {
  bench::tbb_pool pool(workers, 1);
  for (auto _ : state) {
    std::vector<int> results(static_cast<std::size_t>(n));
    pool.run([&] {
      tbb::task_group group;
      for (int i = 0; i < n; ++i) group.run([slot = &results[static_cast<std::size_t>(i)], i] { *slot = i; });
      group.wait();
    });
    bench::check(std::accumulate(results.begin(), results.end(), 0LL), bench::sum_below(n), "gather_outside");
  }
  bench::report(state, n);
}

void run_std_async(benchmark::State& state, std::int64_t n, int) {
  rounds(state, n, [](int i) { return std::async(std::launch::async, returning(i)); });
}

#ifdef SHEAF_BENCH_ASIO
void run_asio(benchmark::State& state, std::int64_t n, int workers) {
  asio::thread_pool pool(static_cast<std::size_t>(workers));
  rounds(state, n, [&](int i) { return asio::post(pool, asio::use_future(returning(i))); });
}
#endif

}  // namespace

int main(int argc, char** argv) {
  const bench::sweep over{bench::sizes({10, 100, 1'000, 10'000, 100'000, 1'000'000}, {10, 1'000}), {1, 2, 8}};
  bench::add("gather_outside", "sheaf", run_sheaf, over);
  bench::add("gather_outside", "sheaf_gather", run_sheaf_gather, over);
  bench::add("gather_outside", "tbb", run_tbb, over);
  bench::add("gather_outside", "std_async", run_std_async, {bench::sizes({10, 1'000}, {10}), {2}});
#ifdef SHEAF_BENCH_ASIO
  bench::add("gather_outside", "asio", run_asio, over);
#endif
  return bench::run(argc, argv);
}
