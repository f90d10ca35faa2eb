/// dump(): a line for every task that has not completed, with what it waits for.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <source_location>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include <sheaf/future.hpp>
#include <sheaf/gather.hpp>
#include <sheaf/runtime.hpp>
#include <sheaf/semaphore.hpp>
#include <sheaf/shield.hpp>
#include <sheaf/sleep.hpp>
#include <sheaf/task_group.hpp>
#include <sheaf/this_task.hpp>
#include <sheaf/timeout.hpp>
#include <sheaf/wait.hpp>
#include <sheaf/when_all.hpp>

#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::gate;
using test::until_complete;
using test::until_parked;

SHEAF_ON_EVERY_FLAVOUR(DumpOnEvery);

/// The line of the task called `name`, without its name and id.
std::string line_of(const std::string& dump, const std::string& name) {
  const std::size_t at = dump.find(name + " (id ");
  if (at == std::string::npos) return "no line for " + name + " in:\n" + dump;
  const std::size_t begin = dump.find("): ", at) + 3;
  return dump.substr(begin, dump.find('\n', begin) - begin);
}

coro<> wait_at(gate at) { co_await at; }

TEST_P(DumpOnEvery, SaysWhatEveryTaskWaitsFor) {
  run([]() -> coro<> {
    const gate never;
    semaphore none(0);
    const task<> at_gate = spawn(spawn_options{.name = "at-gate"}, wait_at, never);
    std::vector<task<>> parked{
        at_gate,
        spawn(spawn_options{.name = "sleeping"}, []() -> coro<> { co_await sleep_for(1h); }),
        spawn(
            spawn_options{.name = "observing"}, [](task<> target) -> coro<> { co_await target; }, at_gate),
        spawn(
            spawn_options{.name = "queueing"}, [](semaphore& from) -> coro<> { const permit mine = co_await from.acquire(); },
            std::ref(none)),
        spawn(
            spawn_options{.name = "forking"}, [](gate at) -> coro<> { co_await when_all(wait_at(at), wait_at(at)); }, never),
    };
    co_await sleep_for(1500ms);
    for (const task<>& each : parked) co_await until_parked(each);
    const std::string dump = runtime::current()->dump();
    EXPECT_EQ(line_of(dump, "at-gate"), "waits for a gate, 1.500 s old, awaited by 'observing'");
    EXPECT_EQ(line_of(dump, "sleeping"), "waits for a timer, 1.500 s old");
    EXPECT_EQ(line_of(dump, "observing"), "waits for task 'at-gate', 1.500 s old");
    EXPECT_EQ(line_of(dump, "queueing"), "waits for a semaphore, 1.500 s old");
    EXPECT_EQ(line_of(dump, "forking"), "waits for when_all, 1.500 s old");
    EXPECT_EQ(line_of(dump, this_task::name()), "running, 1.500 s old");
    for (const task<>& each : parked) {
      each.cancel();
      co_await until_complete(each);
    }
  });
  EXPECT_EQ(rt().dump(), "");
}

TEST_P(DumpOnEvery, ShowsBlockingCallsAndTasksNotStarted) {
  start({.max_blocking_threads = 1});
  const gate inside, leave, release;
  const auto running = rt().spawn_blocking(
      spawn_options{.name = "in-call"},
      [](gate inside, gate leave) {
        inside.open();
        leave.wait();
      },
      inside, leave);
  inside.wait();
  const auto queued = rt().spawn_blocking(spawn_options{.name = "in-queue"}, [] {});
  occupy(release);
  const auto ready = rt().spawn(spawn_options{.name = "not-started"}, [] {});
  const std::string dump = rt().dump();
  EXPECT_EQ(line_of(dump, "in-call"), "runs on a blocking thread, 0.000 s old");
  EXPECT_EQ(line_of(dump, "in-queue"), "queued for a blocking thread, 0.000 s old");
  EXPECT_EQ(line_of(dump, "not-started"), "ready to run, 0.000 s old");
  release.open();
  leave.open();
  running.get();
  queued.get();
  ready.get();
}

/// Through every way of waiting, several waiters at once, and only while they wait.
TEST_P(DumpOnEvery, Graph01_WhoWaitsForATask) {
  run([]() -> coro<> {
    const auto named = [](const char* name) { return spawn_options{.name = name}; };
    const gate open;
    const task<> target = spawn(named("target"), wait_at, open);
    co_await until_parked(target);
    std::vector<task<>> waiting{
        spawn(
            named("a-task"), [](task<> target) -> coro<> { co_await target; }, target),
        spawn(
            named("b-shield"), [](task<> target) -> coro<> { co_await shield(target); }, target),
        spawn(
            named("c-wait"),
            [](task<> target) -> coro<> {
              const std::vector<task<>> both{target, target};
              static_cast<void>(co_await wait(both));
            },
            target),
        spawn(
            named("d-timeout"),
            [](task<> target) -> coro<> {
              const auto body = [&](timeout_scope&) -> coro<> { co_await target; };
              co_await with_timeout(1h, body);
            },
            target),
        spawn(
            named("e-group"),
            [](gate open) -> coro<> {
              const auto body = [&](task_group& group) -> coro<> {
                const task<> child = group.spawn(spawn_options{.name = "child"}, wait_at, open);
                co_await until_parked(child);
              };
              co_await with_task_group(body);
            },
            open),
    };
    const auto gathered = gather(target);
    gathered.set_name("f-gather");
    for (const task<>& each : waiting) co_await until_parked(each);
    co_await until_parked(gathered);
    std::string dump = runtime::current()->dump();
    EXPECT_EQ(line_of(dump, "target"),
              "waits for a gate, 0.000 s old, awaited by 'a-task', 'b-shield', 'c-wait', 'd-timeout', 'f-gather'");
    EXPECT_EQ(line_of(dump, "child"), "waits for a gate, 0.000 s old, awaited by 'e-group'");

    waiting[0].cancel();
    co_await until_complete(waiting[0]);
    dump = runtime::current()->dump();
    EXPECT_EQ(line_of(dump, "target"), "waits for a gate, 0.000 s old, awaited by 'b-shield', 'c-wait', 'd-timeout', 'f-gather'");
    open.open();
    for (const task<>& each : waiting) co_await until_complete(each);
    co_await until_complete(gathered);
  });
}

/// Who keeps the promise is not known; who waits, and who waits behind those, is.
TEST_P(DumpOnEvery, Graph01_WhoWaitsForAFuture) {
  run([]() -> coro<> {
    promise<> pending;
    const future<> result = pending.get_future();
    const auto wait_for_it = [](future<> from) -> coro<> { co_await from; };
    const auto wait_behind = [](task<> target) -> coro<> { co_await target; };
    const task<> first = spawn(spawn_options{.name = "first"}, wait_for_it, result);
    const task<> second = spawn(spawn_options{.name = "second"}, wait_for_it, result);
    const task<> behind = spawn(spawn_options{.name = "behind"}, wait_behind, first);
    const task<> last = spawn(spawn_options{.name = "last"}, wait_behind, behind);
    const std::vector<task<>> all{first, second, behind, last};
    for (const task<>& each : all) co_await until_parked(each);
    std::string dump = runtime::current()->dump();
    EXPECT_EQ(line_of(dump, "first"), "waits for a promise, 0.000 s old, awaited by 'behind'");
    EXPECT_EQ(line_of(dump, "second"), "waits for a promise, 0.000 s old");
    EXPECT_EQ(line_of(dump, "behind"), "waits for task 'first', 0.000 s old, awaited by 'last'");
    EXPECT_EQ(line_of(dump, "last"), "waits for task 'behind', 0.000 s old");
    pending.set_value();
    for (const task<>& each : all) co_await each;
  });
}

/// Tasks that wait for one another, one of them through a gather: a line for each, and no more.
TEST_P(DumpOnEvery, Graph01_ACycleIsPrintedOnce) {
  run([]() -> coro<> {
    const gate start;
    const auto ring = std::make_shared<std::vector<task<>>>();
    const auto wait_for_next = [](gate start, std::shared_ptr<std::vector<task<>>> ring, std::size_t next) -> coro<> {
      co_await start;
      co_await ring->at(next);
    };
    const auto gather_next = [](gate start, std::shared_ptr<std::vector<task<>>> ring) -> coro<> {
      co_await start;
      co_await gather(ring->at(0));
    };
    ring->push_back(spawn(spawn_options{.name = "north"}, wait_for_next, start, ring, 1));
    ring->push_back(spawn(spawn_options{.name = "east"}, wait_for_next, start, ring, 2));
    ring->push_back(spawn(spawn_options{.name = "south"}, gather_next, start, ring));
    const std::vector<task<>> all = *ring;
    start.open();
    const auto closed = [&] { return test::waiters_of(all[0]) + test::waiters_of(all[1]) + test::waiters_of(all[2]) == 3; };
    co_await test::until(closed);
    for (const task<>& each : all) co_await until_parked(each);
    const std::string dump = runtime::current()->dump();
    EXPECT_EQ(line_of(dump, "north").find("waits for task 'east', 0.000 s old, awaited by 'task-"), 0U) << dump;
    EXPECT_EQ(line_of(dump, "east"), "waits for task 'south', 0.000 s old, awaited by 'north'");
    EXPECT_NE(line_of(dump, "south").find(", 0.000 s old, awaited by 'east'"), std::string::npos) << dump;
    EXPECT_EQ(std::ranges::count(dump, '\n'), 5) << dump;  // these, the gather and this task
    all[0].cancel();
    for (const task<>& each : all) co_await until_complete(each);
  });
}

TEST_P(DumpOnEvery, SaysWhereATaskWasStartedIfItWasTold) {
  run([]() -> coro<> {
    const gate never;
    const auto where = std::source_location::current();
    const task<> told = spawn(spawn_options{.name = "told", .where = where}, wait_at, never);
    co_await until_parked(told);
    EXPECT_NE(runtime::current()->dump().find(
                  fmt::format("told (id {}, {}:{}): waits for a gate", told.id(), where.file_name(), where.line())),
              std::string::npos)
        << runtime::current()->dump();
    told.cancel();
    co_await until_complete(told);
  });
}

TEST_P(DumpOnEvery, LinesComeInTheOrderOfIds) {
  run([]() -> coro<> {
    const gate open;
    std::vector<task<>> all;
    for (int i = 0; i < 30; ++i) all.push_back(spawn(wait_at, open));
    const std::string dump = runtime::current()->dump();
    std::size_t last = 0;
    for (const task<>& each : all) {
      const std::size_t at = dump.find(each.name() + " (id ");
      EXPECT_NE(at, std::string::npos);
      EXPECT_GE(at, last);
      last = at;
    }
    open.open();
    for (const task<>& each : all) co_await each;
  });
}

/// A look holds parked tasks for a moment; what comes in meanwhile is not lost.
TEST(Dump, Graph01_LookingWhileTasksAreWokenAndCancelled) {
  runtime rt({.workers = 2});
  const gate done;
  std::thread looking([&] {
    while (!done.is_open()) {
      static_cast<void>(rt.dump());
      static_cast<void>(rt.tasks());
    }
  });
  for (int round = 0; round < 50; ++round) {
    const gate open;
    std::vector<task<>> all;
    for (int i = 0; i < 10; ++i) all.push_back(rt.spawn(wait_at, open));
    for (std::size_t i = 0; i < all.size(); i += 2) all[i].cancel();
    open.open();
    for (const task<>& each : all) {
      try {
        each.get();
      } catch (const task_cancelled&) {
      }
    }
  }
  done.open();
  looking.join();
}

}  // namespace
}  // namespace sheaf
