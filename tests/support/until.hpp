#pragma once
/// @file
/// Waiting for a condition that another thread brings about, without ordering anything by time.

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <thread>

#include <sheaf/coro.hpp>
#include <sheaf/task.hpp>
#include <sheaf/this_task.hpp>

namespace sheaf::test {

/// On a plain thread: until `holds()`. Gives up, and fails the test, after a time that no healthy machine needs.
template <class Condition>
void spin_until(Condition holds) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > give_up) {
      ADD_FAILURE() << "waited a minute for a condition that never came to hold";
      return;
    }
    std::this_thread::yield();
  }
}

/// In a task: until `holds()`, letting others run. `holds` must outlive the await: pass it by name under g++ 12.
template <class Condition>
coro<> until(Condition& holds) {
  while (!holds()) co_await this_task::yield();
}

/// The task has begun and is suspended: neither running nor about to.
inline bool is_parked(const any_task& task) {
  using state = detail::task_state;
  const state::word now = detail::task_access::core(task).state.snapshot();
  return (now & (state::running | state::queued | state::woken | state::complete | state::fresh)) == 0;
}

/// In a task: until `task` is suspended in whatever it waits for.
inline coro<> until_parked(any_task task) {
  while (!is_parked(task)) co_await this_task::yield();
}

/// In a task: until `task` has completed, without looking at its outcome.
inline coro<> until_complete(any_task task) {
  while (!task.done()) co_await this_task::yield();
}

/// In a task: lets every other runnable task go first, `times` times.
inline coro<> yield_times(int times) {
  for (int i = 0; i < times; ++i) co_await this_task::yield();
}

/// Registrations of waiters at a task.
inline std::size_t waiters_of(const any_task& task) { return detail::task_access::core(task).waiters.size(); }

}  // namespace sheaf::test
