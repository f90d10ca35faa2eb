#pragma once
/// @file
/// run_test: a coroutine as a whole program, on manual time.

#include <cstddef>
#include <cstdlib>
#include <utility>

#include <sheaf/clock.hpp>
#include <sheaf/run.hpp>

namespace sheaf::test {

/// Workers of a test that does not care how many: SHEAF_TEST_WORKERS, 2 without it.
inline std::size_t test_workers() {
  const char* const wish = std::getenv("SHEAF_TEST_WORKERS");
  const long number = wish != nullptr ? std::strtol(wish, nullptr, 10) : 0;
  return number > 0 ? static_cast<std::size_t>(number) : 2;
}

/// Runs `main`, a coro or a callable making one, on a runtime of its own with manual time: an hour of sleep takes microseconds.
template <class Main>
auto run_test(Main&& main, std::size_t workers = test_workers()) {
  manual_clock clock;
  return run(std::forward<Main>(main), {.workers = workers, .clock = &clock});
}

}  // namespace sheaf::test
