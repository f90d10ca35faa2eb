#pragma once
/// @file
/// What tests of runtimes that are left behind share.

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <utility>

#include <sheaf/runtime.hpp>
#include <sheaf/spawn.hpp>

#include "support/drop_counter.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf::test {

/// Something that a blocking call waits for, and what the call holds meanwhile.
struct hung_call {
  drop_counter drops;
  drop_counter::payload mine = drops.make();
  gate inside, leave;

  task<> begin(const gate& begun) {
    const auto hangs = [](gate begun, gate leave, const drop_counter::payload&) {
      begun.open();
      leave.wait();
    };
    return spawn_blocking(hangs, begun, leave, std::move(mine));
  }
  /// A coroutine that waits for the call, and uses what lies on the stack of whoever waits for it.
  auto waiter() {
    return [this]() -> coro<> { co_await begin(inside); };
  }
  void let_go() {
    leave.open();
    spin_until([&] { return drops.alive() == 0; });
  }
};

/// Nobody there misses what is left behind: neither LeakSanitizer, nor oneTBB, which has a thread less for whatever comes later.
template <class Body>
void in_a_process_of_its_own(Body body) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto child = [body] {
    body();
    std::_Exit(::testing::Test::HasFailure() ? 1 : 0);
  };
  EXPECT_EXIT(child(), ::testing::ExitedWithCode(0), "");
}

inline runtime_options impatient(runtime_options options) {
  options.shutdown_limit = std::chrono::milliseconds(1);
  return options;
}

}  // namespace sheaf::test
