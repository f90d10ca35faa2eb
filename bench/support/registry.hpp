#pragma once
/// @file
/// How a benchmark program names its contenders, picks its sizes and reports what one task costs.
///
/// A benchmark is called `question/contender/n:N/workers:W/...`; report.py reads that name and the counters: `per_task`,
/// `p50`, `p99` in seconds, `bytes`, `ticks`.
/// Everything is measured in real time, because the work runs on other threads than the one Google Benchmark looks at; its CPU
/// column is that of the whole process.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

namespace bench {

using contender = void (*)(benchmark::State& state, std::int64_t n, int workers);

/// The sizes and worker counts a contender is measured with: every pair of them.
struct sweep {
  std::vector<std::int64_t> n;
  std::vector<std::int64_t> workers;
};

/// True when SHEAF_BENCH_QUICK is set: sizes that show whether a program works, not how fast it is.
inline bool quick() { return std::getenv("SHEAF_BENCH_QUICK") != nullptr; }

inline std::vector<std::int64_t> sizes(std::vector<std::int64_t> full, std::vector<std::int64_t> small) {
  return quick() ? small : full;
}

/// `part`: the contender says itself, by SetIterationTime(), what counts of a round.
enum class timed { whole, part };

/// The result takes further settings of Google Benchmark.
inline benchmark::internal::Benchmark* add(const std::string& question, const std::string& who, contender run, const sweep& over,
                                           timed what = timed::whole) {
  auto* const one = benchmark::RegisterBenchmark((question + "/" + who).c_str(), [run](benchmark::State& state) {
    run(state, state.range(0), static_cast<int>(state.range(1)));
  });
  one->ArgNames({"n", "workers"})->ArgsProduct({over.n, over.workers})->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime();
  return what == timed::whole ? one->UseRealTime() : one->UseManualTime();
}

/// Reports the time one task takes, when every iteration ran `tasks` of them: in seconds, which the console prints as 41.3ns.
inline void report(benchmark::State& state, std::int64_t tasks) {
  using counter = benchmark::Counter;
  state.counters["per_task"] = counter(static_cast<double>(tasks), counter::kIsIterationInvariantRate | counter::kInvert);
}

inline int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace bench
