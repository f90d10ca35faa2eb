/// The task's word, its waiters and its handles: run, cancel, end, wait and drop at once.
#include <array>
#include <optional>
#include <utility>

#include <sheaf/detail/waiter_list.hpp>
#include <sheaf/sheaf.hpp>

#include "explorer/scenarios/scenarios.hpp"
#include "runtime_core.hpp"

namespace explorer {

namespace {

using namespace sheaf;

struct node final : detail::waiter_node {
  node() : waiter_node([](waiter_node& self, detail::outcome_kind) noexcept { ++static_cast<node&>(self).told; }) {}
  int told = 0;
};

/// Each node is removed by its owner or told by the closer, never both; a false remove() means that it is told.
void leaving_against_close() {
  detail::waiter_list list;
  std::array<node, 2> nodes;
  std::array<bool, 2> removed = {};
  check(list.add(nodes[0]), "open yet");
  together({[&] { removed[0] = list.remove(nodes[0]); },
            [&] {
              if (list.add(nodes[1])) {
                removed[1] = list.remove(nodes[1]);
              } else {
                removed[1] = true;
              }
            },
            [&] { detail::notify_all(list.close(), detail::outcome_kind::value); }});
  for (std::size_t i = 0; i < nodes.size(); ++i) check(nodes[i].told + (removed[i] ? 1 : 0) == 1, "told once, or removed");
}

void cancel_against_run_and_end() {
  int alive = 0;
  {
    runtime rt({.workers = 1});
    const task<> t = rt.spawn([](const counted&) -> coro<> { co_await this_task::yield(); }, counted(alive));
    together({[&] { t.cancel(); },
              [&] {
                try {
                  t.get();
                } catch (const task_cancelled&) {
                }
              }});
    check(t.done(), "done");
    check(alive == 0, "the work is destroyed before the outcome is seen");
  }
  check(alive == 0, "destroyed once");
}

/// The last handle goes while the task ends; its result is destroyed once.
void drop_against_end() {
  int alive = 0;
  {
    runtime rt({.workers = 1});
    std::optional<task<counted>> handle = rt.spawn([&alive] { return counted(alive); });
    std::optional<task<counted>> copy = *handle;
    together({[&] { handle.reset(); }, [&] { copy.reset(); }});
  }
  check(alive == 0, "the result is destroyed once");
}

void await_against_end() {
  runtime rt({.workers = 2});
  const int sum = rt.run([]() -> coro<int> {
    const task<int> a = spawn([] { return 1; });
    const task<int> b = spawn([] { return 2; });
    co_return co_await a + co_await b;
  });
  check(sum == 3, "the values");
}

void cancel_against_await() {
  runtime rt({.workers = 2});
  const task<> target = rt.spawn([]() -> coro<> { co_await this_task::yield(); });
  const task<> waiting = rt.spawn([](task<> awaited) -> coro<> { co_await awaited; }, target);
  together({[&] { waiting.cancel(); }});
  target.get();
  try {
    waiting.get();
  } catch (const task_cancelled&) {
  }
}

/// The last handle moves the result out that others have read.
void result_moved_by_the_last_handle() {
  struct item {
    item() = default;
    item(item&& other) noexcept : value(std::exchange(other.value, 0)) {}
    item(const item& other) noexcept : value(other.value) {}
    int value = 7;
  };
  runtime rt({.workers = 1});
  std::optional<task<item>> one = rt.spawn([] { return item(); });
  std::optional<task<item>> other = *one;
  one->get();
  together({[&] {
              check(other->result().value == 7, "not moved out yet");
              other.reset();
            },
            [&] { check(std::move(*one).get().value == 7, "moved, or copied"); }});
}

/// What few tasks have is made on first use, once, and seen whole by who looks.
void named_by_two() {
  runtime rt({.workers = 1});
  const task<> t = rt.spawn([] {});
  t.get();
  together({[&] { t.set_name("one"); }, [&] { t.set_name("other"); }, [&] { static_cast<void>(t.name()); }});
  check(t.name() == "one" || t.name() == "other", "named");
}

/// One of the two that look is told of the failure, and it is not reported.
void failure_is_seen() {
  int reports = 0;
  {
    runtime rt({.workers = 1, .on_unobserved_error = [&](std::string_view, std::exception_ptr) { ++reports; }});
    const task<> t = rt.spawn([] { throw 7; });
    together({[&] {
                try {
                  t.get();
                } catch (int) {
                }
              },
              [&] { static_cast<void>(t.done()); }});
  }
  check(reports == 0, "seen, so not reported");
}

/// Nobody has looked: of those who drop the last handles and the task that ends, one reports.
void failure_is_reported_once() {
  int failures = 0, reports = 0;  // shutdown may come before the task
  {
    runtime rt({.workers = 1, .on_unobserved_error = [&](std::string_view, std::exception_ptr) { ++reports; }});
    std::optional<task<>> one = rt.spawn([&]() -> void {
      ++failures;
      throw 7;
    });
    std::optional<task<>> other = *one;
    together({[&] { one.reset(); }, [&] { other.reset(); }});
  }
  check(reports == failures, "reported once");
}

void tasks_against_spawn_and_end() {
  runtime rt({.workers = 1});
  together({[&] { rt.spawn([] {}).get(); },
            [&] {
              for (const any_task& each : rt.tasks()) static_cast<void>(each.done());
              static_cast<void>(rt.dump());
            }});
}

void children_of_when_all() {
  runtime rt({.workers = 2});
  const task<int> t = rt.spawn([]() -> coro<int> {
    auto [a, b] = co_await when_all([]() -> coro<int> { co_return 1; }(), []() -> coro<int> { co_return 2; }());
    co_return a + b;
  });
  together({[&] { t.cancel(); }});
  try {
    check(t.get() == 3, "the values");
  } catch (const task_cancelled&) {
  }
}

/// The only child ends as soon as it is asked, before the canceller has let go of the join: the parent goes on from there.
void join_by_the_canceller() {
  runtime rt({.workers = 2});
  const auto until_asked = []() -> coro<> {
    const cancel_token mine = this_task::token();
    while (!mine.requested()) pause();
    co_return;
  };
  const task<> t = rt.spawn([&]() -> coro<> { co_await when_all(until_asked()); });
  together({[&] { t.cancel(); }});
  wait_out(t);
}

/// Who has a handle of a forked child sees its outcome, and leaves the block to the parent.
void handle_of_a_forked_child() {
  runtime rt({.workers = 1});
  any_task seen;
  detail::sync::parker given;
  const task<> t = rt.spawn([&]() -> coro<> {
    const auto gives = [&]() -> coro<> {
      seen = this_task::handle();
      given.signal();
      co_return;
    };
    co_await when_all(gives());
  });
  together({[&] {
    given.wait();
    const any_task mine = std::exchange(seen, {});
    while (!mine.done()) pause();
    check(mine.status() == task_status::succeeded, "its outcome");
  }});
  t.get();
}

/// Both children fail, and the parent is asked to stop: one failure comes out, and each child is asked once at most.
void failing_children_of_when_all() {
  runtime rt({.workers = 2});
  int failed = 0;
  const auto fails = []() -> coro<> {
    co_await this_task::yield();
    throw 7;
  };
  const task<> t = rt.spawn([&]() -> coro<> {
    try {
      co_await when_all(fails(), fails());
    } catch (int) {
      ++failed;
    }
  });
  together({[&] { t.cancel(); }});
  wait_out(t);
  check(t.cancelled() || failed == 1, "cancelled, or the failure");
}

/// What children wrote is seen after the join, also if a worker has told of two at once.
void when_all_shows_what_came_before() {
  runtime rt({.workers = 2});
  std::array<written, 3> all;
  const auto writes = [](written& mine) -> coro<> {
    mine.write();
    co_return;
  };
  rt.run([&]() -> coro<> {
    co_await when_all(writes(all[0]), writes(all[1]), writes(all[2]));
    for (const written& each : all) each.read();
  });
}

/// What a task wrote is seen by who waits for it, by who finds it done, and by who destroys its result.
void end_shows_what_came_before() {
  runtime rt({.workers = 2});
  written mine;
  std::optional<task<>> one = rt.spawn([&mine] { mine.write(); });
  std::optional<task<>> other = *one;
  const task<> awaits = rt.spawn([](task<> awaited) -> coro<> { co_await awaited; }, *one);
  together({[&] {
              if (one->done()) mine.read();
              one.reset();
            },
            [&] {
              other->get();
              mine.read();
              other.reset();
            }});
  awaits.get();
  mine.read();
}

/// A forked child that was posted by a request goes on without its entry, and ends: its parent frees the block that whoever popped the entry
/// has just looked at.
void stale_entry_of_a_forked_child() {
  using state = detail::task_state;
  state word(state::initial_forked);
  check(word.end_step() == state::end::idle, "parked");
  check(word.request_cancel(false, state::callbacks_are::unlocked) == state::cancel::post, "posted");
  check(word.wake_inline() == state::take::taken_cancelled, "goes on here");
  int block = 1;
  together({[&] {
              check(block == 1, "not freed");
              check(word.begin_run() == state::begin::skip, "stale");
            },
            [&] {
              while ((word.snapshot() & state::queued) != 0) pause();
              check(word.finish_forked(), "nobody else");
              check(word.drop_parent_reference(), "the last claim");
              block = 0;
            }});
}

const std::array k_scenarios{
    scenario{"waiter_list.leaving_against_close", leaving_against_close, {.preemptions = 5, .late_stores = true}},
    scenario{"task.cancel_against_run_and_end", cancel_against_run_and_end, {.preemptions = 2, .random_runs = 2000}},
    scenario{"task.drop_against_end", drop_against_end, {.preemptions = 2, .random_runs = 2000}},
    scenario{"task.result_moved_by_the_last_handle", result_moved_by_the_last_handle, {.preemptions = 1, .random_runs = 2000}},
    scenario{"task.named_by_two", named_by_two, {.preemptions = 2, .random_runs = 2000}},
    scenario{"task.await_against_end", await_against_end, {.preemptions = 1, .random_runs = 3000}},
    scenario{"task.cancel_against_await", cancel_against_await, {.preemptions = 1, .random_runs = 3000}},
    scenario{"task.failure_is_seen", failure_is_seen, {.preemptions = 2, .random_runs = 2000}},
    scenario{"task.failure_is_reported_once", failure_is_reported_once, {.preemptions = 2, .random_runs = 2000}},
    scenario{"task.listed_against_spawn_and_end", tasks_against_spawn_and_end, {.preemptions = 1, .random_runs = 2000}},
    scenario{"task.when_all_shows_what_came_before", when_all_shows_what_came_before, {.preemptions = 1, .random_runs = 3000}},
    scenario{"task.end_shows_what_came_before", end_shows_what_came_before, {.preemptions = 1, .random_runs = 3000}},
    scenario{"task.stale_entry_of_a_forked_child", stale_entry_of_a_forked_child, {.preemptions = 4}},
    scenario{"task.children_of_when_all", children_of_when_all, {.preemptions = 1, .random_runs = 3000}},
    scenario{"task.join_by_the_canceller", join_by_the_canceller, {.preemptions = 1, .random_runs = 3000}},
    scenario{"task.handle_of_a_forked_child", handle_of_a_forked_child, {.preemptions = 2, .random_runs = 3000}},
    scenario{"task.failing_children_of_when_all", failing_children_of_when_all, {.preemptions = 1, .random_runs = 3000}},
};

}  // namespace

std::span<const scenario> task_scenarios() { return k_scenarios; }

}  // namespace explorer
