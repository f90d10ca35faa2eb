/// @file
/// What does it cost a thread outside the pool to submit a callable? A million, then wait for all; each fills its own slot.
///
/// sheaf           `runtime.spawn` per callable, handles kept, `get()` on each
/// sheaf_detached  `runtime.spawn` per callable, handles dropped; a counter tells the end
/// tbb             task_group; the outside thread takes part once it waits, as oneTBB intends
/// tbb_enqueue     `task_arena::enqueue` per callable; a counter tells the end
/// asio            `post` to a thread_pool per callable; a counter tells the end
/// std_async       a thread per callable, a future got for each
///
/// The outside thread comes on top of the workers on both sides.

#include <oneapi/tbb/task_group.h>
#include <sheaf/sheaf.hpp>

#include <atomic>
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

/// One slot per callable, emptied before every round.
class slots {
 public:
  explicit slots(std::int64_t n) : values_(static_cast<std::size_t>(n)) {}

  auto fill(std::int64_t i) {
    return [slot = &values_[static_cast<std::size_t>(i)], i] { *slot = i; };
  }

  void check_and_clear(const char* what) {
    bench::check(std::accumulate(values_.begin(), values_.end(), std::int64_t{0}), bench::sum_below(std::ssize(values_)), what);
    values_.assign(values_.size(), 0);
  }

 private:
  std::vector<std::int64_t> values_;
};

/// Ends wait() when `n` arrivals have been counted.
class countdown {
 public:
  explicit countdown(std::int64_t n) : left_(n) {}

  void arrive() {
    if (left_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    over_.store(true, std::memory_order_release);
    over_.notify_one();
  }

  void wait() const { over_.wait(false, std::memory_order_acquire); }

 private:
  std::atomic<std::int64_t> left_;
  std::atomic<bool> over_{false};
};

void run_sheaf(benchmark::State& state, std::int64_t n, int workers) {
  sheaf::runtime runtime(bench::with_workers(workers));
  slots out(n);
  for (auto _ : state) {
    std::vector<sheaf::task<void>> tasks;
    tasks.reserve(static_cast<std::size_t>(n));
    for (std::int64_t i = 0; i < n; ++i) tasks.push_back(runtime.spawn(out.fill(i)));
    for (const auto& task : tasks) task.get();
    out.check_and_clear("submit");
  }
  bench::report(state, n);
}

/// `submit(callable)` is called N times; a counter tells the end.
template <class Submit>
void detached_rounds(benchmark::State& state, std::int64_t n, Submit submit) {
  slots out(n);
  for (auto _ : state) {
    countdown left(n);
    for (std::int64_t i = 0; i < n; ++i) {
      submit([fill = out.fill(i), &left] {
        fill();
        left.arrive();
      });
    }
    left.wait();
    out.check_and_clear("submit");
  }
  bench::report(state, n);
}

void run_sheaf_detached(benchmark::State& state, std::int64_t n, int workers) {
  sheaf::runtime runtime(bench::with_workers(workers));
  detached_rounds(state, n, [&](auto callable) { (void)runtime.spawn(std::move(callable)); });
}

void run_tbb(benchmark::State& state, std::int64_t n, int workers) {
  bench::tbb_pool pool(workers, 1);
  slots out(n);
  pool.run([&] {
    for (auto _ : state) {
      tbb::task_group group;
      for (std::int64_t i = 0; i < n; ++i) group.run(out.fill(i));
      group.wait();
      out.check_and_clear("submit");
    }
  });
  bench::report(state, n);
}

void run_tbb_enqueue(benchmark::State& state, std::int64_t n, int workers) {
  bench::tbb_pool pool(workers, 1);
  detached_rounds(state, n, [&](auto callable) { pool.arena().enqueue(std::move(callable)); });
}

void run_std_async(benchmark::State& state, std::int64_t n, int) {
  slots out(n);
  for (auto _ : state) {
    std::vector<std::future<void>> futures;
    futures.reserve(static_cast<std::size_t>(n));
    for (std::int64_t i = 0; i < n; ++i) futures.push_back(std::async(std::launch::async, out.fill(i)));
    for (auto& each : futures) each.get();
    out.check_and_clear("submit");
  }
  bench::report(state, n);
}

#ifdef SHEAF_BENCH_ASIO
void run_asio(benchmark::State& state, std::int64_t n, int workers) {
  asio::thread_pool pool(static_cast<std::size_t>(workers));
  detached_rounds(state, n, [&](auto callable) { asio::post(pool, std::move(callable)); });
}
#endif

}  // namespace

int main(int argc, char** argv) {
  const bench::sweep over{bench::sizes({1'000, 10'000, 100'000, 1'000'000}, {1'000}), {1, 2, 8}};
  bench::add("submit", "sheaf", run_sheaf, over);
  bench::add("submit", "sheaf_detached", run_sheaf_detached, over);
  bench::add("submit", "tbb", run_tbb, over);
  bench::add("submit", "tbb_enqueue", run_tbb_enqueue, over);
  bench::add("submit", "std_async", run_std_async, {{1'000}, {2}});
#ifdef SHEAF_BENCH_ASIO
  bench::add("submit", "asio", run_asio, over);
#endif
  return bench::run(argc, argv);
}
