#pragma once
/// @file
/// Children for tests of combinators: they end when a gate opens or at a time, with a value, a failure, or against all requests.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <sheaf/coro.hpp>
#include <sheaf/errors.hpp>
#include <sheaf/runtime.hpp>
#include <sheaf/sleep.hpp>
#include <sheaf/task.hpp>

#include "support/gate.hpp"

namespace sheaf::test {

/// A failure that a test tells from others.
class boom : public std::runtime_error {
 public:
  explicit boom(int which) : std::runtime_error("boom " + std::to_string(which)), number(which) {}
  int number;
};

/// The number of a boom, 0 for none, -1 for any other exception.
inline int boom_number(const std::exception_ptr& error) {
  if (!error) return 0;
  try {
    std::rethrow_exception(error);
  } catch (const boom& caught) {
    return caught.number;
  } catch (...) {
    return -1;
  }
}

inline coro<int> value_at(gate open, int value) {
  co_await open;
  co_return value;
}
inline coro<int> boom_at(gate open, int number) {
  co_await open;
  throw boom(number);
}
inline coro<int> value_after(std::chrono::nanoseconds time, int value) {
  co_await sleep_for(time);
  co_return value;
}
inline coro<int> boom_after(std::chrono::nanoseconds time, int number) {
  co_await sleep_for(time);
  throw boom(number);
}
/// Gives its value at the gate although it was asked to stop, and counts how often it was.
inline coro<int> stubborn_at(gate open, int value, std::atomic<int>* asked = nullptr) {
  co_await pass_stubbornly(open, asked);
  co_return value;
}
/// When it is asked to stop, it cleans up until the gate opens, and then ends cancelled.
inline coro<int> clean_up_at(gate open, gate cleaning) {
  const gate never;
  bool asked = false;
  try {
    co_await never;
  } catch (const cancelled&) {
    asked = true;
  }
  cleaning.open();
  co_await open;
  if (asked) throw cancelled("cleaned up");
  co_return 0;
}
/// Fails when it is asked to stop.
inline coro<int> boom_when_cancelled(int number) {
  const gate never;
  bool asked = false;
  try {
    co_await never;
  } catch (const cancelled&) {
    asked = true;
  }
  if (asked) throw boom(number);
  co_return 0;
}

/// Waits until `child` has ended, however it does. Unlike until_complete() it lets manual time move.
inline coro<> join(any_task child) {
  try {
    co_await child;
  } catch (...) {
    if (!child.done()) throw;  // the joining task itself was cancelled
  }
}

/// Counts what on_unobserved_error is told; outlives the runtime.
class unobserved_errors {
 public:
  [[nodiscard]] runtime_options options() {
    runtime_options made;
    made.on_unobserved_error = [this](std::string_view, const std::exception_ptr&) { count_.fetch_add(1); };
    return made;
  }
  [[nodiscard]] int count() const noexcept { return count_.load(); }

 private:
  std::atomic<int> count_{0};
};

/// Plain threads that all begin their function at the same moment; joined by the destructor.
class racing_threads {
 public:
  template <class F>
  void add(F function) {
    threads_.emplace_back([start = start_, function = std::move(function)]() mutable {
      start.wait();
      function();
    });
  }
  void go() { start_.open(); }
  ~racing_threads() {
    start_.open();
    for (std::thread& each : threads_) each.join();
  }

  racing_threads() = default;
  racing_threads(const racing_threads&) = delete;
  racing_threads& operator=(const racing_threads&) = delete;

 private:
  gate start_;
  std::vector<std::thread> threads_;
};

/// Set by a task that was made runnable before an await: still false afterwards if nothing else ran, that is, if the await did not
/// suspend. Only on a runtime with one thread.
class bystander {
 public:
  bystander() : done_(spawn([](const std::shared_ptr<std::atomic<bool>>& ran) { ran->store(true); }, ran_)) {}
  [[nodiscard]] bool has_run() const noexcept { return ran_->load(); }
  /// To be awaited at the end.
  [[nodiscard]] const task<>& done() const noexcept { return done_; }

 private:
  std::shared_ptr<std::atomic<bool>> ran_ = std::make_shared<std::atomic<bool>>(false);
  task<> done_;
};

}  // namespace sheaf::test
