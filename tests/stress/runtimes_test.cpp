/// Runtimes come and go while tasks of others wait for, cancel and call back theirs.
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

constexpr int k_depth = 2;

/// From the first task of a runtime to its end.
void live(weather& in, watchdog& watch, dice& roll) {
  runtime_options options{.workers = static_cast<std::size_t>(roll.below(3)) + 1,
                          .max_blocking_threads = 2,
                          .blocking_keep_alive = roll.at_most(1ms),
                          .callers_help = roll.one_in(2)};
  options.on_unobserved_error = [&in](std::string_view, const std::exception_ptr& error) {
    survives(in.accounts, [&] { std::rethrow_exception(error); });
  };
  runtime rt(std::move(options));
  watch.add(rt);
  for (int left = roll.below(20); left > 0; --left) {
    task<counted> mine = rt.spawn(act(in, roll.seed(), k_depth));
    if (roll.one_in(3)) {
      survives(in.accounts, [&] { static_cast<void>(mine.get()); });
    } else if (roll.one_in(2)) {
      in.tasks.put(roll, std::move(mine));
    } else if (const task<counted> other = in.tasks.pick(roll)) {
      survives(in.accounts, [&] {
        // A task of this runtime waits for one of another, or of one that has gone.
        rt.spawn([](task<counted> other) -> coro<> { static_cast<void>(co_await other); }, other).get();
      });
    }
  }
  // Until it has ended: a destructor after a `false` leaves behind what waits for blocking calls.
  if (roll.one_in(3)) {
    while (!rt.shutdown_for(roll.at_most(200us))) {
    }
  }
  watch.remove(rt);
}

void come_and_go(std::uint64_t seed) {
  watchdog watch;
  weather in;
  {
    const moment end(500ms);
    std::vector<std::thread> owners;
    for (std::uint64_t i = 0; i < 6; ++i) {
      owners.emplace_back([&in, &watch, &end, own = seed * 6 + i] {
        dice roll(own);
        while (!end.has_come()) live(in, watch, roll);
      });
    }
    for (std::thread& each : owners) each.join();
  }
  in.expect_calm();
}

TEST(Runtimes, ComeAndGo) { repeat(come_and_go); }

}  // namespace
}  // namespace sheaf::stress
