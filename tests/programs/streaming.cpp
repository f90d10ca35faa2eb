/// `as_completed`, as it is taught: results as they come. The line above each section names its case.

#include "program.hpp"

#include <map>
#include <optional>

using namespace program;
using sheaf::coro;
using sheaf::task;

namespace {

std::vector<coro<int>> jobs(stage& here, const std::vector<std::chrono::milliseconds>& lengths) {
  std::vector<coro<int>> all;
  for (std::size_t i = 0; i < lengths.size(); ++i) all.push_back(job(here, lengths[i], static_cast<int>(i) + 1));
  return all;
}

// PROGRAM-40, PROGRAM-42
coro<> as_they_come(stage& here) {
  auto stream = sheaf::as_completed(jobs(here, {3s, 1s, 2s, 200ms}));
  int count = 0;
  while (auto done = co_await stream.next()) here.say("{}/4: job {}", ++count, done->result());
}

// PROGRAM-41
coro<> beside_gather(stage& here) {
  const std::vector<std::chrono::milliseconds> lengths{3s, 1s, 2s};
  for (const int each : co_await sheaf::gather(jobs(here, lengths))) here.say("gather: {}", each);
  auto stream = sheaf::as_completed(jobs(here, lengths));
  while (auto done = co_await stream.next()) here.say("as_completed: {}", done->result());
}

// PROGRAM-43
coro<> first_mirror(stage& here) {
  const auto mirror = [](std::chrono::milliseconds delay, std::optional<int> answer) -> coro<std::optional<int>> {
    co_await sheaf::sleep_for(delay);
    co_return answer;
  };
  for (int round = 0; round < 2; ++round) {
    const bool all_fail = round == 1;
    std::vector<task<std::optional<int>>> mirrors;
    std::optional<int> none, second, third;
    if (!all_fail) {
      second = 2;
      third = 3;
    }
    mirrors.push_back(sheaf::spawn(mirror, 500ms, none));  // says "no" in time
    mirrors.push_back(sheaf::spawn(mirror, 1s, second));
    mirrors.push_back(sheaf::spawn(mirror, 2s, third));
    std::optional<int> found;
    auto stream = sheaf::as_completed(mirrors);
    while (!found) {
      auto done = co_await stream.next();
      if (!done) break;
      found = done->result();
    }
    co_await sheaf::cancel_and_join(mirrors);
    if (found) {
      here.say("mirror {}", *found);
    } else {
      here.say("none");
    }
  }
}

// PROGRAM-44, PROGRAM-51, PROGRAM-53
coro<> with_a_timeout(stage& here) {
  const std::vector<std::chrono::seconds> lengths{1s, 5s, 2s};
  std::vector<task<int>> all;
  for (int i = 0; i < 3; ++i) {
    all.push_back(sheaf::spawn(job(here, lengths[static_cast<std::size_t>(i)], i + 1)));
    all.back().set_name(fmt::format("job {}", i + 1));
  }
  auto stream = sheaf::as_completed(all, 3s);
  bool late = false;
  while (!late) {
    std::optional<task<int>> done;
    try {
      done = co_await stream.next();
    } catch (const sheaf::timeout_error&) {
      late = true;
    }
    if (done) here.say("{}", done->name());
  }
  here.say("timeout");
  for (const task<int>& each : stream.unfinished()) here.say("{} is unfinished", each.name());
  co_await sheaf::cancel_and_join(stream.unfinished());
  here.say("the program goes on");
}

// PROGRAM-45
coro<> errors_one_by_one(stage& here) {
  std::vector<task<int>> all{sheaf::spawn(job(here, 1s, 1)), sheaf::spawn(failing_job(2s, "404")),
                             sheaf::spawn(job(here, 3s, 3))};
  int ok = 0, failed = 0;
  auto stream = sheaf::as_completed(all);
  while (auto done = co_await stream.next()) {
    if (const std::exception_ptr error = done->exception()) {
      ++failed;
      here.say("error {}", text_of(error));
    } else {
      ++ok;
      here.say("ok {}", done->result());
    }
  }
  here.say("{} ok, {} failed", ok, failed);
}

// PROGRAM-46
coro<> which_one_is_it(stage& here) {
  std::map<task<int>, std::string> names;
  names.emplace(sheaf::spawn(job(here, 2s, 10)), "slow");
  names.emplace(sheaf::spawn(job(here, 1s, 20)), "quick");
  std::vector<task<int>> all;
  for (const auto& [each, name] : names) all.push_back(each);
  auto stream = sheaf::as_completed(std::move(all));
  while (auto done = co_await stream.next()) here.say("{}: {}", names.at(*done), done->result());
}

// PROGRAM-47
struct host {
  const char* name;
  std::chrono::milliseconds delay;
  bool fails;
};
coro<double> ping(std::chrono::milliseconds delay, bool fails) {
  co_await sheaf::sleep_for(delay);
  if (fails) throw std::runtime_error("unreachable");
  co_return std::chrono::duration<double>(delay).count();
}
coro<> ping_hosts(stage& here, const std::vector<host>& hosts) {
  const auto limited = [](std::chrono::milliseconds delay, bool fails) -> coro<double> {
    co_return co_await sheaf::wait_for(ping(delay, fails), 5s);
  };
  std::map<task<double>, const char*> names;
  std::vector<task<double>> all;
  for (const host& each : hosts) {
    all.push_back(sheaf::spawn(limited, each.delay, each.fails));
    names.emplace(all.back(), each.name);
  }
  double sum = 0;
  int answers = 0;
  auto stream = sheaf::as_completed(all);
  while (auto done = co_await stream.next()) {
    const char* const name = names.at(*done);
    try {
      sum += done->result();
      ++answers;
      here.say("{}: {:.1f} s", name, done->result());
    } catch (const sheaf::timeout_error&) {
      here.say("{}: timeout", name);
    } catch (const std::runtime_error& error) {
      here.say("{}: error: {}", name, error.what());
    }
  }
  here.say("{}/{}, {:.1f} s on average", answers, hosts.size(), sum / answers);
}
coro<> ping_four_hosts(stage& here) {
  const std::vector<host> hosts{{"bad", 100ms, true}, {"near", 200ms, false}, {"far", 400ms, false}, {"remote", 600ms, false}};
  co_await ping_hosts(here, hosts);
}
coro<> ping_with_a_slow_host(stage& here) {
  const std::vector<host> hosts{{"bad", 100ms, true}, {"near", 200ms, false}, {"far", 400ms, false}, {"slow", 9s, false}};
  co_await ping_hosts(here, hosts);
}

// PROGRAM-48
sheaf::stream<std::string> results_of(std::vector<coro<int>> work) {
  auto stream = sheaf::as_completed(std::move(work));
  while (auto done = co_await stream.next()) {
    if (done->exception()) {
      co_yield "error: " + text_of(done->exception());
    } else {
      co_yield "result " + std::to_string(done->result());
    }
  }
}
coro<> a_generator(stage& here) {
  std::vector<coro<int>> work;
  work.push_back(job(here, 2s, 1));
  work.push_back(job(here, 200ms, 2));
  work.push_back(failing_job(1s, "broken"));
  auto results = results_of(std::move(work));
  while (auto each = co_await results.next()) here.say("{}", *each);
  {
    auto abandoned = results_of(jobs(here, {1s, 2s}));
    here.say("{}, and no more", *co_await abandoned.next());
  }
  co_await sheaf::sleep_for(2s);
}

// PROGRAM-49
coro<> ten_jobs_three_permits(stage& here) {
  sheaf::semaphore permits(3);
  const auto limited = [](sheaf::semaphore& permits) -> coro<int> {
    const sheaf::permit mine = co_await permits.acquire();
    co_await sheaf::sleep_for(1s);
    co_return 1;
  };
  std::vector<coro<int>> all;
  for (int i = 0; i < 10; ++i) all.push_back(limited(permits));
  std::map<int, int> per_second;
  auto stream = sheaf::as_completed(std::move(all));
  while (auto done = co_await stream.next()) per_second[static_cast<int>(here.now())] += done->result();
  for (const auto& [second, count] : per_second) here.say("{} at {} s", count, second);
}

// PROGRAM-50
coro<> good_enough(stage& here) {
  const std::vector<task<int>> all{sheaf::spawn(job(here, 1s, 1)), sheaf::spawn(job(here, 5s, 2)),
                                   sheaf::spawn(job(here, 9s, 3))};
  auto stream = sheaf::as_completed(all);
  const auto first = co_await stream.next();
  here.say("{} is good enough", first->result());
  co_await sheaf::cancel_and_join(stream.unfinished());
}

}  // namespace

int main(int argc, char** argv) {
  sections all(argc, argv);
  all.run("40", "as they come", as_they_come);
  all.run("41", "beside gather", beside_gather);
  all.run("43", "the first mirror that answers", first_mirror);
  all.run("44", "with a timeout", with_a_timeout);
  all.run("45", "errors one by one", errors_one_by_one);
  all.run("46", "which one is it", which_one_is_it);
  all.run("47", "ping four hosts", ping_four_hosts);
  all.run("47", "one of them is too slow", ping_with_a_slow_host);
  all.run("48", "a generator of results", a_generator);
  all.run("49", "ten jobs, three permits", ten_jobs_three_permits);
  all.run("50", "a good enough result", good_enough, order::any_at_one_time);
}
