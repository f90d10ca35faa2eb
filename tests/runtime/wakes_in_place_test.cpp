/// The end of a task goes on with its waiter on the same worker: what that may not do to the others.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <vector>

#include <sheaf/runtime.hpp>

#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using test::gate;

constexpr int k_chain = 100;

coro<> spawns_one_more(gate go, std::atomic<int>& ended, std::atomic<int>& ended_before_it) {
  co_await go;
  spawn([](std::atomic<int>& ended, std::atomic<int>& seen) { seen.store(ended.load()); }, std::ref(ended),
        std::ref(ended_before_it));
  ended.fetch_add(1);
}

coro<> ends_after(task<> one, std::atomic<int>& ended) {
  co_await one;
  ended.fetch_add(1);
}

/// Each of a chain of tasks awaits the one before. What the first of them has made runnable has its turn before the last.
TEST(WakesInPlace, AChainOfThemLetsOthersInBetween) {
  runtime rt({.workers = 2});
  const gate occupied, release, go;
  const task<> occupying = rt.spawn(
      [](gate occupied, gate release) {
        occupied.open();
        release.wait();
      },
      occupied, release);
  occupied.wait();

  std::atomic<int> ended{0}, ended_before_it{k_chain};
  std::vector<task<>> chain{rt.spawn(spawns_one_more, go, std::ref(ended), std::ref(ended_before_it))};
  while (chain.size() < k_chain) chain.push_back(rt.spawn(ends_after, chain.back(), std::ref(ended)));
  for (const task<>& each : chain) test::spin_until([&each] { return test::is_parked(each); });
  go.open();
  chain.back().get();
  release.open();
  occupying.get();
  EXPECT_LT(ended_before_it.load(), k_chain);
}

}  // namespace
}  // namespace sheaf
