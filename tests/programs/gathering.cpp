/// `gather`, as it is taught: many at once, results in order. The line above each section names its case.

#include "program.hpp"

#include <atomic>
#include <random>
#include <tuple>

using namespace program;
using sheaf::coro;
using sheaf::task;

namespace {

std::vector<coro<int>> jobs(stage& here, const std::vector<std::chrono::milliseconds>& lengths) {
  std::vector<coro<int>> all;
  for (std::size_t i = 0; i < lengths.size(); ++i) all.push_back(job(here, lengths[i], static_cast<int>(i)));
  return all;
}

std::string listed(const std::vector<int>& values) { return fmt::format("{}", fmt::join(values, " ")); }

// PROGRAM-52
coro<> notes(stage& here) {
  auto both = sheaf::gather(job(here, 1s, 1), job(here, 2s, 2));
  co_await sheaf::sleep_for(1500ms);
  here.say("one has ended, results are {}", both.done() ? "there" : "not there yet");
  const auto [first, second] = co_await both;
  here.say("{} and {}", first, second);
  const task<int> sibling = sheaf::spawn(job(here, 2s, 3));
  std::string error;
  try {
    co_await sheaf::gather(sibling, failing_job(1s, "failed"));
  } catch (const std::runtime_error& caught) {
    error = caught.what();
  }
  here.say("{}; the sibling is {}", error, sheaf::to_string(sibling.status()));
  here.say("sibling {}", co_await sibling);
}

// PROGRAM-55
coro<> a_hundred_sleepers(stage& here) {
  std::vector<coro<int>> all;
  for (int i = 0; i < 100; ++i) all.push_back(job(here, std::chrono::milliseconds(10 * i), i));
  const std::vector<int> values = co_await sheaf::gather(std::move(all));
  bool ordered = values.size() == 100;
  for (int i = 0; i < 100; ++i) ordered = ordered && values[static_cast<std::size_t>(i)] == i;
  here.say("0..99 {}", ordered ? "in order" : "out of order");
}

// PROGRAM-59, PROGRAM-61
coro<> results_in_order(stage& here) {
  const auto [first, second] = co_await sheaf::gather(job(here, 1s, 1), job(here, 2s, 2));
  here.say("{} {}", first, second);
  const auto [slow, quick] = co_await sheaf::gather(job(here, 3s, 3), job(here, 500ms, 4));
  here.say("{} {}", slow, quick);
}

// PROGRAM-60
coro<> in_order_with_any_delays(stage& here) {
  bool ordered = true;
  for (unsigned seed = 0; seed < 100; ++seed) {
    std::mt19937 random(seed);
    std::vector<std::chrono::milliseconds> delays;
    for (int i = 0; i < 3; ++i) delays.emplace_back(random() % 1000);
    const std::vector<int> values = co_await sheaf::gather(jobs(here, delays));
    ordered = ordered && listed(values) == "0 1 2";
  }
  here.say("{}", ordered ? "always 0 1 2" : "out of order");
}

// PROGRAM-62
coro<> an_error_comes_at_once(stage& here) {
  const task<int> sibling = sheaf::spawn(job(here, 1s, 1));
  std::string error;
  try {
    co_await sheaf::gather(sibling, failing_job(500ms, "failed early"));
  } catch (const std::runtime_error& caught) {
    error = caught.what();
  }
  here.say("{}", error);
  here.say("the sibling completes: {}", co_await sibling);
  static_cast<void>(sheaf::gather(job(here, 10s, 7), job(here, 10s, 8)));
  co_await sheaf::sleep_for(1s);
  here.say("main returns");  // what is left is cancelled by shutdown
}

// PROGRAM-63, PROGRAM-73
coro<> errors_beside_values(stage& here) {
  const auto [a, b, c] =
      co_await sheaf::gather(sheaf::return_exceptions, job(here, 500ms, 1), failing_job(300ms, "failed"), job(here, 500ms, 3));
  here.say("{} {} {}", a.value(), text_of(b.error()), c.value());
  std::string thrown = "nothing";
  try {
    static_cast<void>(b.value());
  } catch (const std::runtime_error& error) {
    thrown = error.what();
  }
  here.say("reading the failed slot throws: {}", thrown);
}

// PROGRAM-65
coro<std::string> fetch_safely(int number) {
  co_await sheaf::sleep_for(1s);
  co_return number % 2 == 0 ? "error" : "ok";
}
coro<> errors_as_values(stage& here) {
  std::vector<coro<std::string>> all;
  for (int i = 1; i <= 4; ++i) all.push_back(fetch_safely(i));
  for (const std::string& each : co_await sheaf::gather(std::move(all))) here.say("{}", each);
}

// PROGRAM-64, PROGRAM-66, PROGRAM-72
coro<> as_many_as_there_are(stage& here) {
  const std::vector<std::size_t> counts{3, 0, 5};
  for (const std::size_t count : counts) {
    const std::vector<int> values = co_await sheaf::gather(jobs(here, std::vector<std::chrono::milliseconds>(count, 1s)));
    here.say("{} results: {}", values.size(), listed(values));
  }
}

// PROGRAM-67
coro<> nested(stage& here) {
  auto first = sheaf::gather(job(here, 1s, 1), job(here, 1s, 2));
  auto second = sheaf::gather(job(here, 500ms, 3), job(here, 500ms, 4));
  const auto [pair, other] = co_await sheaf::gather(std::move(first), std::move(second));
  here.say("{} {} and {} {}", std::get<0>(pair), std::get<1>(pair), std::get<0>(other), std::get<1>(other));
}

// PROGRAM-68
coro<> a_hundred_ten_at_a_time(stage& here) {
  sheaf::semaphore permits(10);
  std::atomic<int> in_flight{0}, most{0};
  const auto limited = [](sheaf::semaphore& permits, std::atomic<int>& in_flight, std::atomic<int>& most) -> coro<int> {
    const sheaf::permit mine = co_await permits.acquire();
    const int now = in_flight.fetch_add(1) + 1;
    for (int seen = most.load(); now > seen && !most.compare_exchange_weak(seen, now);) {
    }
    co_await sheaf::sleep_for(200ms);
    in_flight.fetch_sub(1);
    co_return 1;
  };
  std::vector<coro<int>> all;
  for (int i = 0; i < 100; ++i) all.push_back(limited(permits, in_flight, most));
  const std::vector<int> values = co_await sheaf::gather(std::move(all));
  here.say("{} results, at most {} at once", values.size(), most.load());
}

// PROGRAM-69
coro<> cancelled_together(stage& here) {
  auto all = sheaf::gather(jobs(here, {10s, 10s, 10s}));
  co_await sheaf::sleep_for(1s);
  all.cancel();
  bool stopped = false;
  try {
    static_cast<void>(co_await std::move(all));
  } catch (const sheaf::task_cancelled&) {
    stopped = true;
  }
  here.say("{}", stopped ? "then all are cancelled" : "not cancelled");
}

// PROGRAM-70. With one worker, as with asyncio's one thread, what main has spawned cannot run before main waits.
coro<> three_ways(stage& here) {
  const auto answer = [](stage& here, int value) -> coro<int> {
    here.say("{} runs", value);
    co_await sheaf::sleep_for(1s);
    co_return value;
  };
  const auto [a, b] = co_await sheaf::gather(answer(here, 1), answer(here, 2));
  here.say("coroutines: {} and {}", a, b);
  const task<int> third = sheaf::spawn(answer, std::ref(here), 3);
  const task<int> fourth = sheaf::spawn(answer, std::ref(here), 4);
  const auto [c, d] = co_await sheaf::gather(third, fourth);
  here.say("tasks: {} and {}", c, d);
  const task<int> stopped = sheaf::spawn(answer, std::ref(here), 5);
  const task<int> kept = sheaf::spawn(answer, std::ref(here), 6);
  stopped.cancel();
  const auto [e, f] = co_await sheaf::gather(sheaf::return_exceptions, stopped, kept);
  here.say("tasks, one cancelled before: {} and {}", e.cancelled() ? "cancelled" : "not cancelled", f.value());
}

// PROGRAM-71
struct page {
  int number;
  std::string text;
};
coro<> scraper(stage& here) {
  const auto fetch = [](int number) -> coro<page> {
    co_await sheaf::sleep_for(std::chrono::milliseconds(100 * (5 - number)));
    page made{number, "text"};
    if (number == 3) made.text = "bad host";
    co_return made;
  };
  const std::vector<int> numbers{1, 2, 3, 4};
  for (const page& each : co_await sheaf::map_limited(5, numbers, fetch)) here.say("page {}: {}", each.number, each.text);
}

// PROGRAM-74. What a job needs lies in its task: its memory is bounded when the tasks are.
struct gauge {
  std::atomic<std::size_t> jobs{0}, most_jobs{0}, most_tasks{0}, ended{0};
};
void raise_to(std::atomic<std::size_t>& most, std::size_t value) {
  for (std::size_t seen = most.load(); value > seen && !most.compare_exchange_weak(seen, value);) {
  }
}
coro<> measured(stage& here, gauge& at) {
  raise_to(at.most_jobs, at.jobs.fetch_add(1) + 1);
  raise_to(at.most_tasks, here.runtime().metrics().live_tasks);
  co_await sheaf::sleep_for(10ms);
  at.jobs.fetch_sub(1);
  at.ended.fetch_add(1);
}
coro<> a_hundred_thousand(stage& here) {
  gauge unbounded;
  std::vector<coro<>> all;
  for (int i = 0; i < 100'000; ++i) all.push_back(measured(here, unbounded));
  co_await sheaf::gather(std::move(all));
  here.say("at once: {} ended, {} at once, {} tasks", unbounded.ended.load(), unbounded.most_jobs.load(),
           unbounded.most_tasks.load() > 100'000 ? "as many" : "fewer");

  gauge bounded;
  sheaf::semaphore permits(100);
  const auto job = [](stage& here, gauge& at, sheaf::permit) -> coro<> { co_await measured(here, at); };
  for (int i = 0; i < 100'000; ++i) {
    sheaf::permit mine = co_await permits.acquire();  // before there is a task: room for it is what a permit stands for
    sheaf::spawn(job, std::ref(here), std::ref(bounded), std::move(mine));
  }
  const sheaf::permit every = co_await permits.acquire(100);
  here.say("with 100 permits: {} ended, {} at once, {} tasks", bounded.ended.load(), bounded.most_jobs.load(),
           bounded.most_tasks.load() < 200 ? "fewer than 200" : "too many");
}

}  // namespace

int main(int argc, char** argv) {
  sections all(argc, argv);
  all.run("52", "notes on gather", notes);
  all.run("55", "a hundred sleepers", a_hundred_sleepers);
  all.run("59", "results in the order of the arguments", results_in_order);
  all.run("60", "whatever the delays", in_order_with_any_delays);
  all.run("62", "an error comes at once", an_error_comes_at_once, order::any_at_one_time);
  all.run("63", "errors beside values", errors_beside_values);
  all.run("65", "errors as values", errors_as_values);
  all.run("66", "as many as there are", as_many_as_there_are);
  all.run("67", "nested", nested);
  all.run("68", "a hundred, ten at a time", a_hundred_ten_at_a_time);
  all.run("69", "cancelled together", cancelled_together, order::any_at_one_time);
  all.run("70", "three ways, one worker", three_ways, order::any_at_one_time, 1);
  all.run("71", "a scraper", scraper);
  all.run("74", "a hundred thousand", a_hundred_thousand);
}
