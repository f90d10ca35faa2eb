/// A whole runtime: its workers, timer thread and blocking threads are explored threads too.
#include <array>
#include <functional>

#include <sheaf/sheaf.hpp>

#include "explorer/scenarios/scenarios.hpp"

namespace explorer {

namespace {

using namespace sheaf;
using namespace std::chrono_literals;

coro<int> value(int which) { co_return which; }

void spawn_and_get() {
  runtime rt({.workers = 1});
  const task<int> t = rt.spawn(value, 7);
  check(t.get() == 7, "the value");
}

/// A task that nothing but shutdown would end is refused, or asked to stop.
void shutdown_against_spawn() {
  runtime rt({.workers = 1});
  event never;
  const auto waits = [](event& never) -> coro<> { co_await never.wait(); };
  together({[&] {
              try {
                rt.spawn(waits, std::ref(never)).get();
              } catch (const runtime_closed&) {
              } catch (const task_cancelled&) {
              }
            },
            [&] { rt.shutdown(); }});
}

const std::array k_scenarios{
    scenario{"runtime.spawn_and_get", spawn_and_get, {.preemptions = 1, .random_runs = 1000}},
    scenario{"runtime.shutdown_against_spawn", shutdown_against_spawn, {.preemptions = 1, .random_runs = 1000}},
};

}  // namespace

std::span<const scenario> runtime_scenarios() { return k_scenarios; }

}  // namespace explorer
