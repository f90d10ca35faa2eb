/// Combinators against ends, cancels and each other.
#include <array>
#include <functional>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include <sheaf/sheaf.hpp>

#include "explorer/scenarios/scenarios.hpp"

namespace explorer {

namespace {

using namespace sheaf;
using namespace std::chrono_literals;

coro<int> value(int which) { co_return which; }
coro<int> fails() {
  throw 7;
  co_return 0;
}
/// Two completions, a consumer, and a poll from outside: each comes out once.
void completions_against_consumers() {
  runtime rt({.workers = 2});
  int sum = 0;
  rt.run([&]() -> coro<> {
    completion_queue<int> done;
    done.add(spawn(value, 1));
    done.add(spawn(value, 2));
    while (const std::optional<task<int>> next = co_await done.next()) sum += next->result();
  });
  check(sum == 3, "each once");
}

/// The stream goes while its tasks end.
void stream_destroyed_against_completions() {
  runtime rt({.workers = 2});
  rt.run([]() -> coro<> {
    std::vector<coro<int>> both;
    both.push_back(value(1));
    both.push_back(value(2));
    auto stream = as_completed(std::move(both));
    static_cast<void>(co_await stream.next());
  });
}

/// The consumer is cancelled, and takes the queue with it, while the task ends.
void queue_destroyed_after_a_cancelled_wait() {
  runtime rt({.workers = 2});
  const task<> consumes = rt.spawn([]() -> coro<> {
    completion_queue<int> done;
    done.add(spawn([]() -> coro<int> {
      co_await this_task::yield();
      co_return 1;
    }));
    static_cast<void>(co_await done.next());
  });
  together({[&] { consumes.cancel(); }});
  wait_out(consumes);
}

void wait_first_against_timeout() {
  runtime rt({.workers = 1});
  rt.run([]() -> coro<> {
    std::vector<task<>> both{spawn([]() -> coro<> { co_await sleep_for(1ms); }),
                             spawn([]() -> coro<> { co_await sleep_for(2ms); })};
    const wait_options first{.timeout = 1ms, .return_when = wait_mode::first_completed};
    const auto seen = co_await wait(both, first);
    check(seen.done.size() + seen.pending.size() == 2, "none lost");
    for (const task<>& each : both) co_await each;
  });
}

/// What a task wrote is seen by who gets it from a queue, from a wait, and from its group.
void completions_show_what_came_before() {
  runtime rt({.workers = 2});
  std::array<written, 3> all;
  const auto writes = [](written& mine) -> coro<> {
    mine.write();
    co_return;
  };
  rt.run([&]() -> coro<> {
    completion_queue<void> done;
    done.add(spawn(writes, std::ref(all[0])));
    static_cast<void>(co_await done.next());
    all[0].read();
    std::vector<task<>> waited_for(1, spawn(writes, std::ref(all[1])));
    static_cast<void>(co_await wait(waited_for));
    all[1].read();
    const auto body = [&](task_group& group) -> coro<> {
      group.spawn(writes, std::ref(all[2]));
      co_return;
    };
    co_await with_task_group(body);
    all[2].read();
  });
}

/// A consumer that waits is served before a poll that comes with the completion.
void poll_against_consumer() {
  runtime rt({.workers = 2});
  bool polled = false;
  rt.run([&]() -> coro<> {
    event open;
    completion_queue<int> done;
    const auto opened = [](event& open) -> coro<int> {
      co_await open.wait();
      co_return 1;
    };
    const auto takes = [](completion_queue<int>& from) -> coro<bool> { co_return (co_await from.next()).has_value(); };
    done.add(spawn(opened, std::ref(open)));
    const task<bool> waits = spawn(takes, std::ref(done));
    using state = sheaf::detail::task_state;
    const state& word = sheaf::detail::task_access::core(waits).state;
    while ((word.snapshot() & (state::running | state::queued | state::woken | state::complete | state::fresh)) != 0) {
      pause();
      co_await this_task::yield();
    }
    open.set();
    while (!waits.done()) {
      polled = polled || done.try_next().has_value();
      pause();
      co_await this_task::yield();
    }
    check(waits.result(), "served");
  });
  check(!polled, "nobody overtook it");
}

/// A child is added while another one fails and the body ends.
void group_add_against_abort() {
  runtime rt({.workers = 2});
  const task<> t = rt.spawn([]() -> coro<> {
    const auto body = [](task_group& group) -> coro<> {
      group.spawn(fails);
      try {
        group.spawn([]() -> coro<> {
          co_await sleep_for(1h);
          check(false, "it was not asked to stop");
        });
      } catch (const invalid_state&) {
      }
      co_return;
    };
    try {
      co_await with_task_group(body);
    } catch (const exception_group& all) {
      check(all.errors().size() == 1, "one failed");
    }
  });
  t.get();
}

/// A child adds one more while its group is asked to stop: it is refused, or asked too.
void group_grows_against_cancel() {
  runtime rt({.workers = 2});
  const task<> t = rt.spawn([]() -> coro<> {
    const auto body = [](task_group& group) -> coro<> {
      const auto sleeps = []() -> coro<> { co_await sleep_for(1h); };
      const auto adds = [&group, &sleeps]() -> coro<> {
        try {
          group.spawn(sleeps);
        } catch (const invalid_state&) {
        }
        co_return;
      };
      group.spawn(adds);
      group.cancel();
      co_return;
    };
    co_await with_task_group(body);
  });
  t.get();
}

/// What children did is seen by who finds the group empty, and after the join.
void group_shows_what_came_before() {
  runtime rt({.workers = 2});
  std::array<written, 3> all;
  const auto writes = [](written& mine) -> coro<> {
    mine.write();
    co_return;
  };
  const auto body = [&](task_group& group) -> coro<> {
    group.spawn(writes, std::ref(all[0]));
    while (group.size() != 0) {
      co_await this_task::yield();
      pause();
    }
    all[0].read();
    group.spawn(writes, std::ref(all[1]));
    group.spawn(writes, std::ref(all[2]));
  };
  rt.run([&]() -> coro<> {
    co_await with_task_group(body);
    for (const written& each : all) each.read();
  });
}

/// What nobody takes goes before the group ends: also while its task is being asked to stop, or when a task that was run in place has left its
/// queue entry behind.
void group_results_against_cancel() {
  runtime rt({.workers = 2});
  rt.run([]() -> coro<> {
    int alive = 0, in_place = 0;
    const auto body = [&](task_group& group) -> coro<> {
      group.spawn([&alive] { return counted(alive); });
      const auto here = group.spawn([&in_place] { return counted(in_place); });
      static_cast<void>(here.get());
      group.cancel();
      co_return;
    };
    co_await with_task_group(body);
    check(alive == 0 && in_place == 0, "gone");
  });
}

/// Once the last item is in somebody's hand, nothing is unfinished: the other consumer gets the end.
void limit_against_the_last_item() {
  runtime rt({.workers = 1});
  int items = 0, timeouts = 0;
  rt.run([&]() -> coro<> {
    const auto ends_then = []() -> coro<int> { co_return co_await sleep_for(1ms, 1); };
    const task<int> child = spawn(ends_then);
    const std::vector<task<int>> children(1, child);
    auto stream = as_completed(children, 1ms);
    const auto takes = [&]() -> coro<> {
      try {
        const std::optional<task<int>> next = co_await stream.next();
        if (next) ++items;
      } catch (const timeout_error&) {
        ++timeouts;
      }
    };
    const task<> first = spawn(takes), second = spawn(takes);
    co_await first;
    co_await second;
    co_await child;
  });
  check(items + timeouts == 1, "the item or the timeout");
}

void race_of_two() {
  runtime rt({.workers = 2});
  check(rt.run([]() -> coro<int> { co_return co_await race(value(1), value(1)); }) == 1, "a winner");
}

/// The time between two starts passes while the first candidate ends.
void race_staggered() {
  runtime rt({.workers = 2});
  const first_success_options options{.stagger = 1ns};
  check(rt.run([&options]() -> coro<int> { co_return co_await first_success(options, value(1), value(1)); }) == 1, "a winner");
}

void on_done_against_end() {
  int calls = 0;
  bool removed = false;
  {
    runtime rt({.workers = 1});
    const task<int> t = rt.spawn(value, 1);
    together({[&] {
      const callback_id id = t.on_done([&] { ++calls; });
      removed = t.remove_done(id);
    }});
    static_cast<void>(t.get());
  }
  check(calls + (removed ? 1 : 0) == 1, "called, or removed");
}

const std::array k_scenarios{
    scenario{"completion_queue.against_consumer", completions_against_consumers, {.preemptions = 1, .random_runs = 3000}},
    scenario{"completion_queue.after_a_cancelled_wait",
             queue_destroyed_after_a_cancelled_wait,
             {.preemptions = 1, .random_runs = 3000}},
    scenario{"completion_queue.destroyed", stream_destroyed_against_completions, {.preemptions = 1, .random_runs = 3000}},
    scenario{"wait.first_against_timeout", wait_first_against_timeout, {.preemptions = 2, .random_runs = 2000}},
    scenario{
        "completion_queue.shows_what_came_before", completions_show_what_came_before, {.preemptions = 1, .random_runs = 3000}},
    scenario{"completion_queue.poll_against_consumer", poll_against_consumer, {.preemptions = 1, .random_runs = 3000}},
    scenario{"task_group.add_against_abort", group_add_against_abort, {.preemptions = 1, .random_runs = 3000}},
    scenario{"task_group.grows_against_cancel", group_grows_against_cancel, {.preemptions = 1, .random_runs = 3000}},
    scenario{"task_group.shows_what_came_before", group_shows_what_came_before, {.preemptions = 1, .random_runs = 3000}},
    scenario{"task_group.results_against_cancel", group_results_against_cancel, {.preemptions = 1, .random_runs = 3000}},
    scenario{"as_completed.limit_against_the_last", limit_against_the_last_item, {.preemptions = 1, .random_runs = 3000}},
    scenario{"race.of_two", race_of_two, {.preemptions = 1, .random_runs = 3000}},
    scenario{"race.staggered", race_staggered, {.preemptions = 2, .early_time = true, .random_runs = 3000}},
    scenario{"on_done.against_end", on_done_against_end, {.preemptions = 2, .random_runs = 2000}},
};

}  // namespace

std::span<const scenario> combinator_scenarios() { return k_scenarios; }

}  // namespace explorer
