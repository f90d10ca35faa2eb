/// @file
/// What does a completion cost in `while (!pending.empty()) done = co_await wait(pending, first_completed)`, and does it stay
/// flat as N grows? In asyncio, and wherever each wait registers anew with everything pending, it grows with N.
///
/// sheaf             N callables, spawned just before the loop: completions arrive in bursts
/// sheaf_one_by_one  N coroutines at a semaphore, one permit before each wait: each wait sees one completion, all others pending
/// tbb               a hand-made queue: N tasks push, one thread of the arena pops one and then all that is there; when it finds
///                   nothing, it runs all tasks that are left

#include <oneapi/tbb/concurrent_queue.h>
#include <oneapi/tbb/task_group.h>
#include <sheaf/sheaf.hpp>

#include <utility>
#include <vector>

#include "support/check.hpp"
#include "support/registry.hpp"
#include "support/sheaf_pool.hpp"
#include "support/tbb_pool.hpp"

namespace {

void check(std::int64_t sum, std::int64_t n) { bench::check(sum, bench::sum_below(n), "wait_loop"); }

std::int64_t sum_of(const std::vector<sheaf::task<int>>& done) {
  std::int64_t sum = 0;
  for (const auto& task : done) sum += task.result();
  return sum;
}

sheaf::coro<> rounds(benchmark::State& state, std::int64_t n) {
  const sheaf::wait_options first{.return_when = sheaf::first_completed};
  for (auto _ : state) {
    std::vector<sheaf::task<int>> tasks;
    tasks.reserve(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) tasks.push_back(sheaf::spawn([i] { return i; }));
    auto [done, pending] = co_await sheaf::wait(std::move(tasks), first);
    std::int64_t sum = sum_of(done);
    while (!pending.empty()) {
      done = co_await sheaf::wait(pending, first);
      sum += sum_of(done);
    }
    check(sum, n);
  }
}

sheaf::coro<int> pass(sheaf::semaphore& gate, int index) {
  sheaf::permit taken = co_await gate.acquire();
  taken.detach();
  co_return index;
}

sheaf::coro<> rounds_one_by_one(benchmark::State& state, std::int64_t n) {
  const sheaf::wait_options first{.return_when = sheaf::first_completed};
  for (auto _ : state) {
    sheaf::semaphore gate(1);
    std::vector<sheaf::task<int>> tasks;
    tasks.reserve(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) tasks.push_back(sheaf::spawn(pass(gate, i)));
    auto [done, pending] = co_await sheaf::wait(std::move(tasks), first);
    std::int64_t sum = sum_of(done);
    while (!pending.empty()) {
      gate.release();
      done = co_await sheaf::wait(pending, first);
      bench::check(std::ssize(done), 1, "wait_loop, one by one");
      sum += sum_of(done);
    }
    check(sum, n);
  }
}

template <sheaf::coro<> (*Rounds)(benchmark::State&, std::int64_t)>
void run_sheaf(benchmark::State& state, std::int64_t n, int workers) {
  sheaf::runtime runtime(bench::with_workers(workers));
  runtime.run(Rounds(state, n));
  bench::report(state, n);
}

void run_tbb(benchmark::State& state, std::int64_t n, int workers) {
  bench::tbb_pool pool(workers);
  pool.run([&] {
    for (auto _ : state) {
      tbb::concurrent_queue<int> completed;
      tbb::task_group group;
      for (int i = 0; i < n; ++i) group.run([&completed, i] { completed.push(i); });
      std::int64_t sum = 0;
      std::vector<int> done;
      for (std::int64_t left = n; left > 0; left -= std::ssize(done)) {
        done.assign(1, 0);
        while (!completed.try_pop(done.front())) group.wait();
        for (int value = 0; completed.try_pop(value);) done.push_back(value);
        for (const int value : done) sum += value;
      }
      group.wait();
      check(sum, n);
    }
  });
  bench::report(state, n);
}

}  // namespace

int main(int argc, char** argv) {
  const bench::sweep over{bench::sizes({100, 1'000, 10'000, 100'000, 1'000'000}, {100, 1'000}), {1, 2, 8}};
  bench::add("wait_loop", "sheaf", run_sheaf<rounds>, over);
  bench::add("wait_loop", "sheaf_one_by_one", run_sheaf<rounds_one_by_one>, over);
  bench::add("wait_loop", "tbb", run_tbb, over);
  return bench::run(argc, argv);
}
