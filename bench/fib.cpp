/// @file
/// What does a fork and a join cost when the work itself is nothing? fib(36) without a cutoff: every node forks both children.
///
/// sheaf             `when_all` of two coroutines per node
/// tbb               one task_group per node; one child is a task, the other a plain call (two tasks are slower)
/// tbb_continuation  no waiting: a heap-allocated join node per fork, whose last child goes on; one child is returned to the
///                   scheduler as the next task (task bypass)

#define TBB_PREVIEW_TASK_GROUP_EXTENSIONS 1  // a task may return the next one
#include <oneapi/tbb/task_group.h>
#include <sheaf/sheaf.hpp>

#include <atomic>
#include <utility>

#include "support/check.hpp"
#include "support/registry.hpp"
#include "support/sheaf_pool.hpp"
#include "support/tbb_pool.hpp"

namespace {

using number = std::int64_t;

constexpr number fib(number n) {
  number a = 0, b = 1;
  for (; n > 0; --n) b += std::exchange(a, b);
  return a;
}

/// Calls of the naive recursion, leaves included.
constexpr number nodes(number n) { return 2 * fib(n + 1) - 1; }

sheaf::coro<number> fib_sheaf(number n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await sheaf::when_all(fib_sheaf(n - 1), fib_sheaf(n - 2));
  co_return a + b;
}

number fib_tbb(number n) {
  if (n < 2) return n;
  number a;
  tbb::task_group group;
  group.run([&a, n] { a = fib_tbb(n - 1); });
  const number b = fib_tbb(n - 2);
  group.wait();
  return a + b;
}

struct join_node {
  join_node* parent;
  number* result;
  number a = 0, b = 0;
  std::atomic<int> missing{2};
};

/// Hands a result up; each join node whose last child this was is finished on the way.
void finish(join_node* join, number* result, number value) {
  for (;;) {
    *result = value;
    if (join == nullptr || join->missing.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    value = join->a + join->b;
    result = join->result;
    delete std::exchange(join, join->parent);
  }
}

tbb::task_handle fib_tbb_continuation(tbb::task_group& group, number n, join_node* parent, number* result) {
  if (n < 2) {
    finish(parent, result, n);
    return {};
  }
  auto* join = new join_node{parent, result};
  group.run([&group, n, join] { return fib_tbb_continuation(group, n - 1, join, &join->a); });
  return group.defer([&group, n, join] { return fib_tbb_continuation(group, n - 2, join, &join->b); });
}

void run_sheaf(benchmark::State& state, number n, int workers) {
  sheaf::runtime runtime(bench::with_workers(workers));
  for (auto _ : state) bench::check(runtime.run(fib_sheaf(n)), fib(n), "fib");
  bench::report(state, nodes(n));
}

void run_tbb(benchmark::State& state, number n, int workers) {
  bench::tbb_pool pool(workers);
  for (auto _ : state) bench::check(pool.run([n] { return fib_tbb(n); }), fib(n), "fib");
  bench::report(state, nodes(n));
}

void run_tbb_continuation(benchmark::State& state, number n, int workers) {
  bench::tbb_pool pool(workers);
  for (auto _ : state) {
    number result = 0;
    pool.run([&result, n] {
      tbb::task_group group;
      group.run([&] { return fib_tbb_continuation(group, n, nullptr, &result); });
      group.wait();
    });
    bench::check(result, fib(n), "fib");
  }
  bench::report(state, nodes(n));
}

}  // namespace

int main(int argc, char** argv) {
  const bench::sweep over{bench::sizes({36}, {24}), {1, 2, 8}};
  bench::add("fib", "sheaf", run_sheaf, over);
  bench::add("fib", "tbb", run_tbb, over);
  bench::add("fib", "tbb_continuation", run_tbb_continuation, over);
  return bench::run(argc, argv);
}
