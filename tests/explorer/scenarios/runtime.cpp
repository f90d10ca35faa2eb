/// A whole runtime: its workers, timer thread and blocking threads are explored threads too.
#include <array>
#include <functional>
#include <optional>
#include <utility>

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

/// A callback for a task that is complete is called before shutdown returns, or refused.
void shutdown_against_on_done() {
  int registered = 0, called = 0;
  runtime rt({.workers = 1});
  const task<int> t = rt.spawn(value, 7);
  check(t.get() == 7, "the value");
  together({[&] {
              try {
                t.on_done([&called] { ++called; });
                registered = 1;
              } catch (const runtime_closed&) {
              }
            },
            [&] { rt.shutdown(); }});
  check(called == registered, "each registered callback is called once");
}

/// The hook and the clock are the owner's: nobody uses them any more when the runtime has gone.
void end_against_report() {
  int in_hook = 0;
  bool gone = false;
  std::optional<runtime> rt(std::in_place, runtime_options{.workers = 1, .on_unobserved_error = [&](auto, const auto&) {
                                                             check(!gone, "not after the runtime's end");
                                                             ++in_hook;
                                                           }});
  task<> t = rt->spawn([]() -> void { throw 5; });
  while (!t.done()) pause();
  together({[&] { t = {}; },
            [&] {
              rt.reset();
              gone = true;
            }});
}

/// Both tasks of an abandoned call start, or none.
void shutdown_against_abandon() {
  bool ran = false, refused = false;
  runtime rt({.workers = 1});
  together({[&] {
              try {
                wait_out(rt.spawn_blocking(abandon, [&ran] { ran = true; }));
              } catch (const runtime_closed&) {
                refused = true;
              }
            },
            [&] { rt.shutdown(); }});
  check(!(ran && refused), "a refused call does not run");
}

const std::array k_scenarios{
    scenario{"runtime.spawn_and_get", spawn_and_get, {.preemptions = 1, .random_runs = 1000}},
    scenario{"runtime.shutdown_against_spawn", shutdown_against_spawn, {.preemptions = 1, .random_runs = 1000}},
    scenario{"runtime.shutdown_against_on_done", shutdown_against_on_done, {.preemptions = 1, .random_runs = 1000}},
    scenario{"runtime.end_against_report", end_against_report, {.preemptions = 1, .random_runs = 1000}},
    scenario{"runtime.shutdown_against_abandon", shutdown_against_abandon, {.preemptions = 1, .random_runs = 1000}},
};

}  // namespace

std::span<const scenario> runtime_scenarios() { return k_scenarios; }

}  // namespace explorer
