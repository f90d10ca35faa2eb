#pragma once
/// @file
/// What tests of task groups ask of an exception_group, and of the requests that are left afterwards.

#include <atomic>
#include <exception>
#include <vector>

#include <sheaf/exception_group.hpp>
#include <sheaf/this_task.hpp>

#include "support/children.hpp"
#include "support/gate.hpp"

namespace sheaf::test {

/// The numbers of the booms in an exception_group, -1 for other members; {-1} for anything else, {} for null.
inline std::vector<int> failures_in(const std::exception_ptr& error) {
  if (!error) return {};
  std::vector<int> numbers;
  try {
    std::rethrow_exception(error);
  } catch (const exception_group& group) {
    for (const std::exception_ptr& each : group.errors()) numbers.push_back(boom_number(each));
  } catch (...) {
    numbers.push_back(-1);
  }
  return numbers;
}

/// One suspension; true if it ended cancelled.
inline coro<bool> cancelled_at_the_next_suspension() {
  try {
    co_await this_task::yield();
    co_return false;
  } catch (const cancelled&) {
    co_return true;
  }
}

/// Waits at the gate however often it is asked to stop, and counts that.
inline coro<> counts_requests(gate open, std::atomic<int>& asked) {
  for (;;) {
    try {
      co_await open;
      co_return;
    } catch (const cancelled&) {
      asked.fetch_add(1);
    }
  }
}

}  // namespace sheaf::test
