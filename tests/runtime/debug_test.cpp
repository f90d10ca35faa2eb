/// runtime_options::debug: what is reported, and what is not.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sheaf/sheaf.hpp>

#include "support/flavour.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;

SHEAF_ON_EVERY_FLAVOUR(DebugOnEvery);

/// What a runtime has reported, line by line.
class reports {
 public:
  runtime_options options(time_limit slow_step, bool debug = true) {
    const auto add = [this](std::string_view line) {
      const detail::sync::lock_guard held(lock_);
      lines_.emplace_back(line);
    };
    return {.debug = debug, .slow_step = slow_step, .on_debug_report = add};
  }
  [[nodiscard]] std::size_t about(std::string_view text) const {
    const detail::sync::lock_guard held(lock_);
    return static_cast<std::size_t>(
        std::ranges::count_if(lines_, [text](const std::string& line) { return line.find(text) != std::string::npos; }));
  }
  [[nodiscard]] std::size_t count() const { return about(""); }

 private:
  mutable detail::sync::mutex lock_;
  std::vector<std::string> lines_;
};

coro<int> by_reference(const int& number) { co_return number; }
coro<int> by_value(int number) { co_return number; }
struct counter {
  int count = 0;
  coro<int> next() { co_return ++count; }
};

// ---- slow steps --------------------------------------------------------------------------------------------------------------

/// Every step takes longer than a nanosecond, and none longer than an hour.
TEST_P(DebugOnEvery, Run12_AStepOverTheLimitIsReportedByName) {
  reports found;
  start(found.options(1ns), false);
  const auto steps = [](int) -> coro<> {
    co_await this_task::yield();
    co_await this_task::yield();
  };
  rt().spawn(spawn_options{.name = "the slow one"}, steps, 1).get();
  EXPECT_EQ(found.about("task 'the slow one' held its thread for"), 3U);
  EXPECT_EQ(found.count(), 3U);
}

TEST_P(DebugOnEvery, Run12_ShorterStepsAreNot) {
  reports hour, endless, off;
  for (reports* const found : {&hour, &endless, &off}) {
    start(found == &hour ? found->options(1h) : found == &endless ? found->options({}) : found->options(1ns, false), false);
    EXPECT_EQ(rt().spawn(by_value, 3).get(), 3);
    destroy_runtime();
    EXPECT_EQ(found->count(), 0U);
  }
}

/// A blocking call holds a thread that is there to be held.
TEST_P(DebugOnEvery, BlockingCallsMayTakeTheirTime) {
  reports found;
  start(found.options(1ns), false);
  EXPECT_EQ(rt().spawn_blocking([] { return 4; }).get(), 4);
  EXPECT_EQ(found.count(), 0U);
}

TEST(Debug, ANegativeLimitIsRefused) { EXPECT_THROW(runtime({.slow_step = -1s}), std::invalid_argument); }

// ---- reference parameters ----------------------------------------------------------------------------------------------------

TEST_P(DebugOnEvery, AStartedCoroutineWithReferenceParametersIsReportedByName) {
  reports found;
  start(found.options({}), false);
  const int number = 5;
  EXPECT_EQ(rt().spawn(spawn_options{.name = "the borrower"}, by_reference(number)).get(), 5);
  EXPECT_EQ(found.about("runtime::spawn starts task 'the borrower' from a coroutine with reference parameters"), 1U);
  counter counted;
  EXPECT_EQ(rt().spawn(counted.next()).get(), 1);  // the object of a member function is a parameter
  EXPECT_EQ(found.count(), 2U);
  run([&found]() -> coro<> {
    const int local = 6;
    std::vector<coro<int>> work;
    work.push_back(by_reference(local));
    const std::vector<int> numbers = co_await gather(std::move(work));
    EXPECT_EQ(numbers.at(0), 6);
    EXPECT_EQ(found.about("gather starts task 'task-"), 1U);
    const auto body = [&local](task_group& group) -> coro<> {
      static_cast<void>(group.spawn(by_reference(local)));
      co_return;
    };
    co_await with_task_group(body);
    EXPECT_EQ(found.about("task_group::spawn starts task 'task-"), 1U);
  });
}

TEST_P(DebugOnEvery, WhatTheCallerAnswersForIsNotReported) {
  reports found;
  start(found.options({}), false);
  const int number = 7;
  EXPECT_EQ(rt().spawn(borrowed(by_reference(number))).get(), 7);
  EXPECT_EQ(rt().spawn(by_reference, std::cref(number)).get(), 7);  // the function with its arguments
  EXPECT_EQ(rt().spawn(by_value(7)).get(), 7);
  EXPECT_EQ(run(by_reference(number)), 7);
  {
    const entered current = rt().enter();
    EXPECT_EQ(by_reference(number).get(), 7);
  }
  run([&number]() -> coro<> {
    EXPECT_EQ(co_await by_reference(number), 7);
    const auto [first, second] = co_await when_all(by_reference(number), by_reference(number));
    EXPECT_EQ(first + second, 14);
    EXPECT_EQ(co_await wait_for(by_reference(number), 1h), 7);
    EXPECT_EQ(co_await race(by_reference(number), by_value(7)), 7);
  });
  EXPECT_EQ(found.count(), 0U);
}

/// The promise of a coroutine with reference parameters is another class: results of every kind, errors and refusals as ever.
TEST_P(DebugOnEvery, ReferenceParametersChangeNothingElse) {
  int number = 8;
  const auto reference = [](int& kept) -> coro<int&> { co_return kept; };
  EXPECT_EQ(&run(reference(number)), &number);
  const auto nothing = [](int& kept) -> coro<> {
    ++kept;
    co_return;
  };
  run(nothing(number));
  EXPECT_EQ(number, 9);
  const auto failure = [](int& kept) -> coro<std::string> {
    if (kept == 9) throw std::runtime_error("nine");
    co_return "";
  };
  EXPECT_THROW(run(failure(number)), std::runtime_error);
  {
    const auto dropped = failure(number);
  }
  coro<> empty = nothing(number);
  run(std::move(empty));
  EXPECT_THROW(static_cast<void>(rt().spawn(borrowed(std::move(empty)))), invalid_state);
}

}  // namespace
}  // namespace sheaf
