/// @file
/// What does it cost to stop N tasks?
///
/// cancel_queued    callables: spawned, cancelled while they are queued, dropped. Making them counts.
/// cancel_sleeping  coroutines that sleep: cancelled, and awaited until the last has ended. Making them does not count.
///
/// sheaf  `task::cancel` on each
/// tbb    `task_group::cancel`: one flag for all, which each task looks at
/// asio   no cancel of one callable; a sleeping one is a timer with its handler

#include <oneapi/tbb/task_group.h>
#include <sheaf/sheaf.hpp>

#include <atomic>
#include <chrono>
#include <deque>
#include <utility>
#include <vector>

#include "support/check.hpp"
#include "support/latency.hpp"
#include "support/peers.hpp"
#include "support/registry.hpp"
#include "support/sheaf_pool.hpp"
#include "support/tbb_pool.hpp"

namespace {

using namespace std::chrono_literals;

sheaf::coro<> rounds_queued(benchmark::State& state, std::int64_t n, const sheaf::runtime& runtime) {
  std::atomic<std::int64_t> ran{0};
  const auto count = [&ran] { ran.fetch_add(1, std::memory_order_relaxed); };
  for (auto _ : state) {
    {
      std::vector<sheaf::task<>> tasks;
      tasks.reserve(static_cast<std::size_t>(n));
      for (std::int64_t i = 0; i < n; ++i) tasks.push_back(sheaf::spawn(count));
      for (const auto& each : tasks) each.cancel();
    }
    while (runtime.metrics().live_tasks > 1) co_await sheaf::this_task::yield();
  }
}

void run_queued(benchmark::State& state, std::int64_t n, int workers) {
  sheaf::runtime runtime(bench::with_workers(workers));
  runtime.run(rounds_queued(state, n, runtime));
  bench::report(state, n);
}

void run_queued_tbb(benchmark::State& state, std::int64_t n, int workers) {
  bench::tbb_pool pool(workers);
  std::atomic<std::int64_t> ran{0};
  pool.run([&] {
    for (auto _ : state) {
      tbb::task_group group;
      for (std::int64_t i = 0; i < n; ++i) group.run([&ran] { ran.fetch_add(1, std::memory_order_relaxed); });
      group.cancel();
      group.wait();
    }
  });
  bench::report(state, n);
}

sheaf::coro<> sleeper(std::atomic<std::int64_t>& asleep) {
  asleep.fetch_add(1, std::memory_order_relaxed);
  co_await sheaf::sleep_for(1h);
}

sheaf::coro<> rounds_sleeping(benchmark::State& state, std::int64_t n) {
  for (auto _ : state) {
    std::atomic<std::int64_t> asleep{0};
    std::vector<sheaf::task<>> tasks;
    tasks.reserve(static_cast<std::size_t>(n));
    for (std::int64_t i = 0; i < n; ++i) tasks.push_back(sheaf::spawn(sleeper(asleep)));
    while (asleep.load(std::memory_order_relaxed) != n) co_await sheaf::this_task::yield();
    const auto begun = bench::stopwatch::now();
    for (const auto& each : tasks) each.cancel();
    const auto [done, pending] = co_await sheaf::wait(tasks);
    state.SetIterationTime(std::chrono::duration<double>(bench::stopwatch::now() - begun).count());
    std::int64_t cancelled = 0;
    for (const auto& each : done) cancelled += each.cancelled() ? 1 : 0;
    bench::check(cancelled, n, "cancel_sleeping");
  }
}

void run_sleeping(benchmark::State& state, std::int64_t n, int workers) {
  sheaf::runtime runtime(bench::with_workers(workers));
  runtime.run(rounds_sleeping(state, n));
  bench::report(state, n);
}

#ifdef SHEAF_BENCH_ASIO
void run_sleeping_asio(benchmark::State& state, std::int64_t n, int) {
  asio::io_context context(1);
  for (auto _ : state) {
    std::int64_t cancelled = 0;
    std::deque<asio::steady_timer> sleepers;
    for (std::int64_t i = 0; i < n; ++i) {
      sleepers.emplace_back(context, 1h);
      sleepers.back().async_wait([&cancelled](const asio::error_code& error) { cancelled += error ? 1 : 0; });
    }
    const auto begun = bench::stopwatch::now();
    for (auto& each : sleepers) each.cancel();
    context.restart();
    context.run();
    state.SetIterationTime(std::chrono::duration<double>(bench::stopwatch::now() - begun).count());
    bench::check(cancelled, n, "cancel_sleeping");
  }
  bench::report(state, n);
}
#endif

}  // namespace

int main(int argc, char** argv) {
  const bench::sweep over{bench::sizes({100, 1'000, 10'000, 100'000}, {100, 1'000}), {1, 2}};
  bench::add("cancel_queued", "sheaf", run_queued, over);
  bench::add("cancel_queued", "tbb", run_queued_tbb, over);
  bench::add("cancel_sleeping", "sheaf", run_sleeping, over, bench::timed::part);
#ifdef SHEAF_BENCH_ASIO
  bench::add("cancel_sleeping", "asio", run_sleeping_asio, {over.n, {1}}, bench::timed::part);
#endif
  return bench::run(argc, argv);
}
