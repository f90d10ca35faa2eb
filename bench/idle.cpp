/// @file
/// What does a pool use that has nothing to do? CPU time of the process over ten seconds, after a burst of work.
///
/// The kernel counts a hundred ticks a second; `ticks` is how many whole ones the pool used.

#include <sys/resource.h>

#include <oneapi/tbb/task_group.h>
#include <sheaf/sheaf.hpp>

#include <chrono>
#include <cmath>
#include <thread>

#include "support/peers.hpp"
#include "support/registry.hpp"
#include "support/sheaf_pool.hpp"
#include "support/tbb_pool.hpp"

namespace {

double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

void measure(benchmark::State& state) {
  constexpr double k_ticks_per_second = 100;
  const std::chrono::seconds length(bench::quick() ? 1 : 10);
  double used = 0;
  for (auto _ : state) {
    std::this_thread::sleep_for(std::chrono::seconds(1));  // what a pool does until it sleeps is not the question
    const double before = cpu_seconds();
    std::this_thread::sleep_for(length);
    used = cpu_seconds() - before;
  }
  state.counters["ticks"] = std::floor(used * k_ticks_per_second);
}

void run_sheaf(benchmark::State& state, std::int64_t, int workers) {
  sheaf::runtime runtime(bench::with_workers(workers));
  for (int i = 0; i < 1000; ++i) (void)runtime.spawn([] {});
  measure(state);
}

void run_tbb(benchmark::State& state, std::int64_t, int workers) {
  bench::tbb_pool pool(workers, 1);
  for (int i = 0; i < 1000; ++i) pool.arena().enqueue([] {});
  measure(state);
}

#ifdef SHEAF_BENCH_ASIO
void run_asio(benchmark::State& state, std::int64_t, int workers) {
  asio::thread_pool pool(static_cast<std::size_t>(workers));
  for (int i = 0; i < 1000; ++i) asio::post(pool, [] {});
  measure(state);
}
#endif

}  // namespace

int main(int argc, char** argv) {
  const bench::sweep over{{1}, {8}};
  bench::add("idle", "sheaf", run_sheaf, over)->Iterations(1)->Repetitions(1);
  bench::add("idle", "tbb", run_tbb, over)->Iterations(1)->Repetitions(1);
#ifdef SHEAF_BENCH_ASIO
  bench::add("idle", "asio", run_asio, over)->Iterations(1)->Repetitions(1);
#endif
  return bench::run(argc, argv);
}
