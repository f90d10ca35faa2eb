/// @file
/// How long until a result is back? An outside thread submits one callable, waits for its value, and begins anew.
///
/// latency_helped  back to back; whoever waits may run it itself
/// latency_worker  back to back; a worker runs it: the value is the id of its thread, which must be another one
/// latency_idle    the same after 150 us in which nobody had anything to do
///
/// sheaf      `runtime.spawn` and `get()`; with callers_help where that is the question
/// tbb        task_group in the arena where the caller may run it; else `task_arena::enqueue` and a future
/// asio       `post` to a thread_pool and a future
/// std_async  a thread each time

#include <oneapi/tbb/task_group.h>
#include <sheaf/sheaf.hpp>

#include <future>
#include <thread>

#include "support/check.hpp"
#include "support/latency.hpp"
#include "support/peers.hpp"
#include "support/registry.hpp"
#include "support/sheaf_pool.hpp"
#include "support/tbb_pool.hpp"

namespace {

enum class how { helped, by_a_worker, after_idling };

std::thread::id this_thread() { return std::this_thread::get_id(); }

template <how Question, class RoundTrip>
void measure(benchmark::State& state, RoundTrip round_trip) {
  bench::latencies seen;
  for (auto _ : state) {
    if (Question == how::after_idling) bench::pass(std::chrono::microseconds(150));
    const auto begun = bench::stopwatch::now();
    const std::thread::id by = round_trip();
    seen.add(bench::stopwatch::now() - begun);
    if (Question != how::helped) bench::check(by != this_thread(), true, "latency: a worker runs it");
  }
  seen.report(state);
}

template <how Question>
void run_sheaf(benchmark::State& state, std::int64_t, int workers) {
  auto options = bench::with_workers(workers);
  options.callers_help = Question == how::helped;
  sheaf::runtime runtime(options);
  measure<Question>(state, [&] { return runtime.spawn(this_thread).get(); });
}

void run_tbb_helped(benchmark::State& state, std::int64_t, int workers) {
  bench::tbb_pool pool(workers, 1);
  pool.run([&] {
    measure<how::helped>(state, [] {
      std::thread::id by;
      tbb::task_group group;
      group.run([&by] { by = this_thread(); });
      group.wait();
      return by;
    });
  });
}

template <how Question>
void run_tbb(benchmark::State& state, std::int64_t, int workers) {
  bench::tbb_pool pool(workers, 1);
  measure<Question>(state, [&] {
    std::promise<std::thread::id> by;
    pool.arena().enqueue([&by] { by.set_value(this_thread()); });
    return by.get_future().get();
  });
}

template <how Question>
void run_std_async(benchmark::State& state, std::int64_t, int) {
  measure<Question>(state, [] { return std::async(std::launch::async, this_thread).get(); });
}

#ifdef SHEAF_BENCH_ASIO
template <how Question>
void run_asio(benchmark::State& state, std::int64_t, int workers) {
  asio::thread_pool pool(static_cast<std::size_t>(workers));
  measure<Question>(state, [&] { return asio::post(pool, asio::use_future(this_thread)).get(); });
}
#endif

template <how Question>
void add_those_with_workers(const char* question, const bench::sweep& over) {
  bench::add(question, "sheaf", run_sheaf<Question>, over);
  bench::add(question, "tbb", run_tbb<Question>, over);
  bench::add(question, "std_async", run_std_async<Question>, {{1}, {2}});
#ifdef SHEAF_BENCH_ASIO
  bench::add(question, "asio", run_asio<Question>, over);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  const bench::sweep over{{1}, {1, 2}};
  bench::add("latency_helped", "sheaf", run_sheaf<how::helped>, over);
  bench::add("latency_helped", "tbb", run_tbb_helped, over);
  add_those_with_workers<how::by_a_worker>("latency_worker", over);
  add_those_with_workers<how::after_idling>("latency_idle", over);
  return bench::run(argc, argv);
}
