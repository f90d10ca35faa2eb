/// @file
/// Do blocking calls get in the way of work? An outside thread submits one callable at a time and waits for its result.
///
/// sheaf          nothing else goes on
/// sheaf_blocked  64 blocking calls are out meanwhile

#include <sheaf/sheaf.hpp>

#include <future>
#include <vector>

#include "support/latency.hpp"
#include "support/registry.hpp"
#include "support/sheaf_pool.hpp"

namespace {

template <int Calls>
void run_sheaf(benchmark::State& state, std::int64_t, int workers) {
  sheaf::runtime runtime(bench::with_workers(workers));
  std::promise<void> over;
  const std::shared_future<void> end = over.get_future().share();
  std::vector<sheaf::task<>> calls;
  const auto stays_out = [end] { end.wait(); };
  for (int i = 0; i < Calls; ++i) calls.push_back(runtime.spawn_blocking(stays_out));
  bench::latencies seen;
  for (auto _ : state) {
    const auto begun = bench::stopwatch::now();
    runtime.spawn([] { return 1; }).get();
    seen.add(bench::stopwatch::now() - begun);
  }
  seen.report(state);
  over.set_value();
}

}  // namespace

int main(int argc, char** argv) {
  const bench::sweep over{{1}, {2}};
  bench::add("blocking_latency", "sheaf", run_sheaf<0>, over);
  bench::add("blocking_latency", "sheaf_blocked", run_sheaf<64>, over);
  return bench::run(argc, argv);
}
