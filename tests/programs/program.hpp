#pragma once
/// @file
/// The frame of the programs here: each section runs in a runtime of its own on manual time, and what it says is printed with the time.

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <fmt/format.h>
#include <sheaf/sheaf.hpp>

namespace program {

using namespace std::chrono_literals;

/// One section: `[ 1.0] what was said`.
class stage {
 public:
  explicit stage(unsigned workers) : runtime_({.workers = workers, .clock = &clock_}) {}

  [[nodiscard]] double now() const { return std::chrono::duration<double>(clock_.now()).count(); }
  template <class... Args>
  void say(fmt::format_string<Args...> text, Args&&... args) {
    const std::string line = fmt::format("[{:4.1f}] {}", now(), fmt::format(text, std::forward<Args>(args)...));
    const std::lock_guard guard(lock_);
    lines_.push_back(line);
  }
  [[nodiscard]] sheaf::runtime& runtime() { return runtime_; }
  [[nodiscard]] std::vector<std::string> take_lines() { return std::move(lines_); }

 private:
  sheaf::manual_clock clock_;
  std::mutex lock_;
  std::vector<std::string> lines_;
  sheaf::runtime runtime_;
};

/// What is said at one time may come in any order where several workers decide it.
enum class order { as_said, any_at_one_time };

/// Runs the sections of a program, in order: `PROGRAM [workers]`. A section that is about their number says how many it has.
class sections {
 public:
  explicit sections(int argc, char** argv) : workers_(argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 1) {}

  template <class Main>
  void run(const char* id, const char* title, Main main, order how = order::as_said, std::optional<unsigned> workers = {}) {
    stage here(workers.value_or(workers_));
    here.runtime().run(main(here));
    const double end = here.now();
    here.runtime().shutdown();
    std::vector<std::string> lines = here.take_lines();
    if (how == order::any_at_one_time) std::sort(lines.begin(), lines.end());
    fmt::print("== {} {}\n", id, title);
    for (const std::string& each : lines) fmt::print("{}\n", each);
    fmt::print("-- {:.1f} s\n\n", end);
  }

 private:
  unsigned workers_;
};

/// Says so when it has slept, and gives its value.
inline sheaf::coro<int> job(stage& on, std::chrono::nanoseconds length, int value) {
  try {
    co_await sheaf::sleep_for(length);
  } catch (const sheaf::cancelled&) {
    on.say("job {} is cancelled", value);
    throw;
  }
  co_return value;
}

/// Fails with this text.
inline sheaf::coro<int> failing_job(std::chrono::nanoseconds length, const char* text) {
  co_await sheaf::sleep_for(length);
  throw std::runtime_error(text);
}

inline std::string text_of(const std::exception_ptr& error) {
  if (!error) return "none";
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& caught) {
    return caught.what();
  }
}

}  // namespace program
