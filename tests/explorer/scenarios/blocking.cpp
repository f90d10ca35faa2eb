/// The pool of blocking calls: it grows, shrinks and ends while calls come, are cancelled and wait for each other.
#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include <sheaf/sheaf.hpp>

#include "blocking_pool.hpp"
#include "explorer/scenarios/scenarios.hpp"

namespace explorer {

namespace {

using namespace sheaf;
using namespace std::chrono_literals;

/// A blocking thread that is about to leave, a call that needs one, and shutdown.
void blocking_against_shutdown() {
  runtime rt({.workers = 1, .max_blocking_threads = 1, .blocking_keep_alive = 1ms});
  int ran = 0;
  const task<> one = rt.spawn_blocking([&] { ++ran; });
  together({[&] {
              try {
                rt.spawn_blocking([&] { ++ran; });
              } catch (const runtime_closed&) {
              }
            },
            [&] { rt.shutdown(); }});
  wait_out(one);
  check(ran <= 2, "each once");
}

/// The pool would grow for a call when shutdown begins: the call before it ends when this one has run, or is cancelled or refused.
void blocking_grows_against_shutdown() {
  runtime rt({.workers = 1, .max_blocking_threads = 2, .blocking_keep_alive = 1ms});
  sheaf::detail::sync::parker word;
  int ran = 0;
  bool refused = false;
  const task<> busy = rt.spawn_blocking([&word] { word.wait(); });
  task<> late;
  together({[&] {
              const std::shared_ptr<void> signals_when_it_goes(nullptr, [&word](void*) { word.signal(); });
              try {
                late = rt.spawn_blocking([&ran, signals_when_it_goes] { ++ran; });
              } catch (const runtime_closed&) {
                refused = true;
              }
            },
            [&] { rt.shutdown(); }});
  check(busy.done(), "waited for");
  check(refused ? ran == 0 : late.done() && ran == (late.cancelled() ? 0 : 1), "run once, cancelled or refused");
}

void blocking_cancelled_in_the_queue() {
  runtime rt({.workers = 1, .max_blocking_threads = 1});
  const task<> one = rt.spawn_blocking([] {});
  const task<> two = rt.spawn_blocking([] {});
  together({[&] { two.cancel(); }});
  one.get();
  wait_out(two);
}

/// Two calls wait for a third: the pool grows for it.
void blocking_grows_for_a_call_that_is_waited_for() {
  runtime rt({.workers = 1, .max_blocking_threads = 3, .blocking_keep_alive = 1ms});
  std::array<sheaf::detail::sync::parker, 2> words;
  const task<> one = rt.spawn_blocking([&words] { words[0].wait(); });
  const task<> two = rt.spawn_blocking([&words] { words[1].wait(); });
  const task<> signals = rt.spawn_blocking([&words] {
    for (sheaf::detail::sync::parker& each : words) each.signal();
  });
  one.get();
  two.get();
  signals.get();
}

/// A thread is about to leave for want of calls when one comes.
void blocking_keeps_alive_against_a_call() {
  runtime rt({.workers = 1, .max_blocking_threads = 1, .blocking_keep_alive = 1ms});
  rt.spawn_blocking([] {}).get();
  rt.spawn_blocking([] {}).get();
}

/// A call that is asked to stop while it is started does not wait for a thread.
void blocking_cancelled_at_its_start() {
  runtime rt({.workers = 1, .max_blocking_threads = 1});
  sheaf::detail::sync::parker word;
  const task<> busy = rt.spawn_blocking([&word] { word.wait(); });
  task<> late;
  bool asked = false;
  together({[&] { late = rt.spawn_blocking([] {}); },
            [&] {
              for (const any_task& each : rt.tasks()) asked = (each != any_task(busy) && each.cancel()) || asked;
            }});
  if (asked) wait_out(late);
  word.signal();
  wait_out(busy);
  wait_out(late);
}

struct waiting_call final : work_item {
  waiting_call() noexcept
      : work_item([](work_item& self) noexcept {
          auto& mine = static_cast<waiting_call&>(self);
          mine.begun.signal();
          mine.word.wait();
          mine.returned.signal();  // it may be gone now
        }) {}
  sheaf::detail::sync::parker begun, word, returned;
};

/// A call returns in a pool that has been abandoned, and the pool goes: who is last sees what the other did.
void blocking_abandoned_against_its_end() {
  waiting_call call;
  std::optional<sheaf::detail::blocking_pool> pool(std::in_place, sheaf::detail::blocking_pool::options{.max_threads = 1});
  pool->submit(call);
  call.begun.wait();
  together({[&] {
              if (!pool->shutdown(sheaf::detail::sync::now())) pool->abandon();
              pool.reset();
            },
            [&] { call.word.signal(); }});
  call.returned.wait();
}

const std::array k_scenarios{
    scenario{"blocking.against_shutdown", blocking_against_shutdown, {.preemptions = 1, .random_runs = 2000}},
    scenario{"blocking.grows", blocking_grows_for_a_call_that_is_waited_for, {.preemptions = 1, .random_runs = 2000}},
    scenario{
        "blocking.keeps_alive", blocking_keeps_alive_against_a_call, {.preemptions = 2, .early_time = true, .random_runs = 2000}},
    scenario{"blocking.cancelled_at_its_start", blocking_cancelled_at_its_start, {.preemptions = 2, .random_runs = 2000}},
    scenario{"blocking.cancelled_in_the_queue", blocking_cancelled_in_the_queue, {.preemptions = 2, .random_runs = 2000}},
    scenario{"blocking.grows_against_shutdown",
             blocking_grows_against_shutdown,
             {.preemptions = 2, .early_time = true, .random_runs = 2000}},
    scenario{"blocking.abandoned_against_its_end",
             blocking_abandoned_against_its_end,
             {.preemptions = 2, .early_time = true, .random_runs = 1000}},
};

}  // namespace

std::span<const scenario> blocking_scenarios() { return k_scenarios; }

}  // namespace explorer
