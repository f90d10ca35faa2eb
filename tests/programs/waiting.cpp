/// `wait`, as it is taught: who is done, who is not, and what to do about them. The line above each section names its case.

#include "program.hpp"

#include <map>
#include <optional>

using namespace program;
using sheaf::coro;
using sheaf::task;

namespace {

using tasks = std::vector<task<int>>;

// PROGRAM-01
coro<> three_sleepers(stage& here) {
  const tasks all{sheaf::spawn(job(here, 1s, 1)), sheaf::spawn(job(here, 2s, 2)), sheaf::spawn(job(here, 3s, 3))};
  auto [done, pending] = co_await sheaf::wait(all);
  here.say("{} done, {} pending", done.size(), pending.size());
  for (const task<int>& each : done) here.say("result {}", each.result());
}

// PROGRAM-03
coro<> first_completed(stage& here) {
  const tasks all{sheaf::spawn(job(here, 3s, 1)), sheaf::spawn(job(here, 1s, 2)), sheaf::spawn(job(here, 2s, 3))};
  auto [done, pending] = co_await sheaf::wait(all, {.return_when = sheaf::first_completed});
  here.say("{} done, {} pending", done.size(), pending.size());
  here.say("result {}", done.front().result());
  co_await sheaf::cancel_and_join(std::move(pending));
}

// PROGRAM-04
coro<> first_exception(stage& here) {
  const tasks all{sheaf::spawn(job(here, 2s, 1)), sheaf::spawn(failing_job(500ms, "out of paper")),
                  sheaf::spawn(job(here, 2s, 3))};
  auto [done, pending] = co_await sheaf::wait(all, {.return_when = sheaf::first_exception});
  here.say("{} done, {} pending", done.size(), pending.size());
  here.say("error: {}", text_of(done.front().exception()));
  co_await sheaf::cancel_and_join(std::move(pending));
}

// PROGRAM-05
coro<> all_completed(stage& here) {
  const tasks all{sheaf::spawn(job(here, 1s, 1)), sheaf::spawn(job(here, 2s, 2)), sheaf::spawn(job(here, 3s, 3))};
  auto [done, pending] = co_await sheaf::wait(all, {.return_when = sheaf::all_completed});
  here.say("{} done, {} pending", done.size(), pending.size());
}

// PROGRAM-06
coro<> with_a_timeout(stage& here) {
  const tasks all{sheaf::spawn(job(here, 1s, 1)), sheaf::spawn(job(here, 5s, 2)), sheaf::spawn(job(here, 2s, 3))};
  auto [done, late] = co_await sheaf::wait(all, {.timeout = 3s});
  here.say("{} finished, {} late", done.size(), late.size());
  for (const task<int>& each : done) here.say("result {}", each.result());
  co_await sheaf::cancel_and_join(std::move(late));
}

// PROGRAM-07
coro<> first_available(stage& here) {
  here.say("source {}", co_await sheaf::first_success(job(here, 3s, 1), job(here, 1s, 2), job(here, 2s, 3)));
  here.say("source {}", co_await sheaf::first_success(job(here, 3s, 1), failing_job(1s, "down"), job(here, 2s, 3)));
  std::string error;
  try {
    co_await sheaf::first_success(failing_job(1s, "first down"), failing_job(2s, "second down"));
  } catch (const sheaf::exception_group& group) {
    error = fmt::format("{} errors", group.errors().size());
  }
  here.say("{}", error);
}

// PROGRAM-08
coro<> with_retry(stage& here) {
  for (int attempt = 1; attempt <= 3; ++attempt) {
    bool in_time = false;
    try {
      co_await sheaf::wait_for(job(here, 10s, attempt), 1s);
      in_time = true;
    } catch (const sheaf::timeout_error&) {
    }
    here.say("attempt {}: {}", attempt, in_time ? "ok" : "too slow");
    co_await sheaf::sleep_for(500ms);
  }
  here.say("all failed");
}

// PROGRAM-09
coro<> batch_with_a_budget(stage& here) {
  const std::vector<std::chrono::seconds> lengths{1s, 3s, 2s, 5s};
  tasks all;
  for (int i = 0; i < 4; ++i) all.push_back(sheaf::spawn(job(here, lengths[static_cast<std::size_t>(i)], i)));
  sheaf::task_set<int> pending(all);
  int finished = 0;
  while (!pending.empty()) {
    const auto left = std::chrono::duration<double>(4.0 - here.now());
    const tasks done = co_await sheaf::wait(pending, {.timeout = left, .return_when = sheaf::first_completed});
    if (done.empty()) break;
    for (const task<int>& each : done) here.say("{}/4: id {}", ++finished, each.result());
  }
  here.say("timeout, cancelling {}", pending.size());
  co_await sheaf::cancel_and_join(std::move(pending));
  here.say("{} of 4", finished);
}

// PROGRAM-10. The table under "Which of the three" in docs/from-asyncio.md; tests/compile_fail has that wait takes no coroutines.
coro<> side_by_side(stage& here) {
  const auto jobs = [&here] {
    std::vector<coro<int>> all;
    all.push_back(job(here, 3s, 1));
    all.push_back(job(here, 1s, 2));
    all.push_back(job(here, 2s, 3));
    return all;
  };
  sheaf::task<std::vector<int>> gathered = sheaf::gather(jobs());
  co_await sheaf::sleep_for(2500ms);
  here.say("gather: two of three have ended, {}", gathered.done() ? "and it" : "it gives nothing yet");
  const std::vector<int> values = co_await std::move(gathered);
  here.say("gather: {}", fmt::join(values, " "));

  sheaf::completion_stream<int> stream = sheaf::as_completed(jobs());
  while (const std::optional<task<int>> done = co_await stream.next()) here.say("as_completed: {}", done->result());

  const tasks all{sheaf::spawn(job(here, 3s, 1)), sheaf::spawn(job(here, 1s, 2)), sheaf::spawn(failing_job(2s, "failed"))};
  std::map<task<int>, int> numbers;
  for (const task<int>& each : all) numbers.emplace(each, static_cast<int>(numbers.size()) + 1);
  const auto listed = [&numbers](const auto& some) {
    std::vector<int> found;
    for (const task<int>& each : some) found.push_back(numbers.at(each));
    return found.empty() ? "none" : fmt::format("{}", fmt::join(found, " "));
  };
  const sheaf::wait_options modes[]{
      {.return_when = sheaf::first_completed}, {.return_when = sheaf::first_exception}, {.return_when = sheaf::all_completed}};
  const char* const names[]{"first_completed", "first_exception", "all_completed"};
  for (std::size_t i = 0; i < std::size(modes); ++i) {
    const sheaf::wait_result<int> both = co_await sheaf::wait(all, modes[i]);
    here.say("wait, {}: done {}, pending {}", names[i], listed(both.done), listed(both.pending));
  }
  here.say("the error is on its task: {}", text_of(all.back().exception()));
}

// PROGRAM-11
coro<> with_recovery(stage& here) {
  std::map<task<int>, int> workers;
  workers.emplace(sheaf::spawn(job(here, 2s, 10)), 1);
  workers.emplace(sheaf::spawn(failing_job(1s, "crashed")), 2);
  workers.emplace(sheaf::spawn(job(here, 3s, 30)), 3);
  tasks all;
  for (const auto& [each, id] : workers) all.push_back(each);
  sheaf::task_set<int> pending(std::move(all));
  int ok = 0, errors = 0;
  while (!pending.empty()) {
    const tasks done = co_await sheaf::wait(pending, {.return_when = sheaf::first_completed});
    for (const task<int>& each : done) {
      const bool failed = each.exception() != nullptr;
      (failed ? errors : ok) += 1;
      here.say("worker {} {}", workers.at(each), failed ? "error" : "ok");
    }
  }
  here.say("{} ok, {} error", ok, errors);
}

coro<> with_restart(stage& here) {
  std::map<task<int>, int> workers;
  workers.emplace(sheaf::spawn(job(here, 2s, 10)), 1);
  workers.emplace(sheaf::spawn(failing_job(1s, "crashed")), 2);
  workers.emplace(sheaf::spawn(job(here, 3s, 30)), 3);
  int ok = 0, errors = 0;
  while (!workers.empty()) {
    tasks running;
    for (const auto& [each, id] : workers) running.push_back(each);
    auto [done, pending] = co_await sheaf::wait(running, {.return_when = sheaf::first_completed});
    for (const task<int>& each : done) {
      const int id = workers.at(each);
      workers.erase(each);
      if (each.status() == sheaf::task_status::failed) {
        ++errors;
        here.say("worker {} {}, is restarted", id, text_of(each.exception()));
        workers.emplace(sheaf::spawn(job(here, 1500ms, 20)), id);
      } else {
        ++ok;
        here.say("worker {} ok: {}", id, each.result());
      }
    }
  }
  here.say("{} ok, {} error", ok, errors);
}

// PROGRAM-12
coro<> with_fallback(stage& here) {
  int answer = 0;
  try {
    answer = co_await sheaf::wait_for(job(here, 10s, 1), 3s);
  } catch (const sheaf::timeout_error&) {
    answer = 0;
  }
  if (answer == 0) answer = co_await sheaf::race(job(here, 2s, 2), job(here, 200ms, 3));
  here.say("answer of {}", answer);
  here.say("{} tasks", here.runtime().tasks().size());
}

// PROGRAM-13
coro<> ignored_pending(stage& here) {
  int beats = 0;
  const auto heart = [](int& beats) -> coro<> {
    for (;;) {
      co_await sheaf::sleep_for(1s);
      ++beats;
    }
  };
  const std::vector<task<>> all{sheaf::spawn(heart, std::ref(beats))};
  {
    auto [done, pending] = co_await sheaf::wait(all, {.timeout = 1500ms});
    here.say("{} pending, {} beats", pending.size(), beats);
  }
  co_await sheaf::sleep_for(2s);
  here.say("ignored, it goes on: {} beats", beats);
  co_await sheaf::cancel_and_join(all);
  co_await sheaf::sleep_for(2s);
  here.say("cancelled, it has stopped: {} beats", beats);
}

// PROGRAM-14
coro<> asking_for_the_error_first(stage& here) {
  const tasks all{sheaf::spawn(failing_job(1s, "no such thing"))};
  auto [done, pending] = co_await sheaf::wait(all);
  here.say("exception(): {}", text_of(done.front().exception()));
  std::string thrown = "nothing";
  try {
    static_cast<void>(done.front().result());
  } catch (const std::runtime_error& error) {
    thrown = error.what();
  }
  here.say("result() throws: {}", thrown);
}

// PROGRAM-15
coro<> a_child_that_never_ends(stage& here) {
  const auto endless = []() -> coro<> {
    for (;;) co_await sheaf::sleep_for(1h);
  };
  const std::vector<task<>> all{sheaf::spawn(endless)};
  for (int i = 0; i < 3; ++i) {
    auto [done, pending] = co_await sheaf::wait(all, {.timeout = 2s});
    here.say("{} done, {} pending", done.size(), pending.size());
  }
}

// PROGRAM-54
coro<> notes(stage& here) {
  const tasks all{sheaf::spawn(job(here, 1s, 1)), sheaf::spawn(failing_job(2s, "broken")), sheaf::spawn(job(here, 3s, 3))};
  const sheaf::wait_options modes[]{
      {.return_when = sheaf::first_completed}, {.return_when = sheaf::first_exception}, {}, {.timeout = 0s}};
  for (const sheaf::wait_options& each : modes) {
    auto [done, pending] = co_await sheaf::wait(all, each);
    here.say("{} done, {} pending", done.size(), pending.size());
  }
  here.say("the error is on its task: {}", text_of(all[1].exception()));
}

// PROGRAM-57
coro<> ten_sleepers(stage& here) {
  tasks all;
  for (int i = 0; i < 10; ++i) all.push_back(sheaf::spawn(job(here, std::chrono::seconds(i), i)));
  auto [done, pending] = co_await sheaf::wait(all);
  std::string values;
  for (const task<int>& each : done) values += fmt::format(" {}", co_await each);
  here.say("all at once:{}", values);
}

// PROGRAM-58
coro<> while_pending(stage& here) {
  tasks all;
  for (int i = 0; i < 10; ++i) all.push_back(sheaf::spawn(job(here, std::chrono::seconds(i), i)));
  sheaf::task_set<int> pending(std::move(all));
  while (!pending.empty()) {
    const tasks done = co_await sheaf::wait(pending, {.return_when = sheaf::first_completed});
    for (const task<int>& each : done) here.say("{}", each.result());
  }
}

}  // namespace

int main(int argc, char** argv) {
  sections all(argc, argv);
  all.run("01", "wait for three sleepers", three_sleepers);
  all.run("03", "the first to complete", first_completed, order::any_at_one_time);
  all.run("04", "the first to fail", first_exception, order::any_at_one_time);
  all.run("05", "all of them", all_completed);
  all.run("06", "with a timeout", with_a_timeout);
  all.run("07", "the first source that answers", first_available, order::any_at_one_time);
  all.run("08", "three attempts", with_retry);
  all.run("09", "a batch with a budget", batch_with_a_budget);
  all.run("10", "gather, as_completed and wait side by side", side_by_side);
  all.run("11", "which worker was it", with_recovery);
  all.run("11", "and started again", with_restart);
  all.run("12", "a primary and two fallbacks", with_fallback);
  all.run("13", "pending tasks go on", ignored_pending);
  all.run("14", "ask for the error first", asking_for_the_error_first);
  all.run("15", "a child that never ends", a_child_that_never_ends);
  all.run("54", "notes on wait", notes);
  all.run("57", "ten sleepers", ten_sleepers);
  all.run("58", "while some are pending", while_pending);
}
