/// @file
/// What does it cost to start N tasks and to take their results one by one, in the order of completion?
///
/// sheaf        `as_completed(range)`; a coroutine on a worker takes them
/// tbb          a hand-made queue: N tasks push to a concurrent_bounded_queue, one thread of the arena pops and sleeps while
///              there is nothing; that would deadlock an arena of one thread, so there all tasks run before the first result is
///              taken
/// tbb_helping  N tasks push to a concurrent_queue; when the popping thread finds nothing it runs all tasks that are left:
///              faster, but a result may wait long for its taker
/// std_async    the hand-made queue of tbb, fed by N threads

#include <oneapi/tbb/concurrent_queue.h>
#include <oneapi/tbb/task_group.h>
#include <sheaf/sheaf.hpp>

#include <future>
#include <utility>
#include <vector>

#include "support/check.hpp"
#include "support/registry.hpp"
#include "support/sheaf_pool.hpp"
#include "support/tbb_pool.hpp"

namespace {

void check(std::int64_t sum, std::int64_t n) { bench::check(sum, bench::sum_below(n), "as_completed"); }

std::int64_t pop(tbb::concurrent_bounded_queue<int>& completed, std::int64_t n) {
  std::int64_t sum = 0;
  for (int value = 0; n > 0; --n, sum += value) completed.pop(value);
  return sum;
}

sheaf::coro<> rounds(benchmark::State& state, std::int64_t n) {
  for (auto _ : state) {
    std::vector<sheaf::coro<int>> all;
    all.reserve(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) all.push_back(bench::return_index(i));
    auto completed = sheaf::as_completed(std::move(all));
    std::int64_t sum = 0;
    while (auto task = co_await completed.next()) sum += task->result();
    check(sum, n);
  }
}

void run_sheaf(benchmark::State& state, std::int64_t n, int workers) {
  sheaf::runtime runtime(bench::with_workers(workers));
  runtime.run(rounds(state, n));
  bench::report(state, n);
}

void run_tbb(benchmark::State& state, std::int64_t n, int workers) {
  bench::tbb_pool pool(workers);
  pool.run([&] {
    for (auto _ : state) {
      tbb::concurrent_bounded_queue<int> completed;
      tbb::task_group group;
      for (int i = 0; i < n; ++i) group.run([&completed, i] { completed.push(i); });
      if (workers == 1) group.wait();
      check(pop(completed, n), n);
      group.wait();
    }
  });
  bench::report(state, n);
}

void run_tbb_helping(benchmark::State& state, std::int64_t n, int workers) {
  bench::tbb_pool pool(workers);
  pool.run([&] {
    for (auto _ : state) {
      tbb::concurrent_queue<int> completed;
      tbb::task_group group;
      for (int i = 0; i < n; ++i) group.run([&completed, i] { completed.push(i); });
      std::int64_t sum = 0;
      for (std::int64_t left = n; left > 0; --left) {
        int value = 0;
        while (!completed.try_pop(value)) group.wait();
        sum += value;
      }
      group.wait();
      check(sum, n);
    }
  });
  bench::report(state, n);
}

void run_std_async(benchmark::State& state, std::int64_t n, int) {
  for (auto _ : state) {
    tbb::concurrent_bounded_queue<int> completed;
    std::vector<std::future<void>> futures;
    futures.reserve(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) futures.push_back(std::async(std::launch::async, [&completed, i] { completed.push(i); }));
    check(pop(completed, n), n);
  }
  bench::report(state, n);
}

}  // namespace

int main(int argc, char** argv) {
  const bench::sweep over{bench::sizes({10, 100, 1'000, 10'000, 100'000, 1'000'000}, {10, 1'000}), {1, 2, 8}};
  bench::add("as_completed", "sheaf", run_sheaf, over);
  bench::add("as_completed", "tbb", run_tbb, over);
  bench::add("as_completed", "tbb_helping", run_tbb_helping, over);
  bench::add("as_completed", "std_async", run_std_async, {bench::sizes({10, 1'000}, {10}), {2}});
  return bench::run(argc, argv);
}
