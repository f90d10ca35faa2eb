#pragma once
/// @file
/// cancel_and_join: stops tasks and waits for their end.

#include <exception>
#include <span>
#include <utility>
#include <vector>

#include <sheaf/coro.hpp>
#include <sheaf/detail/gcc12.hpp>
#include <sheaf/detail/refusal.hpp>
#include <sheaf/errors.hpp>
#include <sheaf/task.hpp>
#include <sheaf/task_set.hpp>
#include <sheaf/wait.hpp>

namespace sheaf {

namespace detail {

[[noreturn]] void throw_joins_itself(task_core& self);

template <class T>
coro<> stop_and_join(task_set<T> pending) {
  task_core* const self = co_await this_core();
  for (const task<T>& each : pending) {
    if (&task_access::core(each) == self) throw_joins_itself(*self);
  }
  std::exception_ptr asked;
  while (!pending.empty()) {
    for (const task<T>& each : pending) each.cancel();
    try {
      static_cast<void>(co_await wait(pending));
    } catch (const cancelled&) {
      asked = std::current_exception();
    }
  }
  if (asked) std::rethrow_exception(asked);
}

}  // namespace detail

/// `co_await cancel_and_join(t)`, or a range or task_set: asks every task to stop and waits until the last has ended, whatever it makes of
/// that. Outcomes stay with the tasks; a failure whose last handle was given in is reported as unobserved. A task that waits for the caller
/// never ends, so neither does this.
///
/// @par Threads       in a coroutine; `.get()` on a plain thread with a current runtime
/// @par Lifetime      the tasks have ended when this returns, however it does
/// @par Cancellation  of the awaiting task: each request goes on to the tasks; it ends cancelled after the last of them
/// @throws invalid_state when a task waits for itself, or for an empty handle; std::bad_alloc, before anything is asked to stop or after the
///         last has ended
/// @par Cost          a coroutine, and one block for all registrations (a task_set that is moved in brings its own)
template <class T>
[[nodiscard]] coro<> cancel_and_join(task<T> one) {
  const task<T>* const only = &one;
  return detail::stop_and_join<T>(task_set<T>(std::span<const task<T>>(only, 1)));
}
template <class Range>
  requires(detail::task_range<Range> && !detail::is_task_set<std::remove_cvref_t<Range>>)
[[nodiscard]] coro<> cancel_and_join(Range&& tasks) {
  detail::refuse_temporaries_of_gcc12<Range>();
  using value = detail::range_child_t<Range>;
  return detail::stop_and_join<value>(task_set<value>(std::forward<Range>(tasks)));
}
template <class T>
[[nodiscard]] coro<> cancel_and_join(task_set<T>&& tasks) {
  return detail::stop_and_join<T>(std::move(tasks));
}
/// The set keeps its tasks.
template <class T>
[[nodiscard]] coro<> cancel_and_join(const task_set<T>& tasks) {
  std::vector<task<T>> shared;
  shared.reserve(tasks.size());
  for (task<T> each : tasks) shared.push_back(std::move(each));
  return detail::stop_and_join<T>(task_set<T>(std::move(shared)));
}
template <class Never = void>
auto cancel_and_join(detail::anything) {
  static_assert(detail::always_false<Never>, "sheaf: cancel_and_join takes a task, a range of tasks or a task_set");
}

}  // namespace sheaf
