/// A gather starts, is woken, cancelled and left while its children end.
#include <array>
#include <functional>
#include <optional>
#include <tuple>
#include <utility>

#include <sheaf/sheaf.hpp>

#include "explorer/scenarios/scenarios.hpp"

namespace explorer {

namespace {

using namespace sheaf;

coro<int> value(int which) { co_return which; }
coro<int> fails() {
  throw 7;
  co_return 0;
}

void gather_failure_against_cancel() {
  runtime rt({.workers = 2});
  const task<> t = rt.spawn([]() -> coro<> {
    try {
      co_await gather(value(1), fails());
    } catch (int) {
    }
  });
  together({[&] { t.cancel(); }});
  wait_out(t);
}

/// One of two tasks fails: the gather is over, and leaves the other one, which may end just then.
void gather_failure_against_an_end() {
  runtime rt({.workers = 2});
  event open;
  const auto waits = [](event& open) -> coro<int> {
    co_await open.wait();
    co_return 1;
  };
  const task<int> ends = rt.spawn(waits, std::ref(open)), broken = rt.spawn(fails);
  bool failed = false;
  const task<> t = rt.spawn([&]() -> coro<> {
    try {
      co_await gather(ends, broken);
    } catch (int) {
      failed = true;
    }
  });
  together({[&] { open.set(); }});
  t.get();
  check(failed && ends.get() == 1, "the failure, and the other one goes on");
}

/// What children wrote is seen after the gather, also what one that failed wrote.
void gather_shows_what_came_before() {
  runtime rt({.workers = 2});
  std::array<written, 2> by_values;
  written by_failure;
  const auto writes = [](written& mine) -> coro<> {
    mine.write();
    co_return;
  };
  const auto writes_and_fails = [](written& mine) -> coro<> {
    mine.write();
    throw 7;
    co_return;
  };
  rt.run([&]() -> coro<> {
    co_await gather(writes(by_values[0]), writes(by_values[1]));
    for (const written& each : by_values) each.read();
    try {
      co_await gather(writes_and_fails(by_failure), value(1));
    } catch (int) {
      by_failure.read();
    }
  });
}

/// Asked to stop when all have ended, it gives their values.
void gather_ended_against_cancel() {
  runtime rt({.workers = 2});
  const task<int> one = rt.spawn(value, 1), two = rt.spawn(value, 2);
  const task<std::tuple<int, int>> all = rt.run([&]() -> coro<task<std::tuple<int, int>>> { co_return gather(one, two); });
  together({[&] {
    while (!one.done() || !two.done()) pause();
    all.cancel();
  }});
  check(all.get() == std::tuple(1, 2), "the values");
}

coro<> fails_at_once() {
  throw 7;
  co_return;
}
coro<> ends_at_once() { co_return; }

/// A result whose end tells.
struct holder {
  explicit holder(const std::function<void()>& at_end) noexcept : at_end_(&at_end) {}
  holder(holder&& other) noexcept : at_end_(std::exchange(other.at_end_, nullptr)) {}
  holder& operator=(holder&&) = delete;
  ~holder() {
    if (at_end_ != nullptr) (*at_end_)();
  }
  const std::function<void()>* at_end_;
};

constexpr unsigned k_broken = 0, k_other = 1, k_watcher = 2, k_woken = 3, k_step = 4;

/// Until it has published its outcome: orders nothing.
void await_outcome(const task<>& of) {
  using state = sheaf::detail::task_state;
  while ((sheaf::detail::task_access::core(of).state.snapshot() & state::complete) == 0) pause();
}

/// A child fails on another thread while the gather starts, before it can be woken if that is `awaited`: whoever claims the wake,
/// the failure is seen.
void gather_starts_with_a_failure(bool awaited) {
  slots host;
  runtime rt({.executor = &host});
  unsigned next = k_broken;
  host.route = [&](work_item&) { return next; };
  const task<> broken = rt.spawn(fails_at_once);
  next = k_other;
  host.posted = [&](unsigned which) {
    if (which != k_other) return;
    next = k_step;
    if (awaited) await_outcome(broken);
  };
  beside([&] { host.run(k_broken); },
         [&] {
           const entered inside = rt.enter();
           const auto all = gather(broken, ends_at_once());
           host.run(k_step);
           check(all.status() == task_status::failed, "the failure");
           host.run(k_other);
         });
}

/// A child of a gather that fails on a thread of its own, which then has somebody else to tell.
struct failing_child {
  slots host;
  runtime rt{runtime_options{.executor = &host}};
  mark counted, freed;
  unsigned next = k_broken;
  std::optional<task<>> broken, watcher;

  failing_child() {
    host.route = [this](work_item& item) {
      if (watcher && &item == &sheaf::detail::task_access::core(*watcher)) return k_woken;
      return next;
    };
    broken = rt.spawn(fails_at_once);
    next = k_watcher;
    watcher = rt.spawn([](task<> seen) -> coro<> { co_await seen; }, *broken);
    next = k_other;
  }
  /// That thread has counted off, and stays there.
  void stay() noexcept {
    counted.set();
    freed.await();
  }
};

/// The thread that starts the gather wakes it, and counts off last, when a third one has run its step: it frees what the thread of
/// the failed child has read.
void gather_started_counts_off_last() {
  failing_child with;
  slots& host = with.host;
  const void* const starter = &sheaf::detail::context();
  sheaf::detail::sync::parker begin;
  host.posted = [&](unsigned which) {
    if (which == k_other) {
      with.next = k_step;
      host.run(k_watcher);
      begin.signal();
      await_outcome(*with.broken);
    } else if (which == k_step && &sheaf::detail::context() == starter) {
      with.counted.await();
    } else if (which == k_woken) {
      with.stay();
    }
  };
  const std::function<void()> breaks = [&] {
    begin.wait();
    host.run(k_broken);
  };
  beside(breaks, [&] {
    beside([&] { host.run(k_step); },
           [&] {
             const entered here = with.rt.enter();
             auto all = std::make_optional(gather(*with.broken, ends_at_once()));
             while (!all->done()) pause();
             check(all->status() == task_status::failed, "the failure");
             all.reset();
             with.freed.set();
             host.run(k_other);
           });
  });
  host.run(k_woken);
}

/// The gather's step leaves its children, counts off last, and frees what the failed child's thread has read.
void gather_left_counts_off_last() {
  failing_child with;
  slots& host = with.host;
  mark left;
  const std::function<void()> at_end = [&] {
    left.set();
    with.counted.await();
  };
  const auto gives = [](const std::function<void()>& at_end) -> coro<holder> { co_return holder(at_end); };
  const entered here = with.rt.enter();
  task<holder> ended = with.rt.spawn(gives, std::cref(at_end));
  host.run(k_other);
  auto all = std::make_optional(gather(*with.broken, std::move(ended), ends_at_once()));
  with.next = k_step;
  host.run(k_watcher);
  host.posted = [&](unsigned which) {
    if (which == k_step) left.await();
    if (which == k_woken) with.stay();
  };
  beside([&] { host.run(k_broken); },
         [&] {
           host.run(k_step);
           check(all->status() == task_status::failed, "the failure");
           all.reset();
           with.freed.set();
           host.run(k_other);
         });
  host.run(k_woken);
}

const std::array k_scenarios{
    scenario{"gather.failure_against_cancel", gather_failure_against_cancel, {.preemptions = 1, .random_runs = 3000}},
    scenario{"gather.failure_against_an_end", gather_failure_against_an_end, {.preemptions = 1, .random_runs = 3000}},
    scenario{"gather.shows_what_came_before", gather_shows_what_came_before, {.preemptions = 1, .random_runs = 3000}},
    scenario{"gather.ended_against_cancel", gather_ended_against_cancel, {.preemptions = 1, .random_runs = 3000}},
    scenario{"gather.starts_with_a_failure", [] { gather_starts_with_a_failure(true); }, {.preemptions = 1}},
    scenario{"gather.starts_against_a_failure", [] { gather_starts_with_a_failure(false); }, {.preemptions = 1}},
    scenario{"gather.started_counts_off_last", gather_started_counts_off_last, {.preemptions = 1}},
    scenario{"gather.left_counts_off_last", gather_left_counts_off_last, {.preemptions = 1}},
};

}  // namespace

std::span<const scenario> gather_scenarios() { return k_scenarios; }

}  // namespace explorer
