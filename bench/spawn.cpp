/// @file
/// What does it cost a worker to spawn an independent task and to join it later? A million of them; each fills its own slot.
///
/// sheaf           `spawn` of a callable, handles kept, each awaited in turn
/// sheaf_group     the same callables as children of `with_task_group`
/// sheaf_when_all  coroutines instead of callables, `when_all(range)`
/// tbb             task_group inside the arena

#include <oneapi/tbb/task_group.h>
#include <sheaf/sheaf.hpp>

#include <numeric>
#include <utility>
#include <vector>

#include "support/check.hpp"
#include "support/registry.hpp"
#include "support/sheaf_pool.hpp"
#include "support/tbb_pool.hpp"

namespace {

using values = std::vector<std::int64_t>;

auto fill(values& out, std::int64_t i) {
  return [slot = &out[static_cast<std::size_t>(i)], i] { *slot = i; };
}

sheaf::coro<> fill_coroutine(std::int64_t* slot, std::int64_t i) {
  *slot = i;
  co_return;
}

void check_and_clear(values& out) {
  bench::check(std::accumulate(out.begin(), out.end(), std::int64_t{0}), bench::sum_below(std::ssize(out)), "spawn");
  out.assign(out.size(), 0);
}

sheaf::coro<> spawn_and_await(values& out) {
  std::vector<sheaf::task<void>> tasks;
  tasks.reserve(out.size());
  for (std::int64_t i = 0; i < std::ssize(out); ++i) tasks.push_back(sheaf::spawn(fill(out, i)));
  for (auto& task : tasks) co_await std::move(task);
}

sheaf::coro<> spawn_in_group(values& out) {
  auto body = [&out](sheaf::task_group& group) -> sheaf::coro<> {
    for (std::int64_t i = 0; i < std::ssize(out); ++i) (void)group.spawn(fill(out, i));
    co_return;
  };
  co_await sheaf::with_task_group(body);
}

sheaf::coro<> spawn_when_all(values& out) {
  std::vector<sheaf::coro<>> children;
  children.reserve(out.size());
  for (std::int64_t i = 0; i < std::ssize(out); ++i) children.push_back(fill_coroutine(&out[static_cast<std::size_t>(i)], i));
  co_await sheaf::when_all(std::move(children));
}

/// The rounds run on a worker: reaching the runtime from outside is another question.
template <sheaf::coro<> (*Round)(values&)>
sheaf::coro<> rounds(benchmark::State& state, std::int64_t n) {
  values out(static_cast<std::size_t>(n));
  for (auto _ : state) {
    co_await Round(out);
    check_and_clear(out);
  }
}

template <sheaf::coro<> (*Round)(values&)>
void run_sheaf(benchmark::State& state, std::int64_t n, int workers) {
  sheaf::runtime runtime(bench::with_workers(workers));
  runtime.run(rounds<Round>(state, n));
  bench::report(state, n);
}

void run_tbb(benchmark::State& state, std::int64_t n, int workers) {
  bench::tbb_pool pool(workers);
  values out(static_cast<std::size_t>(n));
  pool.run([&] {
    for (auto _ : state) {
      tbb::task_group group;
      for (std::int64_t i = 0; i < n; ++i) group.run(fill(out, i));
      group.wait();
      check_and_clear(out);
    }
  });
  bench::report(state, n);
}

}  // namespace

int main(int argc, char** argv) {
  const bench::sweep over{bench::sizes({1'000, 10'000, 100'000, 1'000'000}, {1'000}), {1, 2, 8}};
  bench::add("spawn", "sheaf", run_sheaf<spawn_and_await>, over);
  bench::add("spawn", "sheaf_group", run_sheaf<spawn_in_group>, over);
  bench::add("spawn", "sheaf_when_all", run_sheaf<spawn_when_all>, over);
  bench::add("spawn", "tbb", run_tbb, over);
  return bench::run(argc, argv);
}
