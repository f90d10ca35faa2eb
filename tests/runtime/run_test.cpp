/// run(): a main coroutine on a runtime of its own, from its start to the last leftover.
#include <sheaf/run.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>

#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::drop_counter;
using test::gate;

/// Here run() is that of a program, on a runtime of its own: it hides the fixture's.
class RunOnEvery : public test::on_flavour {
 protected:
  template <class Main>
  decltype(auto) run(Main&& main, runtime_options options = {}) {
    return sheaf::run(std::forward<Main>(main), on_this(std::move(options), false));
  }
  /// On manual time.
  template <class Main>
  decltype(auto) run_test(Main&& main, runtime_options options = {}) {
    return sheaf::run(std::forward<Main>(main), on_this(std::move(options)));
  }
};
INSTANTIATE_TEST_SUITE_P(On, RunOnEvery,
                         testing::Values(test::flavour::native_1, test::flavour::native_2, test::flavour::native_8,
                                         test::flavour::tbb, test::flavour::host_loop),
                         test::flavour_name);

coro<> wait_at(gate at) { co_await at; }

TEST_P(RunOnEvery, Run01_MainsValueOrErrorComesOut) {
  EXPECT_EQ(run([]() -> coro<int> { co_return 3; }), 3);
  EXPECT_EQ(*run([]() -> coro<std::unique_ptr<int>> { co_return std::make_unique<int>(4); }), 4);
  int target = 0;
  int& same = run([&target]() -> coro<int&> { co_return target; });
  EXPECT_EQ(&same, &target);
  run([]() -> coro<> { co_return; });
  EXPECT_THROW(run([]() -> coro<int> {
                 throw std::runtime_error("main");
                 co_return 0;
               }),
               std::runtime_error);
}

TEST_P(RunOnEvery, Run20_TheResultIsMovedOutAndNeverCopied) {
  drop_counter drops;
  {
    const auto result = run([&drops]() -> coro<drop_counter::copyable> { co_return drops.make_copyable(5); });
    EXPECT_EQ(result.value(), 5);
    EXPECT_EQ(drops.alive(), 1);
    EXPECT_EQ(drops.drops(), 0);
  }
  EXPECT_EQ(drops.drops(), 1);
}

template <class Main>
concept runnable = requires(Main main) { sheaf::run(std::move(main)); };

TEST_P(RunOnEvery, Run02_TakesACoroOrACallableThatMakesOne) {
  const auto made = [](int value) -> coro<int> { co_return value; };
  EXPECT_EQ(run(made(1)), 1);
  const auto making = [&made] { return made(2); };
  EXPECT_EQ(run(making), 2);
  static_assert(!runnable<int> && !runnable<int (*)()>);
}

TEST_P(RunOnEvery, ACancelledMainIsATaskCancelled) {
  try {
    run_test([]() -> coro<> {
      this_task::handle().cancel("no more");
      co_await this_task::yield();
    });
    ADD_FAILURE() << "it returned";
  } catch (const task_cancelled& caught) {
    EXPECT_EQ(caught.reason(), "no more");
  }
}

TEST_P(RunOnEvery, Run03_InATaskItIsRefusedAndTheCoroutineDestroyedUnrun) {
  drop_counter drops;
  bool ran = false;
  const auto inner = [](drop_counter::payload, bool& ran) -> coro<> {
    ran = true;
    co_return;
  };
  run_test([&]() -> coro<> {
    EXPECT_THROW(sheaf::run(inner(drops.make(), ran)), invalid_state);
    EXPECT_THROW(runtime::current()->run(inner(drops.make(), ran)), invalid_state);
    co_await spawn([&] { EXPECT_THROW(sheaf::run(inner(drops.make(), ran)), invalid_state); });
    co_return;
  });
  EXPECT_EQ(drops.drops(), 3);
  EXPECT_FALSE(ran);
}

TEST_P(RunOnEvery, Mt41_InABlockingCallItIsAllowed) {
  const int value = run_test([]() -> coro<int> {
    auto call = spawn_blocking([] {
      runtime* const outer = runtime::current();
      const int inner = sheaf::run([outer]() -> coro<int> {
        EXPECT_NE(runtime::current(), outer);
        co_return 6;
      });
      EXPECT_EQ(runtime::current(), outer);
      return inner;
    });
    co_return co_await std::move(call);
  });
  EXPECT_EQ(value, 6);
}

TEST_P(RunOnEvery, Run04_LeftoversAreCancelledAndAwaited) {
  drop_counter drops;
  std::atomic<int> unwound{0};
  const int value = run_test([&]() -> coro<int> {
    const gate never;
    for (int i = 0; i < 10; ++i) {
      const task<> left = spawn(
          [](gate never, drop_counter::payload, std::atomic<int>& unwound) -> coro<> {
            try {
              co_await never;
            } catch (const cancelled& request) {
              EXPECT_EQ(request.reason(), "runtime shutdown");
              unwound.fetch_add(1);
              throw;
            }
          },
          never, drops.make(), std::ref(unwound));
      co_await test::until_parked(left);
    }
    co_return 5;
  });
  EXPECT_EQ(value, 5);
  EXPECT_EQ(unwound.load(), 10);
  EXPECT_EQ(drops.drops(), 10);
}

TEST_P(RunOnEvery, Run04_StubbornLeftoversAreWaitedFor) {
  bool ended = false;
  run_test([&]() -> coro<> {
    const task<> stubborn = spawn(
        [](bool& ended) -> coro<> {
          try {
            co_await sleep_for(1h);
          } catch (const cancelled&) {
          }
          co_await sleep_for(1h);  // it was asked once; cleanup may take its time
          ended = true;
        },
        std::ref(ended));
    co_await test::until_parked(stubborn);
  });
  EXPECT_TRUE(ended);
}

TEST_P(RunOnEvery, Run06_ALeftoverThatFailsIsReportedAndMainsValueStands) {
  std::mutex lock;
  std::vector<std::string> reports;
  runtime_options options;
  options.on_unobserved_error = [&](std::string_view name, const std::exception_ptr& error) {
    const std::lock_guard guard(lock);
    try {
      std::rethrow_exception(error);
    } catch (const std::runtime_error& caught) {
      reports.push_back(std::string(name) + ": " + caught.what());
    }
  };
  const int value = run_test(
      []() -> coro<int> {
        const gate never;
        const task<> left = spawn(
            spawn_options{.name = "left"},
            [](gate never) -> coro<> {
              try {
                co_await never;
              } catch (const cancelled&) {
                throw std::runtime_error("cleanup");
              }
            },
            never);
        co_await test::until_parked(left);
        co_return 7;
      },
      std::move(options));
  EXPECT_EQ(value, 7);
  EXPECT_EQ(reports, std::vector<std::string>{"left: cleanup"});
}

TEST_P(RunOnEvery, Run17_AFailingMainStillCancelsTheRest) {
  drop_counter drops;
  const auto main = [](drop_counter& drops) -> coro<> {
    const task<> left = spawn([](drop_counter::payload) -> coro<> { co_await sleep_for(1h); }, drops.make());
    co_await test::until_parked(left);
    throw std::runtime_error("main");
  };
  EXPECT_THROW(run_test(main(drops)), std::runtime_error);
  EXPECT_EQ(drops.drops(), 1);
}

TEST_P(RunOnEvery, Run19_WaitsForBlockingCallsThatAreOut) {
  const gate inside, leave;
  std::atomic<bool> returned{false};
  run([&]() -> coro<> {
    const task<> call = spawn_blocking(
        [](gate inside, gate leave, std::atomic<bool>& returned) {
          inside.open();
          const cancel_token token = this_task::token();
          const auto registered = token.on_cancel([&leave] { leave.open(); });
          leave.wait();  // until shutdown asks
          returned.store(true);
        },
        inside, leave, std::ref(returned));
    co_await inside;
  });
  EXPECT_TRUE(returned.load());
}

TEST_P(RunOnEvery, MainThatCanNeverGoOnIsADeadlockNamingWhatWaits) {
  try {
    run_test([]() -> coro<> {
      const gate never;
      const task<> parked = spawn(spawn_options{.name = "forgotten"}, wait_at, never);
      co_await parked;
    });
    ADD_FAILURE() << "it returned";
  } catch (const would_deadlock& caught) {
    const std::string text = caught.what();
    EXPECT_NE(text.find("'forgotten' waits for a gate"), std::string::npos) << text;
    EXPECT_NE(text.find("waits for task 'forgotten'"), std::string::npos) << text;
  }
}

// ---- SIGINT ------------------------------------------------------------------------------------------------------------------

runtime_options interruptible() { return {.cancel_on_sigint = true}; }

TEST_P(RunOnEvery, Run13_TheFirstInterruptCancelsMainWhichMayCleanUp) {
  bool cleaned_up = false;
  const auto waiting = [](bool& cleaned_up) -> coro<> {
    std::raise(SIGINT);
    bool asked = false;
    try {
      co_await sleep_for(1h);
    } catch (const cancelled& request) {
      EXPECT_EQ(request.reason(), "interrupted");
      asked = true;
    }
    co_await this_task::yield();
    cleaned_up = asked;
    this_task::check_cancelled();
    throw cancelled();
  };
  EXPECT_THROW(run(waiting(cleaned_up), interruptible()), interrupted);
  EXPECT_TRUE(cleaned_up);
}

TEST_P(RunOnEvery, Run13_AMainThatSpinsOnYieldsIsInterruptedToo) {
  EXPECT_THROW(run(
                   []() -> coro<> {
                     std::raise(SIGINT);
                     for (;;) co_await this_task::yield();
                   },
                   interruptible()),
               interrupted);
}

TEST_P(RunOnEvery, Run13_AMainThatDoesNotObeyKeepsItsValue) {
  EXPECT_EQ(run(
                []() -> coro<int> {
                  std::raise(SIGINT);
                  try {
                    co_await sleep_for(1h);
                  } catch (const cancelled&) {
                  }
                  co_return 8;
                },
                interruptible()),
            8);
}

TEST_P(RunOnEvery, Run14_AMainCancelledBySomebodyElseIsPlainlyCancelled) {
  EXPECT_THROW(run(
                   []() -> coro<> {
                     this_task::handle().cancel();
                     co_await this_task::yield();
                   },
                   interruptible()),
               task_cancelled);
}

TEST_P(RunOnEvery, Run15_TheHandlerIsRestoredAndOneRunAtATimeIsInCharge) {
  struct sigaction mine = {};
  mine.sa_handler = SIG_IGN;
  struct sigaction before = {};
  sigaction(SIGINT, &mine, &before);
  run(
      []() -> coro<> {
        struct sigaction now = {};
        sigaction(SIGINT, nullptr, &now);
        EXPECT_NE(now.sa_handler, SIG_IGN);
        auto inner = spawn_blocking([] { return sheaf::run([]() -> coro<int> { co_return 1; }, interruptible()); });
        EXPECT_EQ(co_await std::move(inner), 1);  // not in charge, yet it works
      },
      interruptible());
  struct sigaction after = {};
  sigaction(SIGINT, &before, &after);
  EXPECT_EQ(after.sa_handler, SIG_IGN);
}

TEST(RunDeathTest, Run16_ASecondInterruptIsImmediate) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(run(
                  []() -> coro<> {
                    std::raise(SIGINT);
                    try {
                      co_await sleep_for(1h);
                    } catch (const cancelled&) {
                    }
                    std::raise(SIGINT);  // during cleanup
                    co_await sleep_for(1h);
                  },
                  interruptible()),
              testing::KilledBySignal(SIGINT), "");
}

}  // namespace
}  // namespace sheaf
