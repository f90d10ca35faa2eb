/// A whole runtime: its workers, timer thread and blocking threads are explored threads too.
#if __has_feature(address_sanitizer)
#include <sanitizer/lsan_interface.h>
#endif

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include <sheaf/inline_executor.hpp>
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
            [&] {
              rt.shutdown();
              check(rt.metrics().live_tasks == 0, "nothing is left");
            }});
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

void shutdown_against_sleep() {
  runtime rt({.workers = 1});
  const task<> t = rt.spawn([]() -> coro<> { co_await sleep_for(1ms); });
  together({[&] { rt.shutdown(); }});
  check(t.done(), "ended by time or by shutdown");
}

/// Both return when all has ended.
void two_shutdowns() {
  runtime rt({.workers = 1});
  event never;
  const auto waits = [](event& never) -> coro<> { co_await never.wait(); };
  const task<> t = rt.spawn(waits, std::ref(never));
  const auto ends = [&] {
    rt.shutdown();
    check(t.cancelled(), "asked to stop");
  };
  together({ends, ends});
}

/// A limit that passes while the last task ends: nothing has been stopped, and the second try is whole.
void shutdown_twice_against_the_last_end() {
  event never;
  runtime rt({.workers = 1});
  sheaf::detail::sync::parker begun;
  const task<> t = rt.spawn([&]() -> coro<> {
    begun.signal();
    try {
      co_await never.wait();
    } catch (const cancelled&) {
    }
    co_await sleep_for(1ms);  // asked once more, it ends here
  });
  begun.wait();
  const bool in_time = rt.shutdown_for(1ms);
  check(!in_time || (t.done() && !t.cancelled()), "its cleanup was waited for");
  rt.shutdown();
  check(t.done(), "waited for");
}

void shutdown_against_cancel() {
  runtime rt({.workers = 1});
  event never;
  int requests = 0;
  const auto waits = [](event& never, int& requests) -> coro<> {
    const auto held = this_task::token().on_cancel([&requests] { ++requests; });
    co_await never.wait();
  };
  const task<> t = rt.spawn(waits, std::ref(never), std::ref(requests));
  together({[&] { t.cancel(); }, [&] { rt.shutdown(); }});
  check(t.cancelled() && requests <= 1, "asked, and told once");
}

/// A group is asked to stop by shutdown while it starts children and one of them fails.
void shutdown_against_a_group() {
  int alive = 0;
  {
    runtime rt({.workers = 1});
    const auto child = [](int& alive, bool fails) -> coro<> {
      ++alive;
      try {
        if (fails) throw 7;
        co_await sleep_for(1h);
      } catch (...) {
        --alive;
        throw;
      }
    };
    const auto body = [&](task_group& group) -> coro<> {
      group.spawn(child, std::ref(alive), false);
      co_await this_task::yield();
      group.spawn(child, std::ref(alive), true);
    };
    const task<> t = rt.spawn([&]() -> coro<> { co_await with_task_group(body); });
    together({[&] { rt.shutdown(); }});
    try {
      t.get();
    } catch (const exception_group&) {
    } catch (const task_cancelled&) {
    }
  }
  check(alive == 0, "no child outlives it");
}

/// What the thread allocates meanwhile is no leak.
class keeps_for_ever {
#if __has_feature(address_sanitizer)
 public:
  keeps_for_ever() { __lsan_disable(); }
  keeps_for_ever(const keeps_for_ever&) = delete;
  keeps_for_ever& operator=(const keeps_for_ever&) = delete;
  ~keeps_for_ever() { __lsan_enable(); }
#endif
};

/// A call returns just as shutdown's limit passes: it is waited for, or left behind, and then uses nothing that has gone.
void left_behind(manual_clock* clock) {
  std::optional<runtime> rt;
  {
    [[maybe_unused]] const keeps_for_ever core;  // one that has left something behind
    rt.emplace(runtime_options{.workers = 1, .clock = clock, .max_blocking_threads = 1, .shutdown_limit = 0ms});
  }
  sheaf::detail::sync::parker begun, word;
  const task<> call = rt->spawn_blocking([&] {
    begun.signal();
    word.wait();
  });
  begun.wait();
  together({[&] { rt.reset(); }, [&] { word.signal(); }});
  while (!call.done()) pause();
}
void call_returns_at_the_limit() { left_behind(nullptr); }
void call_returns_at_the_limit_on_manual_time() {
  manual_clock clock;
  left_behind(&clock);
  clock.advance(1s);
  check(clock.now() == 1s, "time does not wait for what was left behind");
}

/// A call returns as the limit passes, and lets an instant come that wakes what refuses to stop: it is queued, or dropped and counted off.
void left_behind_in_an_instant() {
  manual_clock clock;
  sheaf::detail::sync::parker begun, word;
  std::optional<runtime> rt;
  task<> call, sleeper;
  {
    [[maybe_unused]] const keeps_for_ever core;  // and the sleeper
    rt.emplace(runtime_options{.workers = 1, .clock = &clock, .max_blocking_threads = 1, .shutdown_limit = 0ms});
    call = rt->spawn_blocking([&] {
      begun.signal();
      word.wait();
    });
    sleeper = rt->spawn([]() -> coro<> {
      try {
        co_await sleep_for(1h);
      } catch (const cancelled&) {
      }
      co_await sleep_for(1s);
    });
  }
  begun.wait();
  together({[&] { rt.reset(); }, [&] { word.signal(); }, [&] { clock.advance(1s); }});
  while (!call.done()) pause();
  const std::chrono::nanoseconds before = clock.now();
  clock.advance(1s);
  check(clock.now() == before + 1s, "time does not wait for what was left behind");
}

coro<> waits_for_ever(event& never) {
  for (;;) {
    try {
      co_await never.wait();
    } catch (const cancelled&) {
    }
  }
}

/// A request from outside wakes what refuses to stop while its runtime is left behind. It was queued when the pool had ended, and counted by
/// the clock for ever.
void left_behind_against_cancel() {
  manual_clock clock;
  sheaf::detail::sync::parker begun, word;
  std::optional<runtime> rt;
  task<> call, stays;
  {
    [[maybe_unused]] const keeps_for_ever core;  // and the task, with what it waits for
    event& never = *new event;
    rt.emplace(runtime_options{.workers = 1, .clock = &clock, .max_blocking_threads = 1, .shutdown_limit = 0ms});
    call = rt->spawn_blocking([&] {
      begun.signal();
      word.wait();
    });
    stays = rt->spawn(waits_for_ever, std::ref(never));
  }
  begun.wait();
  together({[&] { rt.reset(); }, [&] { stays.cancel(); }});
  word.signal();
  while (!call.done()) pause();
  clock.advance(1s);
  check(clock.now() == 1s, "time does not wait for what was left behind");
}

/// The same on a host's executor, which goes when its runtime has gone: it was posted to afterwards.
void host_left_behind_against_cancel() {
  sheaf::detail::sync::parker begun, word;
  auto host = std::make_unique<inline_executor>();
  std::optional<runtime> rt;
  task<> call, stays;
  {
    [[maybe_unused]] const keeps_for_ever core;  // and the task, with what it waits for
    event& never = *new event;
    rt.emplace(runtime_options{.executor = host.get(), .max_blocking_threads = 1, .shutdown_limit = 0ms});
    call = rt->spawn_blocking([&] {
      begun.signal();
      word.wait();
    });
    stays = rt->spawn(waits_for_ever, std::ref(never));
    rt->run([]() -> coro<> { co_await this_task::yield(); });
  }
  begun.wait();
  beside([&] { stays.cancel(); },
         [&] {
           rt.reset();
           host.reset();
         });
  word.signal();
  while (!call.done()) pause();
}

/// There a call returns, and its thread wakes who waits for it, when the executor may have gone.
void host_left_behind_against_its_call() {
  sheaf::detail::sync::parker begun, word;
  auto host = std::make_unique<inline_executor>();
  std::optional<runtime> rt;
  task<> call, waits;
  {
    [[maybe_unused]] const keeps_for_ever core;  // and the task
    rt.emplace(runtime_options{.executor = host.get(), .max_blocking_threads = 1, .shutdown_limit = 0ms});
    call = rt->spawn_blocking([&] {
      begun.signal();
      word.wait();
    });
    const auto awaits = [](task<> call) -> coro<> { co_await call; };
    waits = rt->spawn(awaits, call);
    rt->run([]() -> coro<> { co_await this_task::yield(); });
  }
  begun.wait();
  beside([&] { word.signal(); },
         [&] {
           rt.reset();
           host.reset();
         });
  while (!call.done()) pause();
}

/// A thread outside waits, with a limit, for what is left behind: in the host's executor, which it entered, or had not left, when that had
/// gone with its runtime.
void host_left_behind_against_get() {
  sheaf::detail::sync::parker begun, word;
  auto host = std::make_unique<inline_executor>();
  std::optional<runtime> rt;
  task<> call, stays;
  {
    [[maybe_unused]] const keeps_for_ever core;
    event& never = *new event;
    rt.emplace(runtime_options{.executor = host.get(), .max_blocking_threads = 1, .shutdown_limit = 0ms});
    call = rt->spawn_blocking([&] {
      begun.signal();
      word.wait();
    });
    stays = rt->spawn(waits_for_ever, std::ref(never));
    rt->run([]() -> coro<> { co_await this_task::yield(); });
  }
  begun.wait();
  beside(
      [&] {
        try {
          stays.get_for(1ms);
        } catch (const timeout_error&) {
        }
      },
      [&] {
        rt.reset();
        host.reset();
      });
  word.signal();
  while (!call.done()) pause();
}

/// The host waits, and runs what comes in.
void host_waits_against_a_wake() {
  inline_executor host;
  runtime rt({.executor = &host});
  event asked;
  const auto waits = [](event& asked) -> coro<int> {
    co_await asked.wait();
    co_return 7;
  };
  beside([&asked] { asked.set(); }, [&] { check(rt.run(waits(asked)) == 7, "the value"); });
}

/// The host's runtime ends while another thread spawns, and waits for what it has spawned. It passed the look whether shutdown has begun,
/// listed its task when shutdown had seen none, and waited for it as a visitor, for whose leave the host waited without running the task.
void host_ends_against_spawn() {
  int ran = 0;
  bool refused = false;
  {
    inline_executor host;
    std::optional<runtime> rt(std::in_place, runtime_options{.executor = &host});
    sheaf::detail::sync::parker begun;
    beside(
        [&] {
          try {
            wait_out(rt->spawn([&ran] { ++ran; }));
          } catch (const runtime_closed&) {
            refused = true;
          }
          begun.signal();
        },
        [&] {
          rt->shutdown();
          begun.wait();
          rt.reset();
        });
  }
  check(ran == 0 || !refused, "run, cancelled or refused");
}

/// What a thread of the executor does after its task has been counted off is seen when shutdown returns, and by who frees the core.
void executor_shows_what_came_before() {
  int alive = 0;
  slots host;
  host.route = [](work_item&) { return 0U; };
  std::optional<runtime> rt(std::in_place, runtime_options{.executor = &host});
  static_cast<void>(rt->spawn([&alive] { return counted(alive); }));
  beside([&] { host.run(0); },
         [&] {
           rt->shutdown();
           check(alive == 0, "the result is destroyed");
           rt.reset();
         });
}

const std::array k_scenarios{
    scenario{"runtime.spawn_and_get", spawn_and_get, {.preemptions = 1, .random_runs = 1000}},
    scenario{"runtime.shutdown_against_spawn", shutdown_against_spawn, {.preemptions = 1, .random_runs = 1000}},
    scenario{"runtime.shutdown_against_on_done", shutdown_against_on_done, {.preemptions = 1, .random_runs = 1000}},
    scenario{"runtime.end_against_report", end_against_report, {.preemptions = 1, .random_runs = 1000}},
    scenario{"runtime.shutdown_against_abandon", shutdown_against_abandon, {.preemptions = 1, .random_runs = 1000}},
    scenario{
        "runtime.shutdown_against_sleep", shutdown_against_sleep, {.preemptions = 1, .early_time = true, .random_runs = 1000}},
    scenario{"runtime.shutdown_against_cancel", shutdown_against_cancel, {.preemptions = 1, .random_runs = 1000}},
    scenario{"runtime.shutdown_against_a_group", shutdown_against_a_group, {.preemptions = 1, .random_runs = 1000}},
    scenario{"runtime.two_shutdowns", two_shutdowns, {.preemptions = 1, .random_runs = 1000}},
    scenario{"runtime.shutdown_twice_against_the_last_end",
             shutdown_twice_against_the_last_end,
             {.preemptions = 2, .early_time = true, .random_runs = 1000}},
    scenario{"runtime.call_returns_at_the_limit",
             call_returns_at_the_limit,
             {.preemptions = 2, .early_time = true, .random_runs = 1000}},
    scenario{"runtime.call_returns_at_the_limit_on_manual_time",
             call_returns_at_the_limit_on_manual_time,
             {.preemptions = 2, .early_time = true, .random_runs = 1000}},
    scenario{"runtime.left_behind_in_an_instant",
             left_behind_in_an_instant,
             {.preemptions = 2, .early_time = true, .random_runs = 1000}},
    scenario{"runtime.left_behind_against_cancel",
             left_behind_against_cancel,
             {.preemptions = 2, .early_time = true, .random_runs = 1000}},
    scenario{"runtime.host_left_behind_against_cancel", host_left_behind_against_cancel, {.preemptions = 2, .random_runs = 1000}},
    scenario{"runtime.host_left_behind_against_get", host_left_behind_against_get, {.preemptions = 2, .random_runs = 1000}},
    scenario{
        "runtime.host_left_behind_against_its_call", host_left_behind_against_its_call, {.preemptions = 2, .random_runs = 1000}},
    scenario{"runtime.host_waits_against_a_wake", host_waits_against_a_wake, {.preemptions = 2, .random_runs = 1000}},
    scenario{"runtime.host_ends_against_spawn", host_ends_against_spawn, {.preemptions = 2, .random_runs = 1000}},
    scenario{"runtime.executor_shows_what_came_before", executor_shows_what_came_before, {.preemptions = 2, .random_runs = 1000}},
};

}  // namespace

std::span<const scenario> runtime_scenarios() { return k_scenarios; }

}  // namespace explorer
