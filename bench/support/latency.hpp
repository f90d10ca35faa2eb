#pragma once
/// @file
/// Single durations, where an average would hide what matters: the median and the 99th percentile of them.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

namespace bench {

using stopwatch = std::chrono::steady_clock;

class latencies {
 public:
  void add(stopwatch::duration one) { seconds_.push_back(std::chrono::duration<double>(one).count()); }

  /// Counters `p50` and `p99`, in seconds.
  void report(benchmark::State& state) {
    std::sort(seconds_.begin(), seconds_.end());
    state.counters["p50"] = percentile(50);
    state.counters["p99"] = percentile(99);
  }

 private:
  [[nodiscard]] double percentile(std::size_t percent) const {
    return seconds_.empty() ? 0 : seconds_[(seconds_.size() - 1) * percent / 100];
  }

  std::vector<double> seconds_;
};

/// Keeps the calling thread busy, so that what it measures afterwards begins on a core that is awake.
inline void pass(stopwatch::duration time) {
  for (const auto until = stopwatch::now() + time; stopwatch::now() < until;) continue;
}

}  // namespace bench
