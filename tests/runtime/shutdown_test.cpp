/// The end of a runtime: what is left is cancelled and awaited, everything is destroyed once, and what does not end is named.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sheaf/run.hpp>
#include <sheaf/runtime.hpp>
#include <sheaf/semaphore.hpp>
#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>
#include <sheaf/when_all.hpp>

#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::drop_counter;
using test::gate;

SHEAF_ON_EVERY_FLAVOUR(ShutdownOnEvery);

coro<> wait_at(gate at, drop_counter::payload) { co_await at; }

/// A callable that does not end of its own accord.
void wait_for_token(const cancel_token& token, gate inside, const drop_counter::payload&) {
  const gate asked;
  const auto registered = token.on_cancel([&asked] { asked.open(); });
  inside.open();
  asked.wait();
}

TEST_P(ShutdownOnEvery, Mt43_EveryFrameAndCaptureIsDestroyedOnceBeforeTheDestructorReturns) {
  drop_counter drops;
  std::atomic<int> unwound{0};
  start({.max_blocking_threads = 1});
  const gate never, in_call;
  semaphore none(0);
  int made = 0;
  std::vector<any_task> kept;
  const auto payload = [&] {
    ++made;
    return drops.make();
  };
  for (int i = 0; i < 5; ++i) {
    kept.push_back(rt().spawn(wait_at, never, payload()));                                                   // parked
    kept.push_back(rt().spawn([](drop_counter::payload) -> coro<> { co_await sleep_for(1h); }, payload()));  // pending
    kept.push_back(
        rt().spawn([](semaphore& from, drop_counter::payload) -> coro<> { const permit mine = co_await from.acquire(); },
                   std::ref(none), payload()));
    kept.push_back(rt().spawn([](gate at, drop_counter::payload a, drop_counter::payload b)
                                  -> coro<> { co_await when_all(wait_at(at, std::move(a)), wait_at(at, std::move(b))); },
                              never, payload(), payload()));
    kept.push_back(rt().spawn([](gate at, drop_counter::payload mine) -> coro<> { co_await spawn(wait_at, at, std::move(mine)); },
                              never, payload()));
    kept.push_back(rt().spawn(
        [](drop_counter::payload) -> coro<> {
          for (;;) co_await this_task::yield();  // queued again and again
        },
        payload()));
    kept.push_back(rt().spawn([](gate at, drop_counter::payload,
                                 std::atomic<int>& unwound) -> coro<> { unwound.fetch_add(co_await test::pass_stubbornly(at)); },
                              never, payload(), std::ref(unwound)));
  }
  kept.push_back(rt().spawn_blocking(wait_for_token, in_call, payload()));
  in_call.wait();
  kept.push_back(rt().spawn_blocking([](const drop_counter::payload&) { ADD_FAILURE() << "a queued call ran"; }, payload()));
  for (int i = 0; i < 5; ++i) kept.push_back(rt().spawn([](const drop_counter::payload&) {}, payload()));  // hardly started
  std::thread opener([&] {
    // The stubborn ones are let go when shutdown has begun.
    test::spin_until([&] {
      try {
        static_cast<void>(rt().spawn([] {}));
        return false;
      } catch (const runtime_closed&) {
        return true;
      }
    });
    never.open();
  });
  rt().shutdown();
  opener.join();
  EXPECT_EQ(drops.drops(), made);
  for (const any_task& each : kept) EXPECT_TRUE(each.done());
}

TEST_P(ShutdownOnEvery, NothingNeedsToHaveStarted) {
  drop_counter drops;
  const gate release;
  occupy(release);
  for (int i = 0; i < 100; ++i) {
    const task<> unstarted = rt().spawn([](const drop_counter::payload&) { ADD_FAILURE() << "it ran"; }, drops.make());
    unstarted.cancel();
  }
  release.open();
  rt().shutdown();
  EXPECT_EQ(drops.drops(), 100);
}

/// MT-45: what destructors of dying tasks do to others.
TEST_P(ShutdownOnEvery, Mt45_DestructorsMayWakeCancelAndSpawn) {
  drop_counter drops;
  std::atomic<int> refused{0};
  struct busy_destructor {
    busy_destructor(gate other, task<> victim, std::atomic<int>& refused)
        : other_(std::move(other)), victim_(std::move(victim)), refused_(&refused) {}
    busy_destructor(busy_destructor&& from) noexcept
        : other_(from.other_), victim_(std::move(from.victim_)), refused_(std::exchange(from.refused_, nullptr)) {}
    busy_destructor& operator=(busy_destructor&&) = delete;
    ~busy_destructor() {
      if (refused_ == nullptr) return;
      other_.open();
      victim_.cancel();
      try {
        const task<> late = spawn([] {});
      } catch (const runtime_closed&) {
        refused_->fetch_add(1);
      }
    }
    gate other_;
    task<> victim_;
    std::atomic<int>* refused_;
  };
  {
    const gate never, others;
    const task<> victim = rt().spawn(wait_at, never, drops.make());
    const task<> woken = rt().spawn(wait_at, others, drops.make());
    const task<> dying =
        rt().spawn([](busy_destructor, gate at) -> coro<> { co_await at; }, busy_destructor(others, victim, refused), never);
    run([dying]() -> coro<> { co_await test::until_parked(dying); });
  }
  rt().shutdown();
  EXPECT_EQ(refused.load(), 1);
  EXPECT_EQ(drops.drops(), 2);
}

TEST_P(ShutdownOnEvery, ChildrenOfALiveTaskAreStillAdmitted) {
  bool joined = false;
  const task<> cleaning = rt().spawn(
      [](bool& joined) -> coro<> {
        try {
          co_await sleep_for(1h);
        } catch (const cancelled&) {
        }
        const auto child = [](int n) -> coro<int> {
          co_await sleep_for(1s);
          co_return n;
        };
        const auto [a, b] = co_await when_all(child(1), child(2));
        joined = a + b == 3;
      },
      std::ref(joined));
  run([cleaning]() -> coro<> { co_await test::until_parked(cleaning); });
  rt().shutdown();
  EXPECT_TRUE(joined);
}

TEST_P(ShutdownOnEvery, AShutdownTaskCarriesTheReason) {
  const gate never;
  drop_counter drops;
  const task<> parked = rt().spawn(wait_at, never, drops.make());
  rt().shutdown();
  try {
    parked.get();
    ADD_FAILURE() << "not cancelled";
  } catch (const task_cancelled& caught) {
    EXPECT_EQ(caught.reason(), "runtime shutdown");
  }
}

/// MT-46: foreign threads spawn while the runtime closes: each task is refused or ends, its capture destroyed once.
TEST_P(ShutdownOnEvery, Mt46_ForeignThreadsSpawnWhileItCloses) {
  drop_counter drops;
  start({}, false);
  std::atomic<int> made{0};
  std::vector<std::thread> spawners;
  const gate go;
  for (int i = 0; i < 3; ++i) {
    spawners.emplace_back([&, go, i] {
      go.wait();
      for (int n = 0; n < 2000; ++n) {
        made.fetch_add(1);
        try {
          if (i == 0) {
            const auto each = rt().spawn([](const drop_counter::payload&) {}, drops.make());
          } else if (i == 1) {
            const auto each = rt().spawn([](drop_counter::payload) -> coro<> { co_await sleep_for(1h); }, drops.make());
          } else {
            const auto each = rt().spawn_blocking([](const drop_counter::payload&) {}, drops.make());
          }
        } catch (const runtime_closed&) {
        }
      }
    });
  }
  go.open();
  test::spin_until([&] { return made.load() > 100; });
  rt().shutdown();
  for (std::thread& each : spawners) each.join();
  EXPECT_EQ(drops.drops(), 6000);
}

TEST_P(ShutdownOnEvery, TwoThreadsMayShutDownAtOnce) {
  const gate never;
  drop_counter drops;
  for (int i = 0; i < 20; ++i) {
    const task<> parked = rt().spawn(wait_at, never, drops.make());
  }
  std::thread other([this] { rt().shutdown(); });
  rt().shutdown();
  EXPECT_EQ(drops.drops(), 20);
  other.join();
}

// ---- with a limit ------------------------------------------------------------------------------------------------------------

TEST_P(ShutdownOnEvery, Mt47_ShutdownForAnswersFalseWhileACallIsOutAndTrueOnceItHasReturned) {
  drop_counter drops;
  start({.max_blocking_threads = 1}, false);
  const gate inside, leave;
  const auto call = rt().spawn_blocking(
      spawn_options{.name = "hanging"},
      [](gate inside, gate leave, const drop_counter::payload&) {
        inside.open();
        leave.wait();
      },
      inside, leave, drops.make());
  const auto queued =
      rt().spawn_blocking([](const drop_counter::payload&) { ADD_FAILURE() << "never started, yet it ran"; }, drops.make());
  inside.wait();
  EXPECT_FALSE(rt().shutdown_for(0s));
  EXPECT_FALSE(rt().shutdown_for(1ms));
  EXPECT_NE(rt().dump().find("hanging"), std::string::npos);
  EXPECT_THROW(static_cast<void>(rt().spawn([] {})), runtime_closed);
  leave.open();
  EXPECT_TRUE(rt().shutdown_for(1h));
  EXPECT_EQ(drops.drops(), 2);
  EXPECT_TRUE(queued.cancelled());
  EXPECT_TRUE(call.done());
}

/// What is written to stderr while it lives, to be read meanwhile.
class captured_stderr {
 public:
  captured_stderr() : outer_(::dup(STDERR_FILENO)) {
    EXPECT_EQ(::pipe2(ends_, O_NONBLOCK), 0);
    ::dup2(ends_[1], STDERR_FILENO);
  }
  captured_stderr(const captured_stderr&) = delete;
  captured_stderr& operator=(const captured_stderr&) = delete;
  ~captured_stderr() {
    ::dup2(outer_, STDERR_FILENO);
    for (const int each : {outer_, ends_[0], ends_[1]}) ::close(each);
  }
  /// All of it so far. One thread at a time.
  const std::string& text() {
    char some[256];
    for (ssize_t got = 0; (got = ::read(ends_[0], some, sizeof some)) > 0;) text_.append(some, static_cast<std::size_t>(got));
    return text_;
  }

 private:
  int outer_;
  int ends_[2]{};
  std::string text_;
};

/// In real time that takes five seconds of patience. Manual time is out of patience at once when it cannot move.
TEST_P(ShutdownOnEvery, WhatItWaitsForIsNamedOnStderrOnce) {
  const gate leave;
  const task<int> stubborn = rt().spawn(spawn_options{.name = "stubborn"}, test::pass_stubbornly, leave, nullptr);
  run([stubborn]() -> coro<> { co_await test::until_parked(stubborn); });
  captured_stderr output;
  std::thread outside([&] {
    test::spin_until([&] { return output.text().find("s old\n") != std::string::npos; });
    leave.open();
  });
  destroy_runtime();
  outside.join();
  EXPECT_EQ(output.text(), "sheaf: runtime shutdown waits for:\nstubborn (id " + std::to_string(stubborn.id()) +
                               "): waits for a gate, 0.000 s old\n");
  EXPECT_EQ(stubborn.get(), 1);
}

/// After a false answer the destructor leaves the thread behind, with what it uses.
TEST(Shutdown, Mt47_AfterAFalseAnswerTheDestructorLeavesTheCallBehind) {
  drop_counter drops;
  const gate inside, leave, used;
  {
    runtime rt({.workers = 1});
    const auto call = rt.spawn_blocking(
        [](gate inside, gate leave, gate used, const drop_counter::payload& mine) {
          inside.open();
          leave.wait();
          EXPECT_EQ(mine.value(), 9);                                     // its arguments are there,
          EXPECT_NE(runtime::current(), nullptr);                         // its runtime too,
          EXPECT_THROW(static_cast<void>(spawn([] {})), runtime_closed);  // closed as it is
          EXPECT_TRUE(this_task::token().requested());
          used.open();
        },
        inside, leave, used, drops.make(9));
    inside.wait();
    EXPECT_FALSE(rt.shutdown_for(1ms));
  }
  EXPECT_EQ(drops.alive(), 1);
  leave.open();
  used.wait();
  test::spin_until([&] { return drops.alive() == 0; });
}

TEST(Shutdown, Mt47_ShutdownLimitBoundsTheDestructorAndRun) {
  drop_counter drops;
  const gate leave;
  const int value = run(
      [&]() -> coro<int> {
        const gate inside;
        const auto call = spawn_blocking(
            [](gate inside, gate leave, const drop_counter::payload&) {
              inside.open();
              leave.wait();
            },
            inside, leave, drops.make());
        co_await inside;
        co_return 3;
      },
      {.workers = 1, .shutdown_limit = 1ms});
  EXPECT_EQ(value, 3);
  EXPECT_EQ(drops.alive(), 1);
  leave.open();
  test::spin_until([&] { return drops.alive() == 0; });
}

/// A task that waits for the call that stays out is left with it: no thread is there to run it any more.
TEST(Shutdown, WhatWaitsForACallLeftBehindStaysParked) {
  const gate inside, leave;
  const auto held = std::make_shared<int>(7);
  task<> waiting;
  any_task call;
  {
    runtime rt({.workers = 1, .shutdown_limit = 1ms});
    const gate owned;
    const auto body = [](gate owned, gate inside, gate leave, any_task& self) {
      owned.wait();
      self = this_task::handle();
      inside.open();
      leave.wait();
    };
    const auto owns = [body](gate owned, gate inside, gate leave, std::shared_ptr<int> held, any_task& call) -> coro<> {
      co_await spawn_blocking(body, owned, inside, leave, std::ref(call));
      *held = 8;
    };
    waiting = rt.spawn(owns, owned, inside, leave, held, std::ref(call));
    test::spin_until([&] { return test::is_parked(waiting); });
    owned.open();
    inside.wait();
  }
  leave.open();
  call.get();
  EXPECT_FALSE(waiting.done());
  EXPECT_EQ(held.use_count(), 2);
  EXPECT_EQ(*held, 7);
  EXPECT_TRUE(waiting.cancel());  // recorded, for nobody
}

/// Handles of what stayed out may be asked afterwards.
TEST(Shutdown, AHandleOfACallLeftBehindCompletesWhenTheCallReturns) {
  const gate inside, leave;
  task<int> call;
  {
    runtime rt({.workers = 1, .shutdown_limit = 1ms});
    call = rt.spawn_blocking(
        [](gate inside, gate leave) {
          inside.open();
          leave.wait();
          return 5;
        },
        inside, leave);
    inside.wait();
  }
  EXPECT_FALSE(call.done());
  leave.open();
  EXPECT_EQ(call.get(), 5);
}

}  // namespace
}  // namespace sheaf
