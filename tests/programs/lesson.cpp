/// The first lesson: coroutines, tasks, groups, and what they cost in time. The line above each section names its case.

#include "program.hpp"

#include <atomic>
#include <future>
#include <optional>
#include <random>

using namespace program;
using sheaf::coro;
using sheaf::task;

namespace {

coro<> say_after(stage& here, std::chrono::milliseconds delay, const char* word) {
  co_await sheaf::sleep_for(delay);
  here.say("{}", word);
}

// PROGRAM-16
coro<> one_coroutine(stage& here) {
  here.say("hello");
  co_await sheaf::sleep_for(1s);
  here.say("world");
}

// PROGRAM-17
coro<> one_after_the_other(stage& here) {
  co_await say_after(here, 1s, "hello");
  co_await say_after(here, 2s, "world");
}

// PROGRAM-18
coro<> two_tasks(stage& here) {
  const task<> first = sheaf::spawn(say_after(here, 1s, "hello"));
  const task<> second = sheaf::spawn(say_after(here, 2s, "world"));
  co_await first;
  co_await second;
}

// PROGRAM-19, PROGRAM-28
coro<> a_group(stage& here) {
  const auto body = [&here](sheaf::task_group& group) -> coro<> {
    group.spawn(say_after, std::ref(here), 1s, "hello");
    group.spawn(say_after, std::ref(here), 2s, "world");
    here.say("started");
    co_return;
  };
  co_await sheaf::with_task_group(body);
  here.say("finished");
}

// PROGRAM-20
coro<int> answer(std::atomic<int>& bodies) {
  bodies.fetch_add(1);
  co_return 42;
}
coro<> created_and_dropped(stage& here) {
  std::atomic<int> bodies{0};
  {
    const auto dropped = answer(bodies);
  }
  here.say("dropped: {} ran", bodies.load());
  here.say("awaited: {}", co_await answer(bodies));
  here.say("as a task: {}", co_await sheaf::spawn(answer(bodies)));
}

// PROGRAM-21
coro<> a_future(stage& here) {
  sheaf::promise<int> first, second;
  const auto setter = [](sheaf::promise<int>& first, sheaf::promise<int>& second) -> coro<> {
    co_await sheaf::sleep_for(1s);
    first.set_value(1);
    co_await sheaf::sleep_for(1s);
    second.set_value(2);
  };
  const task<> elsewhere = sheaf::spawn(setter, std::ref(first), std::ref(second));
  here.say("alone: {}", co_await first.get_future());
  const auto result_of = [](sheaf::future<int> awaited) -> coro<int> { co_return co_await awaited; };
  const auto [a, b] = co_await sheaf::gather(result_of(second.get_future()), job(here, 500ms, 3));
  here.say("gathered: {} {}", a, b);
  co_await elsewhere;
}

// PROGRAM-22
coro<> running(stage& here) {
  const auto main = []() -> coro<int> {
    const int value = co_await sheaf::spawn_blocking([] { return 7; });
    co_return value;
  };
  const auto runs = [&main] { return sheaf::run(main()); };
  here.say("run gives {}", co_await sheaf::spawn_blocking(runs));  // a blocking thread may run another runtime
  bool refused = false;
  try {
    sheaf::run(main());
  } catch (const sheaf::invalid_state&) {
    refused = true;
  }
  here.say("in a task it is {}", refused ? "refused" : "allowed");
}

// PROGRAM-23
int look_up(int host) {
  sheaf::sleep_for(200ms).get();  // blocks its thread
  return host;
}
coro<> six_lookups(stage& here) {
  for (int host = 1; host <= 6; ++host) here.say("host {}", co_await sheaf::spawn_blocking(look_up, host));
  here.say("looked up {}", here.runtime().metrics().blocking_threads != 0 ? "on blocking threads" : "on workers");
}

// PROGRAM-24
coro<> a_task(stage& here) {
  const auto work = [](stage& here) -> coro<> {
    here.say("start");
    co_await sheaf::sleep_for(1s);
    here.say("end");
  };
  co_await sheaf::spawn(work, std::ref(here));
}

// PROGRAM-25
coro<> light_and_long(stage& here) {
  co_await say_after(here, 100ms, "first message");
  const auto heavy = [](stage& here) -> coro<> {
    here.say("long job started");
    co_await sheaf::sleep_for(3s);
    here.say("long job complete");
  };
  const task<> job = sheaf::spawn(heavy, std::ref(here));
  co_await say_after(here, 100ms, "second message");
  co_await job;
}

// PROGRAM-26
coro<> both_start_before_one_ends(stage& here) {
  const auto work = [](stage& here, std::chrono::seconds length, int number) -> coro<> {
    here.say("start {}", number);
    co_await sheaf::sleep_for(length);
    here.say("end {}", number);
  };
  co_await sheaf::gather(work(here, 1s, 1), work(here, 2s, 2));
}

// PROGRAM-27
coro<> several_runs(stage& here) {
  const auto runs = [] {
    sheaf::runtime runtime({.workers = 1});
    const auto number = [](int value) -> coro<int> { co_return value; };
    const int first = runtime.run(number(1));
    const int second = runtime.run(number(2));
    runtime.shutdown();
    bool refused = false;
    try {
      runtime.run(number(3));
    } catch (const sheaf::runtime_closed&) {
      refused = true;
    }
    return fmt::format("{} and {}, then {}", first, second, refused ? "closed" : "open");
  };
  here.say("{}", co_await sheaf::spawn_blocking(runs));
}

// PROGRAM-29
coro<> rules_of_groups(stage& here) {
  std::optional<std::string> refusal;
  const auto body = [&](sheaf::task_group& group) -> coro<> {
    const auto adds_another = [](sheaf::task_group& group, stage& here) -> coro<> {
      co_await sheaf::sleep_for(1s);
      group.spawn(say_after, std::ref(here), 1s, "added while the group waits");
    };
    group.spawn(adds_another, std::ref(group), std::ref(here));
    co_return;
  };
  co_await sheaf::with_task_group(body);
  const auto failing = [&](sheaf::task_group& group) -> coro<> {
    group.spawn(failing_job(1s, "broken"));
    group.spawn(job(here, 1h, 2));
    try {
      co_await sheaf::sleep_for(1h);
    } catch (const sheaf::cancelled&) {
      try {
        group.spawn(job(here, 1h, 3));
      } catch (const sheaf::invalid_state& error) {
        refusal = error.what();
      }
      throw;
    }
  };
  std::string failure;
  try {
    co_await sheaf::with_task_group(failing);
  } catch (const sheaf::exception_group& error) {
    failure = error.what();
  }
  here.say("refused: {}", refusal.value_or("nothing"));
  here.say("then: {}", failure);
}

// PROGRAM-30
coro<> a_clock(stage& here) {
  while (here.now() + 1.0 <= 5.0) {
    here.say("tick");
    co_await sheaf::sleep_for(1s);
  }
}

// PROGRAM-32
/// Blocks its thread until the sign is given, or that long.
void blocking_call(std::future<void>& sign, std::chrono::milliseconds limit) { sign.wait_for(limit); }

coro<> inline_and_offloaded(stage& here) {
  const auto another = [](stage& here, std::promise<void>& sign) -> coro<> {
    here.say("another task runs");
    sign.set_value();
    co_return;
  };
  std::chrono::milliseconds limit = 60s;
  if (here.runtime().metrics().workers == 1) limit = 20ms;  // nobody can give the sign while the coroutine blocks
  for (int round = 0; round < 2; ++round) {
    const bool offloaded = round == 1;
    here.say("{}", offloaded ? "offloaded:" : "in a coroutine:");
    std::promise<void> sign;
    std::future<void> given = sign.get_future();
    const task<> other = sheaf::spawn(another, std::ref(here), std::ref(sign));
    if (offloaded) {
      co_await sheaf::spawn_blocking(blocking_call, std::ref(given), 60s);
    } else {
      blocking_call(given, limit);
    }
    here.say("the call returns");
    co_await other;
  }
}

// PROGRAM-33
coro<int> factorial(stage& here, char name, int number) {
  int product = 1;
  for (int i = 2; i <= number; ++i) {
    here.say("{}: computing {}!, at {}", name, number, i);
    co_await sheaf::sleep_for(1s);
    product *= i;
  }
  here.say("{}: {}! = {}", name, number, product);
  co_return product;
}
coro<> factorials(stage& here) {
  const auto [a, b, c] = co_await sheaf::gather(factorial(here, 'A', 2), factorial(here, 'B', 3), factorial(here, 'C', 4));
  here.say("then {} {} {}", a, b, c);
}

// PROGRAM-31, PROGRAM-34
coro<int> worker(stage& here, std::chrono::seconds length, int number) {
  here.say("{} runs", number);
  co_await sheaf::sleep_for(length);
  here.say("{} is done", number);
  co_return number;
}
coro<> groups_of_workers(stage& here) {
  std::mt19937 random(34);
  const auto group = [&here, &random](int number, int count) {
    std::vector<coro<int>> workers;
    for (int i = 1; i <= count; ++i) workers.push_back(worker(here, std::chrono::seconds(1 + random() % 5), 10 * number + i));
    return sheaf::gather(std::move(workers));
  };
  auto first = group(1, 5);
  auto second = group(2, 3);
  auto third = group(3, 4);
  const auto [a, b, c] = co_await sheaf::gather(std::move(first), std::move(second), std::move(third));
  here.say("then {}, {}, {}", fmt::join(a, " "), fmt::join(b, " "), fmt::join(c, " "));
}

// PROGRAM-35
coro<> groups_are_cancelled(stage& here) {
  const auto group = [&here](int number, int count, std::chrono::seconds length) {
    std::vector<coro<int>> jobs;
    for (int i = 1; i <= count; ++i) jobs.push_back(job(here, length, 10 * number + i));
    return sheaf::gather(std::move(jobs));
  };
  auto first = group(1, 5, 1s);
  auto second = group(2, 3, 2s);
  auto third = group(3, 4, 3s);
  auto all = sheaf::gather(sheaf::return_exceptions, first, second, third);
  co_await sheaf::sleep_for(500ms);
  second.cancel();
  const auto [x, y, z] = co_await std::move(all);
  here.say("then {} done, {}, {} done", x.value().size(), y.cancelled() ? "cancelled" : "done", z.value().size());

  first = group(1, 5, 1s);
  second = group(2, 3, 2s);
  auto both = sheaf::gather(first, second);
  co_await sheaf::sleep_for(500ms);
  co_await sheaf::cancel_and_join(both);
  here.say("then {}, {}", first.cancelled() ? "cancelled" : "done", second.cancelled() ? "cancelled" : "done");
}

// PROGRAM-36, PROGRAM-37
coro<std::string> word_after(std::chrono::milliseconds delay, const char* word) {
  co_await sheaf::sleep_for(delay);
  co_return word;
}
coro<> as_they_complete(stage& here) {
  const auto words = [] {
    std::vector<coro<std::string>> all;
    const std::vector<std::pair<std::chrono::milliseconds, const char*>> given{
        {500ms, "one"}, {800ms, "two"}, {200ms, "three"}, {1000ms, "four"}, {500ms, "five"}};
    for (const auto& [delay, word] : given) {
      all.push_back(word_after(delay, word));
    }
    return all;
  };
  auto stream = sheaf::as_completed(words(), 1100ms);
  while (auto done = co_await stream.next()) here.say("{}", done->result());
  auto limited = sheaf::as_completed(words(), 700ms);
  int items = 0;
  bool late = false;
  while (!late) {
    try {
      if (!co_await limited.next()) break;
      ++items;
    } catch (const sheaf::timeout_error&) {
      late = true;
    }
  }
  here.say("then {} items, {}, {} still running", items, late ? "timeout" : "the end", limited.unfinished().size());
}

// PROGRAM-39
coro<> between_two_waits(stage& here) {
  const std::vector<task<>> all{sheaf::spawn(say_after(here, 1s, "one is done")),
                                sheaf::spawn(say_after(here, 2s, "two is done"))};
  auto [done, pending] = co_await sheaf::wait(all, {.return_when = sheaf::first_completed});
  here.say("{} done, nobody waits now", done.size());
  co_await sheaf::sleep_for(3s);
  auto [rest, none] = co_await sheaf::wait(std::move(pending));
  here.say("{} was done long ago", rest.size());
}

}  // namespace

int main(int argc, char** argv) {
  sections all(argc, argv);
  all.run("16", "one coroutine", one_coroutine);
  all.run("17", "one after the other", one_after_the_other);
  all.run("18", "two tasks", two_tasks);
  all.run("19", "a task group", a_group);
  all.run("20", "created and dropped", created_and_dropped);
  all.run("21", "a future from elsewhere", a_future);
  all.run("22", "run", running);
  all.run("23", "six lookups, one after the other", six_lookups);
  all.run("24", "a task", a_task);
  all.run("25", "light messages and a long job", light_and_long);
  all.run("26", "both start before one ends", both_start_before_one_ends, order::any_at_one_time);
  all.run("27", "several runs of one runtime", several_runs);
  all.run("29", "the rules of groups", rules_of_groups, order::any_at_one_time);
  all.run("30", "a clock", a_clock);
  all.run("32", "a blocking call, one worker", inline_and_offloaded, order::as_said, 1);
  all.run("32", "a blocking call, four workers", inline_and_offloaded, order::as_said, 4);
  all.run("33", "factorials", factorials, order::any_at_one_time);
  all.run("34", "groups of workers", groups_of_workers, order::any_at_one_time);
  all.run("35", "groups are cancelled", groups_are_cancelled, order::any_at_one_time);
  all.run("36", "as they complete", as_they_complete, order::any_at_one_time);
  all.run("39", "between two waits", between_two_waits, order::any_at_one_time);
}
