/// A failure that nobody looks at is reported once; one that somebody looked at is not.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <sheaf/future.hpp>
#include <sheaf/on_done.hpp>
#include <sheaf/runtime.hpp>
#include <sheaf/this_task.hpp>

#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using test::gate;
using test::until_complete;
using test::until_parked;

class UnobservedOnEvery : public test::on_flavour {
 protected:
  void SetUp() override {
    on_flavour::SetUp();
    start({.on_unobserved_error = [this](std::string_view name, const std::exception_ptr& error) {
      const std::lock_guard guard(lock_);
      try {
        std::rethrow_exception(error);
      } catch (const std::exception& caught) {
        reports_.push_back(std::string(name) + ": " + caught.what());
      }
    }});
  }
  std::vector<std::string> reports() {
    const std::lock_guard guard(lock_);
    return reports_;
  }

 private:
  std::mutex lock_;
  std::vector<std::string> reports_;
};
INSTANTIATE_TEST_SUITE_P(On, UnobservedOnEvery,
                         testing::Values(test::flavour::native_1, test::flavour::native_2, test::flavour::native_8,
                                         test::flavour::tbb, test::flavour::host_loop),
                         test::flavour_name);

coro<> fail_after(gate at) {
  co_await at;
  throw std::runtime_error("lost");
}
const std::vector<std::string> k_lost{"job: lost"};
const std::vector<std::string> k_nothing;

TEST_P(UnobservedOnEvery, Task29_TheLastHandleOfAFailedTaskReportsIt) {
  run([this]() -> coro<> {
    const gate open;
    task<> job = spawn(spawn_options{.name = "job"}, fail_after, open);
    task<> second = job;
    open.open();
    co_await until_complete(job);
    static_cast<void>(job.done());
    static_cast<void>(job.status());  // a look at the state is no look at the error
    job = {};
    EXPECT_EQ(reports(), k_nothing);
    second = {};
    EXPECT_EQ(reports(), k_lost);
  });
  EXPECT_EQ(reports(), k_lost);
}

TEST_P(UnobservedOnEvery, ADetachedTasksFailureIsReportedAtItsEnd) {
  run([this]() -> coro<> {
    const gate open;
    {
      const task<> dropped = spawn(spawn_options{.name = "job"}, fail_after, open);
    }
    open.open();
    while (reports().empty()) co_await this_task::yield();
    EXPECT_EQ(reports(), k_lost);
    while (runtime::current()->tasks().size() != 1) co_await this_task::yield();
  });
  EXPECT_EQ(reports(), k_lost);
}

TEST_P(UnobservedOnEvery, Task29_AnyWayOfReadingSilencesTheReport) {
  run([this]() -> coro<> {
    const gate open;
    open.open();
    {
      const task<> awaited = spawn(fail_after, open);
      EXPECT_THROW(co_await awaited, std::runtime_error);
      EXPECT_THROW(co_await spawn(fail_after, open), std::runtime_error);
      const task<> asked = spawn(fail_after, open);
      co_await until_complete(asked);
      EXPECT_NE(asked.exception(), nullptr);
      const task<> read = spawn(fail_after, open);
      co_await until_complete(read);
      EXPECT_THROW(read.result(), std::runtime_error);
      const any_task erased = spawn(fail_after, open);
      EXPECT_THROW(co_await erased, std::runtime_error);
    }
    EXPECT_EQ(reports(), k_nothing);
  });
  const gate open;
  open.open();
  EXPECT_THROW(rt().spawn(fail_after, open).get(), std::runtime_error);
  EXPECT_EQ(reports(), k_nothing);
}

TEST_P(UnobservedOnEvery, ValuesAndCancelledOutcomesAreNeverReported) {
  run([]() -> coro<> {
    const gate never;
    {
      const task<int> value = spawn([] { return 1; });
      const task<> stopped = spawn(fail_after, never);
      stopped.cancel();
      co_await until_complete(stopped);
      co_await until_complete(value);
    }
    co_return;
  });
  EXPECT_EQ(reports(), k_nothing);
}

/// asyncio goes silent when a failed task is "cancelled" afterwards.
TEST_P(UnobservedOnEvery, Task18_CancelAfterTheEndDoesNotSilenceTheReport) {
  run([this]() -> coro<> {
    const gate open;
    open.open();
    {
      const task<> job = spawn(spawn_options{.name = "job"}, fail_after, open);
      co_await until_complete(job);
      EXPECT_FALSE(job.cancel());
    }
    EXPECT_EQ(reports(), k_lost);
  });
}

/// The error of an owned child whose awaiter was cancelled is nobody's.
TEST_P(UnobservedOnEvery, TheErrorOfAnOwnedChildWhoseAwaiterWasCancelledIsReported) {
  run([this]() -> coro<> {
    const gate never;
    const task<> parent = spawn(
        [](gate never) -> coro<> {
          auto child = spawn(
              spawn_options{.name = "job"},
              [](gate never) -> coro<> {
                try {
                  co_await never;
                } catch (const cancelled&) {
                  throw std::runtime_error("lost");
                }
              },
              never);
          co_await std::move(child);
        },
        never);
    while (never.parked() == 0) co_await this_task::yield();
    co_await until_parked(parent);
    parent.cancel();
    co_await until_complete(parent);
    EXPECT_TRUE(parent.cancelled());
    while (reports().empty()) co_await this_task::yield();
  });
  EXPECT_EQ(reports(), k_lost);
}

TEST_P(UnobservedOnEvery, AScopedTaskThatFailedReports) {
  run([this]() -> coro<> {
    const gate open;
    open.open();
    {
      const scoped_task<> owner(spawn(spawn_options{.name = "job"}, fail_after, open));
      co_await until_complete(*owner);
    }
    EXPECT_EQ(reports(), k_lost);
  });
}

/// The hook outlives its runtime in no way: a handle dropped later falls back to stderr.
TEST_P(UnobservedOnEvery, AfterTheRuntimeHasGoneTheReportGoesToStderr) {
  const gate open;
  open.open();
  std::optional<task<>> job(rt().spawn(spawn_options{.name = "late job"}, fail_after, open));
  run([&job]() -> coro<> { co_await until_complete(*job); });
  destroy_runtime();
  EXPECT_EQ(reports(), k_nothing);
  testing::internal::CaptureStderr();
  job.reset();
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("late job"), std::string::npos) << text;
  EXPECT_NE(text.find("lost"), std::string::npos) << text;
  EXPECT_EQ(reports(), k_nothing);
}

TEST_P(UnobservedOnEvery, AHandleHeldOverTheEndIsReportedOnceOrNot) {
  const gate open;
  open.open();
  {
    const task<> looked_at = rt().spawn(fail_after, open);
    run([&]() -> coro<> { co_await until_complete(looked_at); });
    destroy_runtime();
    EXPECT_THROW(looked_at.result(), std::runtime_error);
    testing::internal::CaptureStderr();
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Unobserved, ByDefaultTheReportIsALineOnStderrWithTheTasksName) {
  testing::internal::CaptureStderr();
  {
    runtime rt({.workers = 1});
    rt.run([]() -> coro<> {
      const auto job = spawn(spawn_options{.name = "nameless no more"}, []() -> void { throw 5; });
      co_await until_complete(job);
    });
  }
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("'nameless no more'"), std::string::npos) << text;
  EXPECT_NE(text.find("unknown type"), std::string::npos) << text;
}

/// The hook is the runtime owner's: ~runtime does not return while another thread is in it.
TEST(Unobserved, TheRuntimesEndWaitsForAHookOnAnotherThread) {
  const gate in_hook, destroying;
  std::atomic<bool> hook_ended{false};
  std::optional<runtime> rt(std::in_place, runtime_options{.workers = 1, .on_unobserved_error = [&](auto, const auto&) {
                                                             in_hook.open();
                                                             destroying.wait();
                                                             for (int i = 0; i < 1000; ++i) std::this_thread::yield();
                                                             hook_ended.store(true);
                                                           }});
  task<> failed = rt->spawn([]() -> void { throw std::runtime_error("lost"); });
  test::spin_until([&] { return failed.done(); });
  std::thread drops([&] { failed = {}; });
  in_hook.wait();
  destroying.open();
  rt.reset();
  EXPECT_TRUE(hook_ended.load());
  drops.join();
}

/// A runtime that begins where another one was does not inherit its failures.
TEST(Unobserved, AnotherRuntimeAtTheSameAddressHearsNothing) {
  for (int round = 0; round < 20; ++round) {
    std::vector<std::string> own, others;
    const auto into = [](std::vector<std::string>& reports) {
      return runtime_options{.workers = 1, .on_unobserved_error = [&reports](std::string_view name, const std::exception_ptr&) {
                               reports.emplace_back(name);
                             }};
    };
    task<> failed;
    {
      runtime rt(into(own));
      failed = rt.spawn([]() -> void { throw std::runtime_error("lost"); });
      test::spin_until([&] { return failed.done(); });
    }
    runtime rt(into(others));
    EXPECT_THROW(failed.on_done([] {}), runtime_closed);
    testing::internal::CaptureStderr();
    failed = {};
    EXPECT_NE(testing::internal::GetCapturedStderr().find("lost"), std::string::npos);
    EXPECT_TRUE(own.empty());
    EXPECT_TRUE(others.empty());
  }
}

TEST(UnobservedDeathTest, WithoutStderrTheReportGoesUntold) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto reports = [] {
    close(STDERR_FILENO);
    {
      runtime rt({.workers = 1});
      const auto fails = []() -> void { throw std::runtime_error("lost"); };
      rt.run([&fails]() -> coro<> {
        task<> job = spawn(fails);
        co_await until_complete(job);
        job.on_done(fails);
        job = {};
      });
      promise<int> broken;
      broken.set_exception(std::make_exception_ptr(std::runtime_error("lost")));
    }
    std::exit(0);
  };
  EXPECT_EXIT(reports(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace sheaf
