/// Timers, limits and manual time against ends, requests and new deadlines.
#include <array>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include <sheaf/sheaf.hpp>

#include "explorer/scenarios/scenarios.hpp"

namespace explorer {

namespace {

using namespace sheaf;
using namespace std::chrono_literals;

/// A deadline at the moment the body ends: its request is taken back, or it times out; nothing hits the code behind.
void timeout_against_body() {
  runtime rt({.workers = 1});
  const task<bool> t = rt.spawn([]() -> coro<bool> {
    bool timed_out = false;
    const auto body = [](timeout_scope&) -> coro<> { co_await sleep_for(1ms); };
    try {
      co_await with_timeout(1ms, body);
    } catch (const timeout_error&) {
      timed_out = true;
    }
    co_await this_task::yield();
    co_return timed_out;
  });
  static_cast<void>(t.get());
}

/// A new deadline at the moment the old one fires, or the body ends: the old one has no effect, or the scope says that it is too late.
void reschedule_against_fire() {
  runtime rt({.workers = 1});
  std::optional<timeout_scope> scope;
  sheaf::detail::sync::parker opened;
  bool timed_out = false, moved = false;
  const auto body = [&](timeout_scope& inner) -> coro<> {
    scope = inner;
    opened.signal();
    co_await sleep_for(2ms);
  };
  const task<> t = rt.spawn([&]() -> coro<> {
    try {
      co_await with_timeout(1ms, body);
    } catch (const timeout_error&) {
      timed_out = true;
    }
    co_await this_task::yield();
  });
  together({[&] {
    opened.wait();
    try {
      scope->reschedule(time_limit{});
      moved = true;
    } catch (const invalid_state&) {
    }
  }});
  t.get();
  check(!(moved && timed_out), "one of the two");
  check(!scope->expired() == moved, "and the scope says which");
}

void sleep_against_cancel() {
  runtime rt({.workers = 1});
  const task<> t = rt.spawn([]() -> coro<> { co_await sleep_for(1ms); });
  together({[&] { t.cancel(); }});
  wait_out(t);
}

/// Two threads arm timers, the later one with the earlier deadline, while the timer thread is about to sleep.
void arm_against_the_timer_thread() {
  runtime rt({.workers = 1});
  const auto sleeps = [](std::chrono::nanoseconds length) -> coro<> { co_await sleep_for(length); };
  const task<> longer = rt.spawn(sleeps, 3ms);
  together({[&] { rt.spawn(sleeps, 1ms).get(); }});
  longer.get();
}

/// Time moves from one thread while what it would wait for is taken away by another.
void advance_against_cancel() {
  manual_clock clock;
  runtime rt({.workers = 1, .clock = &clock});
  const task<> t = rt.spawn([]() -> coro<> { co_await sleep_for(1s); });
  together({[&] { clock.advance(2s); }, [&] { t.cancel(); }});
  wait_out(t);
  check(clock.now() == 2s, "time is where it was moved to");
}

/// Two threads wait, for one deadline each: time moves for both, and none waits for ever.
void two_threads_wait_on_manual_time() {
  manual_clock clock;
  runtime rt({.workers = 1, .clock = &clock});
  const auto sleeps = [](std::chrono::nanoseconds length) -> coro<> { co_await sleep_for(length); };
  const task<> one = rt.spawn(sleeps, 1s), two = rt.spawn(sleeps, 2s);
  together({[&] { one.get(); }, [&] { two.get(); }});
  check(clock.now() == 2s, "both instants have come");
}

/// One thread holds time and lets it go while another waits.
void hold_against_wait() {
  manual_clock clock;
  auto held = std::make_optional(clock.hold());
  runtime rt({.workers = 1, .clock = &clock});
  const task<> t = rt.spawn([]() -> coro<> { co_await sleep_for(1s); });
  together({[&] { t.get(); }, [&] { held.reset(); }});
  check(clock.now() == 1s, "it went on");
}

/// Of two that wait for what never comes, each is told.
void two_threads_are_stuck_on_manual_time() {
  manual_clock clock;
  event never;
  runtime rt({.workers = 1, .clock = &clock});
  std::array<bool, 2> told = {};
  const auto waits = [](event& never) -> coro<> { co_await never.wait(); };
  const task<> t = rt.spawn(waits, std::ref(never));
  const auto gets = [&t](bool& told) {
    try {
      t.get();
    } catch (const would_deadlock&) {
      told = true;
    }
  };
  together({[&] { gets(told[0]); }, [&] { gets(told[1]); }});
  check(told[0] && told[1], "both");
}

/// A thread outside wakes two sleepers of one instant: what the first one spawns comes behind the second.
void an_instant_fires_as_one() {
  manual_clock clock;
  runtime rt({.workers = 1, .clock = &clock});
  std::vector<int> order;
  const auto notes = [&order](int name) { order.push_back(name); };
  const auto first = [&notes]() -> coro<> {
    co_await sleep_for(1s);
    notes(1);
    co_await spawn([&notes] { notes(3); });
  };
  const auto second = [&notes]() -> coro<> {
    co_await sleep_for(1s);
    notes(2);
  };
  const task<> one = rt.spawn(first), two = rt.spawn(second);
  clock.advance(1s);
  check(order == std::vector<int>{1, 2, 3}, "in the order of the timers, and all of them before what they cause");
}

void wait_for_against_end() {
  runtime rt({.workers = 1});
  rt.run([]() -> coro<> {
    try {
      co_await wait_for([]() -> coro<> { co_await sleep_for(1ms); }(), 1ms);
    } catch (const timeout_error&) {
    }
  });
}

const std::array k_scenarios{
    scenario{"timeout.against_body", timeout_against_body, {.preemptions = 2, .early_time = true, .random_runs = 2000}},
    scenario{
        "timeout.reschedule_against_fire", reschedule_against_fire, {.preemptions = 2, .early_time = true, .random_runs = 2000}},
    scenario{"timer.sleep_against_cancel", sleep_against_cancel, {.preemptions = 2, .early_time = true, .random_runs = 2000}},
    scenario{"timer.arm_against_the_timer_thread",
             arm_against_the_timer_thread,
             {.preemptions = 2, .early_time = true, .random_runs = 2000}},
    scenario{"wait_for.against_end", wait_for_against_end, {.preemptions = 2, .random_runs = 2000}},
    scenario{"manual_clock.advance_against_cancel", advance_against_cancel, {.preemptions = 1, .random_runs = 2000}},
    scenario{"manual_clock.two_wait", two_threads_wait_on_manual_time, {.preemptions = 1, .random_runs = 2000}},
    scenario{"manual_clock.hold_against_wait", hold_against_wait, {.preemptions = 2, .random_runs = 2000}},
    scenario{"manual_clock.instant_as_one", an_instant_fires_as_one, {.preemptions = 2, .random_runs = 2000}},
    scenario{"manual_clock.two_are_stuck", two_threads_are_stuck_on_manual_time, {.preemptions = 2, .random_runs = 2000}},
};

}  // namespace

std::span<const scenario> time_scenarios() { return k_scenarios; }

}  // namespace explorer
