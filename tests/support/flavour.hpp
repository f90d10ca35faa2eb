#pragma once
/// @file
/// One test body on every way to run tasks: the native pool with 1, 2 and 8 workers, oneTBB's threads, and a host loop.

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sheaf/clock.hpp>
#include <sheaf/inline_executor.hpp>
#include <sheaf/runtime.hpp>
#include <sheaf/tbb_executor.hpp>

#include "support/gate.hpp"
#include "support/sanitized.hpp"
#include "support/until.hpp"

namespace sheaf::test {

enum class flavour { native_1, native_2, native_8, tbb, host_loop };

inline std::string_view to_string(flavour which) {
  switch (which) {
    case flavour::native_1:
      return "native_1";
    case flavour::native_2:
      return "native_2";
    case flavour::native_8:
      return "native_8";
    case flavour::tbb:
      return "tbb";
    default:
      return "host_loop";
  }
}
/// How often something is done, or how deep, that is slow under a sanitizer: in full on one flavour there.
constexpr int share_of(int whole, flavour which) { return k_sanitized && which != flavour::native_2 ? whole / 10 : whole; }
inline void PrintTo(flavour which, std::ostream* out) { *out << to_string(which); }

/// A test that makes no sense on one flavour, or is on none, as a plain TEST. `test` empty: every test of the suite.
struct flavour_exception {
  std::string_view suite;
  std::string_view test;
  std::optional<flavour> where;
  const char* reason;
};
inline constexpr std::optional<flavour> k_on_none = std::nullopt;
/// Of suites that are on every flavour, and of plain TESTs that stand beside them, with the reasons.
inline constexpr flavour_exception k_flavour_exceptions[] = {
    {"GetOnEvery", "ATaskMayBlockForATaskThatHasStarted", flavour::host_loop,
     "the host's only thread cannot wait in a task (would_deadlock)"},
    {"GetOnEvery", "AnErrorComesOutOfGetInATask", flavour::host_loop,
     "the host's only thread cannot wait in a task (would_deadlock)"},
    {"ShutdownOnEvery", "TwoThreadsMayShutDownAtOnce", flavour::host_loop, "only the host's thread can run what is left"},
    {"ResultDestructors", "WhoIsWokenByOneMayBeWaitedForInIt", flavour::native_1, "it blocks a worker for another one"},
    {"ResultDestructors", "AGroupEndsAfterThoseOfItsChildren", flavour::native_1, "it blocks a worker for another one"},
    {"CancelToken", "", k_on_none, "a token of no task"},
    {"Coro", "", k_on_none, "a coroutine that no runtime sees"},
    {"Debug", "", k_on_none, "the options are refused, so there is no runtime"},
    {"Fut", "", k_on_none, "promise and future by themselves, without a task or a runtime"},
    {"Queue", "", k_on_none, "the attempts, which no task has to make"},
    {"RunDeathTest", "", k_on_none, "the signal ends the process, whoever runs its tasks"},
};

/// A runtime of the flavour on a manual clock; at the end no task may be left that the test did not leave on purpose.
class on_flavour : public testing::TestWithParam<flavour> {
 protected:
  void SetUp() override {
    const testing::TestInfo& self = *testing::UnitTest::GetInstance()->current_test_info();
    const std::string_view suite =
        std::string_view(self.test_suite_name()).substr(std::string_view(self.test_suite_name()).find('/') + 1);
    const std::string_view test = std::string_view(self.name()).substr(0, std::string_view(self.name()).find('/'));
    for (const flavour_exception& each : k_flavour_exceptions) {
      if (each.where == GetParam() && each.suite == suite && (each.test.empty() || each.test == test))
        GTEST_SKIP() << each.reason;
    }
  }
  void TearDown() override {
    if (!runtime_) return;
    for (const task<>& each : occupying_) {
      if (!each.cancelled()) each.get();
    }
    if (expect_no_tasks_) {
      // One that has let the test go on may be in its last step on another worker.
      spin_until([&] { return runtime_->dump().empty(); });
      EXPECT_EQ(runtime_->dump(), "") << "tasks left at the end";
    }
    runtime_.reset();
    executor_.reset();
  }

  /// Options for a runtime of the flavour, on the fixture's clock unless told otherwise or `options.clock` was set.
  runtime_options on_this(runtime_options options, bool manual_time = true) {
    if (manual_time && options.clock == nullptr) options.clock = &clock_;
    switch (GetParam()) {
      case flavour::native_1:
        options.workers = 1;
        break;
      case flavour::native_2:
        options.workers = 2;
        break;
      case flavour::native_8:
        options.workers = 8;
        break;
      case flavour::tbb:
        if (!executor_) executor_ = std::make_unique<tbb_executor>(2);
        break;
      case flavour::host_loop:
        if (!executor_) executor_ = std::make_unique<inline_executor>();
        break;
    }
    options.executor = executor_.get();
    return options;
  }
  /// Makes the fixture's runtime; before the first rt().
  runtime& start(runtime_options options, bool manual_time = true) {
    return runtime_.emplace(on_this(std::move(options), manual_time));
  }
  runtime& rt() { return runtime_ ? *runtime_ : start({}); }
  manual_clock& clock() { return clock_; }
  /// Runs a coroutine, or a callable that makes one, as the main task.
  template <class Main>
  decltype(auto) run(Main&& main) {
    return rt().run(std::forward<Main>(main));
  }
  /// Every thread that runs tasks is busy until the gate opens: what is spawned meanwhile does not start.
  void occupy(const gate& until) {
    if (GetParam() == flavour::host_loop) return;  // nobody polls while the test's own thread is here
    std::atomic<std::size_t> busy{0};
    const std::size_t threads = rt().metrics().workers;
    for (std::size_t i = 0; i < threads; ++i) {
      occupying_.push_back(rt().spawn(
          [](gate until, std::atomic<std::size_t>& busy) {
            busy.fetch_add(1);
            until.wait();
          },
          until, std::ref(busy)));
    }
    spin_until([&] { return busy.load() == threads; });
  }
  void destroy_runtime() { runtime_.reset(); }
  void leaves_tasks_on_purpose() { expect_no_tasks_ = false; }
  [[nodiscard]] bool one_thread() const { return GetParam() == flavour::native_1 || GetParam() == flavour::host_loop; }

 private:
  manual_clock clock_;
  std::unique_ptr<executor> executor_;
  std::optional<runtime> runtime_;
  std::vector<task<>> occupying_;
  bool expect_no_tasks_ = true;
};

inline std::string flavour_name(const testing::TestParamInfo<flavour>& info) { return std::string(to_string(info.param)); }

/// `SHEAF_ON_EVERY_FLAVOUR(TaskOnEvery)` declares the suite; its tests are TEST_P.
#define SHEAF_ON_EVERY_FLAVOUR(suite)                                                                                       \
  class suite : public ::sheaf::test::on_flavour {};                                                                        \
  INSTANTIATE_TEST_SUITE_P(                                                                                                 \
      On, suite,                                                                                                            \
      testing::Values(::sheaf::test::flavour::native_1, ::sheaf::test::flavour::native_2, ::sheaf::test::flavour::native_8, \
                      ::sheaf::test::flavour::tbb, ::sheaf::test::flavour::host_loop),                                      \
      ::sheaf::test::flavour_name)
/// The same on the native pool only, for what is about its threads, or about races that need real ones.
#define SHEAF_ON_NATIVE_POOLS(suite)                                                                                         \
  class suite : public ::sheaf::test::on_flavour {};                                                                         \
  INSTANTIATE_TEST_SUITE_P(                                                                                                  \
      On, suite,                                                                                                             \
      testing::Values(::sheaf::test::flavour::native_1, ::sheaf::test::flavour::native_2, ::sheaf::test::flavour::native_8), \
      ::sheaf::test::flavour_name)

}  // namespace sheaf::test
