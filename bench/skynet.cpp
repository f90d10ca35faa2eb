/// @file
/// What does a wide fork cost? Skynet: a tree with ten children per node, whose leaves return their index and whose nodes add up.
///
/// sheaf        ten-way `when_all(a, b, ...)` per node
/// sheaf_range  `when_all(range)` over a vector of ten coroutines per node
/// tbb          one task_group per node, ten tasks

#include <oneapi/tbb/task_group.h>
#include <sheaf/sheaf.hpp>

#include <array>
#include <utility>
#include <vector>

#include "support/check.hpp"
#include "support/registry.hpp"
#include "support/sheaf_pool.hpp"
#include "support/tbb_pool.hpp"

namespace {

using number = std::int64_t;
constexpr std::size_t k_fan = 10;

/// Tasks of the tree with `leaves` leaves, the inner ones included.
constexpr number nodes(number leaves) { return leaves == 1 ? 1 : leaves + nodes(leaves / number{k_fan}); }

sheaf::coro<number> skynet_sheaf(number first, number leaves);

template <std::size_t... I>
auto fork(number first, number share, std::index_sequence<I...>) {
  return sheaf::when_all(skynet_sheaf(first + number{I} * share, share)...);
}

sheaf::coro<number> skynet_sheaf(number first, number leaves) {
  if (leaves == 1) co_return first;
  const auto parts = co_await fork(first, leaves / number{k_fan}, std::make_index_sequence<k_fan>());
  co_return std::apply([](auto... part) { return (part + ...); }, parts);
}

sheaf::coro<number> skynet_sheaf_range(number first, number leaves) {
  if (leaves == 1) co_return first;
  const number share = leaves / number{k_fan};
  std::vector<sheaf::coro<number>> children;
  children.reserve(k_fan);
  for (std::size_t i = 0; i < k_fan; ++i) children.push_back(skynet_sheaf_range(first + number(i) * share, share));
  number sum = 0;
  for (const number part : co_await sheaf::when_all(std::move(children))) sum += part;
  co_return sum;
}

number skynet_tbb(number first, number leaves) {
  if (leaves == 1) return first;
  const number share = leaves / number{k_fan};
  std::array<number, k_fan> parts;
  tbb::task_group group;
  for (std::size_t i = 0; i < k_fan; ++i) {
    group.run([&part = parts[i], from = first + number(i) * share, share] { part = skynet_tbb(from, share); });
  }
  group.wait();
  number sum = 0;
  for (const number part : parts) sum += part;
  return sum;
}

template <sheaf::coro<number> (*Skynet)(number, number)>
void run_sheaf(benchmark::State& state, number leaves, int workers) {
  sheaf::runtime runtime(bench::with_workers(workers));
  for (auto _ : state) bench::check(runtime.run(Skynet(0, leaves)), bench::sum_below(leaves), "skynet");
  bench::report(state, nodes(leaves));
}

void run_tbb(benchmark::State& state, number leaves, int workers) {
  bench::tbb_pool pool(workers);
  for (auto _ : state) bench::check(pool.run([leaves] { return skynet_tbb(0, leaves); }), bench::sum_below(leaves), "skynet");
  bench::report(state, nodes(leaves));
}

}  // namespace

int main(int argc, char** argv) {
  const bench::sweep over{bench::sizes({100'000, 10'000'000}, {10'000}), {1, 2, 8}};
  bench::add("skynet", "sheaf", run_sheaf<skynet_sheaf>, over);
  bench::add("skynet", "sheaf_range", run_sheaf<skynet_sheaf_range>, over);
  bench::add("skynet", "tbb", run_tbb, over);
  return bench::run(argc, argv);
}
