#pragma once
/// @file
/// run: a program's main coroutine on a runtime of its own.

#include <optional>
#include <type_traits>
#include <utility>

#include <sheaf/runtime.hpp>

namespace sheaf {

namespace detail {

/// @throws invalid_state on a worker, where blocking would take a worker away
void refuse_in_task(const char* call);

/// While it lives, SIGINT cancels the task it watches, which may be named after the signal has come; a second SIGINT has its default
/// effect. Does nothing where another one is in charge.
class sigint_guard {
 public:
  sigint_guard();
  sigint_guard(const sigint_guard&) = delete;
  sigint_guard& operator=(const sigint_guard&) = delete;
  ~sigint_guard();
  /// Once, with a task that the caller keeps. @throws std::system_error
  void watch(task_core& main);
  /// SIGINT has come.
  [[nodiscard]] bool interrupted() const noexcept;

 private:
  struct state;
  state* state_ = nullptr;
};

template <class T>
T run_interruptible(runtime& on, coro<T> main) {
  sigint_guard guard;  // before main can run
  task<T> handle = on.spawn(borrowed(std::move(main)));
  guard.watch(task_access::core(handle));
  try {
    return std::move(handle).get();
  } catch (const task_cancelled&) {
    if (guard.interrupted()) throw sheaf::interrupted();
    throw;
  }
}

}  // namespace detail

/// Runs `main` on a new runtime and waits for it on this thread. Tasks left over are cancelled and awaited, blocking threads joined.
///
/// @par Threads       a plain thread or a blocking thread, not in a task
/// @par Lifetime      nothing that was spawned outlives the call, but for calls left behind by runtime_options::shutdown_limit
/// @par Cancellation  with runtime_options::cancel_on_sigint the first SIGINT cancels main
/// @throws what main throws; task_cancelled when main ended cancelled; interrupted; invalid_state in a task; would_deadlock; what
///         the constructor of runtime throws
/// @par Cost          starts and joins the workers
template <class T>
T run(coro<T> main, runtime_options options = {}) {
  detail::refuse_in_task("run");
  const bool interruptible = options.cancel_on_sigint;
  runtime fresh(std::move(options));
  return interruptible ? detail::run_interruptible(fresh, std::move(main)) : fresh.run(std::move(main));
}
/// The same for a callable that makes the coroutine; it is called, and kept, on this thread. @throws what it throws, too
template <class F>
  requires detail::is_coro<std::invoke_result_t<F&>>
decltype(auto) run(F&& make_main, runtime_options options = {}) {
  return run(make_main(), std::move(options));
}

}  // namespace sheaf
