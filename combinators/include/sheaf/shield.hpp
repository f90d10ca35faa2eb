#pragma once
/// @file
/// shield: waits for work that goes on if the waiting does not.

#include <type_traits>
#include <utility>

#include <sheaf/coro.hpp>
#include <sheaf/detail/refusal.hpp>
#include <sheaf/detail/task_wait.hpp>
#include <sheaf/spawn.hpp>
#include <sheaf/task.hpp>

namespace sheaf {

/// `co_await shield(x)`: the outcome of a task, or of a coro, which is spawned at the call. Cancelling whoever waits ends the waiting and
/// leaves x alone, so `wait_for(shield(x), 1s)` gives up without stopping it. Shutdown stops x as it stops everything.
///
/// @par Threads       in a coroutine; `.get()` on a plain thread; a coro needs a current runtime at the call
/// @par Lifetime      a coro must own what it uses: it may outlive the caller
/// @par Cancellation  of the awaiting task: it ends cancelled at once and leaves no trace at x; if x itself was cancelled: task_cancelled
/// @throws what x throws; no_runtime, runtime_closed from the call with a coro
/// @par Cost          a coroutine and one registration with x; none if x is done. The value is moved out of the only handle, else copied
template <class T>
[[nodiscard]] coro<T> shield(task<T>&& x) {
  return detail::observe_from_here<T>(std::move(x));
}
template <class T>
[[nodiscard]] coro<T> shield(const task<T>& x) {
  static_assert(!std::is_object_v<T> || std::is_same_v<T, any_result> || detail::is_copyable<T>,
                "sheaf: shield copies the result of an lvalue task, and this one cannot be copied: move the task in");
  return detail::observe_from_here<T>(x);
}
template <class T>
[[nodiscard]] coro<T> shield(coro<T>&& x) {
  return detail::observe_from_here<T>(spawn(std::move(x)));
}
template <class Never = void>
auto shield(detail::anything) {
  static_assert(detail::always_false<Never>,
                "sheaf: shield takes a task or a coro (as an rvalue: std::move(c)); spawn other work first");
}

}  // namespace sheaf
