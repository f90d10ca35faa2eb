/// @file
/// How many bytes does a task take that waits? Each figure comes from a process of its own: what is resident with N of them, less what
/// was resident before, divided by N. Handles, queues and timers count.
///
/// memory_callable   callables that have not begun
/// memory_coroutine  coroutines that return a number and have not begun
/// memory_sleeping   coroutines asleep
///
/// sheaf  handles kept;  tbb  task_group, while its thread is busy;  asio  posted to an io_context that does not run

#include <oneapi/tbb/task_group.h>
#include <sheaf/sheaf.hpp>

#include <atomic>
#include <chrono>
#include <vector>

#include "support/peers.hpp"
#include "support/registry.hpp"
#include "support/resident.hpp"
#include "support/sheaf_pool.hpp"
#include "support/tbb_pool.hpp"

namespace {

using bench::resident;
using namespace std::chrono_literals;

/// On the only worker: what is spawned stays queued. Once around before, so that what exists once does not count.
template <class Make>
sheaf::coro<> spawn_some(resident& memory, std::int64_t n, Make make) {
  using task = decltype(sheaf::spawn(make(0)));
  {
    task first = sheaf::spawn(make(0));
    co_await first;
  }
  std::vector<task> tasks;
  memory.begin();
  tasks.reserve(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) tasks.push_back(sheaf::spawn(make(i)));
  memory.end();
}

void callables_sheaf(resident& memory, std::int64_t n) {
  sheaf::runtime runtime(bench::with_workers(1));
  const auto make = [](int i) { return [i] { return i; }; };
  runtime.run(spawn_some(memory, n, make));
}

void coroutines_sheaf(resident& memory, std::int64_t n) {
  sheaf::runtime runtime(bench::with_workers(1));
  runtime.run(spawn_some(memory, n, bench::return_index));
}

sheaf::coro<> sleeper() { co_await sheaf::sleep_for(1h); }

sheaf::coro<> sleep_all(resident& memory, std::int64_t n) {
  std::vector<sheaf::scoped_task<>> tasks;
  tasks.reserve(static_cast<std::size_t>(n) + 1);
  tasks.emplace_back(sheaf::spawn(sleeper()));
  co_await sheaf::this_task::yield();
  memory.begin();
  for (std::int64_t i = 0; i < n; ++i) {
    tasks.emplace_back(sheaf::spawn(sleeper()));
    if (i % 64 == 0) co_await sheaf::this_task::yield();
  }
  co_await sheaf::this_task::yield();
  memory.end();
}

void sleepers_sheaf(resident& memory, std::int64_t n) {
  sheaf::runtime runtime(bench::with_workers(1));
  runtime.run(sleep_all(memory, n));
}

void callables_tbb(resident& memory, std::int64_t n) {
  bench::tbb_pool pool(1);
  pool.run([&] {
    tbb::task_group group;
    std::atomic<std::int64_t> sum{0};
    group.run([] {});
    group.wait();
    memory.begin();
    for (std::int64_t i = 0; i < n; ++i) group.run([&sum, i] { sum += i; });
    memory.end();
    group.wait();
  });
}

#ifdef SHEAF_BENCH_ASIO
void callables_asio(resident& memory, std::int64_t n) {
  asio::io_context context(1);
  std::int64_t sum = 0;
  asio::post(context, [] {});
  context.run();
  memory.begin();
  for (std::int64_t i = 0; i < n; ++i) asio::post(context, [&sum, i] { sum += i; });
  memory.end();
}

void sleepers_asio(resident& memory, std::int64_t n) {
  asio::io_context context(1);
  memory.begin();
  std::vector<asio::steady_timer> timers;
  timers.reserve(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) {
    timers.emplace_back(context, 1h);
    timers.back().async_wait([](const asio::error_code&) {});
  }
  memory.end();
}
#endif

template <void (*Fill)(resident&, std::int64_t)>
void run(benchmark::State& state, std::int64_t n, int) {
  double bytes = 0;
  for (auto _ : state) bytes = bench::resident_growth(Fill, n);
  state.counters["bytes"] = bytes / static_cast<double>(n);
}

}  // namespace

int main(int argc, char** argv) {
  const bench::sweep over{bench::sizes({10'000, 100'000, 1'000'000}, {10'000}), {1}};
  bench::add("memory_callable", "sheaf", run<callables_sheaf>, over)->Iterations(1);
  bench::add("memory_callable", "tbb", run<callables_tbb>, over)->Iterations(1);
  bench::add("memory_coroutine", "sheaf", run<coroutines_sheaf>, over)->Iterations(1);
  bench::add("memory_sleeping", "sheaf", run<sleepers_sheaf>, over)->Iterations(1);
#ifdef SHEAF_BENCH_ASIO
  bench::add("memory_callable", "asio", run<callables_asio>, over)->Iterations(1);
  bench::add("memory_sleeping", "asio", run<sleepers_asio>, over)->Iterations(1);
#endif
  return bench::run(argc, argv);
}
