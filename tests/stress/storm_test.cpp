/// Sixteen threads outside, eight workers: tasks are started, awaited, cancelled, dropped and looked at, all at once.
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <exception>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <sheaf/sheaf.hpp>

#include "stress/weather.hpp"

namespace sheaf::stress {
namespace {

using namespace std::chrono_literals;

constexpr int k_depth = 3;
/// Above that, whoever starts tasks waits for some.
constexpr std::size_t k_enough = 5000;

void call_back(const task<counted>& when_done, ledger& accounts) {
  ++accounts.callbacks;
  when_done.on_done([&accounts] { --accounts.callbacks; });
}

/// What a thread outside does once.
void visit(runtime& rt, weather& in, dice& roll) {
  const auto start = [&] { return rt.spawn(act(in, roll.seed(), k_depth)); };
  if (rt.metrics().live_tasks > k_enough) {
    survives(in.accounts, [&] { static_cast<void>(start().get()); });
    return;
  }
  switch (roll.below(8)) {
    case 0:
      survives(in.accounts, [&] { static_cast<void>(start().get()); });
      break;
    case 1: {
      const task<counted> mine = start();
      call_back(mine, in.accounts);
      mine.cancel("from outside");
      survives(in.accounts, [&] { static_cast<void>(mine.get()); });
      break;
    }
    case 2:
      call_back(start(), in.accounts);
      break;
    case 3:
      in.tasks.put(roll, start());
      break;
    case 4: {
      const task<counted> other = in.tasks.pick(roll);
      if (other) survives(in.accounts, [&] { static_cast<void>(other.get()); });
      break;
    }
    case 5: {
      const entered here = rt.enter();
      const std::vector<task<counted>> three{start(), start(), start()};
      survives(in.accounts, [&] { static_cast<void>(gather(three).get()); });
      break;
    }
    case 6: {
      const task<counted> other = in.tasks.pick(roll);
      if (other) other.cancel("from outside");
      break;
    }
    default:
      for (const any_task& each : rt.tasks()) {
        if (roll.one_in(100)) each.cancel("from outside");
      }
      if (roll.one_in(10)) static_cast<void>(rt.dump());
      break;
  }
}

void storm(std::uint64_t seed) {
  watchdog watch;
  weather in;
  {
    runtime_options options{.workers = 8, .max_blocking_threads = 8};
    options.on_unobserved_error = [&in](std::string_view, const std::exception_ptr& error) {
      survives(in.accounts, [&] { std::rethrow_exception(error); });
    };
    runtime rt(std::move(options));
    watch.add(rt);
    const moment end(500ms);
    std::vector<std::thread> outside;
    for (std::uint64_t i = 0; i < 16; ++i) {
      outside.emplace_back([&rt, &in, &end, own = seed * 16 + i] {
        dice roll(own);
        while (!end.has_come()) visit(rt, in, roll);
      });
    }
    for (std::thread& each : outside) each.join();
    calm_down(rt);
    watch.remove(rt);
  }
  in.expect_calm();
}

TEST(Storm, OfEverything) { repeat(storm); }

}  // namespace
}  // namespace sheaf::stress
