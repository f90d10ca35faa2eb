/// @file
/// What does forking cost beside a little work of uneven shape? All solutions of n queens, one task for every partial board.
///
/// sheaf  `when_all(range)` over the boards that survive in the next row
/// tbb    one task_group per board

#include <oneapi/tbb/task_group.h>
#include <sheaf/sheaf.hpp>

#include <array>
#include <cstdlib>
#include <utility>
#include <vector>

#include "support/check.hpp"
#include "support/registry.hpp"
#include "support/sheaf_pool.hpp"
#include "support/tbb_pool.hpp"

namespace {

constexpr int k_largest = 16;
using board = std::array<signed char, k_largest>;

bool fits(const board& queens, int row, int column) {
  for (int r = 0; r < row; ++r) {
    const int distance = std::abs(queens[r] - column);
    if (distance == 0 || distance == row - r) return false;
  }
  return true;
}

board with(board queens, int row, int column) {
  queens[row] = static_cast<signed char>(column);
  return queens;
}

struct census {
  std::int64_t boards = 0, solutions = 0;
};

void count(int n, int row, const board& queens, census& total) {
  ++total.boards;
  if (row == n) ++total.solutions;
  for (int column = 0; row < n && column < n; ++column) {
    if (fits(queens, row, column)) count(n, row + 1, with(queens, row, column), total);
  }
}

sheaf::coro<int> queens_sheaf(int n, int row, board queens) {
  if (row == n) co_return 1;
  std::vector<sheaf::coro<int>> children;
  children.reserve(static_cast<std::size_t>(n));
  for (int column = 0; column < n; ++column) {
    if (fits(queens, row, column)) children.push_back(queens_sheaf(n, row + 1, with(queens, row, column)));
  }
  int solutions = 0;
  for (const int part : co_await sheaf::when_all(std::move(children))) solutions += part;
  co_return solutions;
}

int queens_tbb(int n, int row, const board& queens) {
  if (row == n) return 1;
  std::array<int, k_largest> parts{};
  tbb::task_group group;
  for (int column = 0; column < n; ++column) {
    if (!fits(queens, row, column)) continue;
    group.run([&part = parts[column], next = with(queens, row, column), n, row] { part = queens_tbb(n, row + 1, next); });
  }
  group.wait();
  int solutions = 0;
  for (const int part : parts) solutions += part;
  return solutions;
}

void run_sheaf(benchmark::State& state, std::int64_t n, int workers) {
  census expected;
  count(static_cast<int>(n), 0, {}, expected);
  sheaf::runtime runtime(bench::with_workers(workers));
  for (auto _ : state) bench::check(runtime.run(queens_sheaf(static_cast<int>(n), 0, {})), expected.solutions, "nqueens");
  bench::report(state, expected.boards);
}

void run_tbb(benchmark::State& state, std::int64_t n, int workers) {
  census expected;
  count(static_cast<int>(n), 0, {}, expected);
  bench::tbb_pool pool(workers);
  for (auto _ : state)
    bench::check(pool.run([n] { return queens_tbb(static_cast<int>(n), 0, {}); }), expected.solutions, "nqueens");
  bench::report(state, expected.boards);
}

}  // namespace

int main(int argc, char** argv) {
  const bench::sweep over{bench::sizes({10, 13}, {8}), {1, 2, 8}};
  bench::add("nqueens", "sheaf", run_sheaf, over);
  bench::add("nqueens", "tbb", run_tbb, over);
  return bench::run(argc, argv);
}
