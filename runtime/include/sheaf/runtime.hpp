#pragma once
/// @file
/// runtime: workers, timers and blocking threads that run tasks.

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sheaf/clock.hpp>
#include <sheaf/coro.hpp>
#include <sheaf/executor.hpp>
#include <sheaf/on_done.hpp>
#include <sheaf/spawn.hpp>
#include <sheaf/task.hpp>
#include <sheaf/time_limit.hpp>

namespace sheaf {

/// Plain values, copied by the runtime.
///
/// @par Threads       not synchronised
/// @par Lifetime      what the pointers name outlives the runtime; the rest is copied
/// @par Cancellation  see cancel_on_sigint, shutdown_limit
/// @throws nothing: the constructor of runtime checks them
/// @par Cost          none but what an option says
struct runtime_options {
  /// Workers of the built-in pool; 0: one per usable core (affinity mask and cgroup quota respected).
  std::size_t workers = 0;
  /// Runs the tasks instead of the built-in pool; outlives the runtime.
  sheaf::executor* executor = nullptr;
  /// Time for sleeps, deadlines and limits; null: the steady clock. Outlives the runtime.
  manual_clock* clock = nullptr;
  /// Upper bound of the threads behind spawn_blocking; at least 1.
  std::size_t max_blocking_threads = 512;
  /// How long a blocking thread without work is kept.
  time_limit blocking_keep_alive = std::chrono::seconds(10);
  /// Threads that may take over the queue of a worker blocked in get().
  std::size_t max_spares = 64;
  /// How long shutdown waits for blocking calls; after that they are left behind with the state they use kept alive.
  time_limit shutdown_limit = {};
  /// run() only: SIGINT cancels main; when main obeys, run() throws `interrupted`. A second SIGINT ends the process.
  bool cancel_on_sigint = false;
  /// Plain threads waiting in get() may run the task they wait for, if it has not started.
  bool callers_help = false;
  /// Reports what is probably a mistake, through on_debug_report: steps that hold a worker for longer than slow_step (of real time,
  /// when they end), and tasks started from a coroutine with reference parameters outside when_all and not borrowed().
  bool debug = false;
  time_limit slow_step = std::chrono::milliseconds(100);
  /// Called with one line, on the thread that found out. Must not throw. Default: stderr.
  std::function<void(std::string_view line)> on_debug_report = {};
  /// Called once for each failure nobody looked at, on the thread that found out; the end of the runtime waits for it. Must not
  /// throw, nor end the runtime. Default: one line on stderr.
  std::function<void(std::string_view task_name, std::exception_ptr error)> on_unobserved_error = {};
};

/// What metrics() reads, one after the other, not at one instant. Plain values.
struct runtime_metrics {
  std::size_t workers = 0;           ///< how many items may run at once
  std::size_t live_tasks = 0;        ///< not complete; without when_all's children
  std::uint64_t steals = 0;          ///< native pool: successful ones, batches counted once
  std::uint64_t parks = 0;           ///< native pool: times a worker went to sleep
  std::uint64_t wakes = 0;           ///< native pool: times a push woke one
  std::size_t spares = 0;            ///< native pool: spare threads started so far
  std::size_t blocking_threads = 0;  ///< threads behind spawn_blocking now
  std::size_t blocking_queued = 0;   ///< calls that wait for one of them
};

class runtime;

/// Keeps a runtime current on a plain thread.
///
/// @par Threads       made and destroyed on the same thread, innermost first
/// @par Lifetime      ends before the runtime
/// @par Cancellation  none
/// @throws nothing: runtime::enter() does
/// @par Cost          two writes to a thread-local
class [[nodiscard]] entered {
 public:
  entered(const entered&) = delete;
  entered& operator=(const entered&) = delete;
  ~entered();

 private:
  friend class runtime;
  explicit entered(detail::runtime_core& core);
  detail::runtime_core* previous_;
};

/// Many may exist at once; there is no hidden global one. A task of one may await a task of another and resumes on its own.
///
/// @par Threads       every member may be called from any thread, except where it says otherwise
/// @par Lifetime      destroyed on a plain thread: cancels what is left, waits for it, joins all threads. Task handles may outlive it.
/// @par Cancellation  shutdown asks every live task to stop, once
/// @throws no_runtime never; spawning after shutdown has begun: runtime_closed; else what a member names
/// @par Cost          construction starts the workers; timer and blocking threads start on first use
class runtime {
 public:
  /// @throws std::invalid_argument naming the option; std::system_error when threads cannot be started
  explicit runtime(runtime_options options = {});
  runtime(const runtime&) = delete;
  runtime& operator=(const runtime&) = delete;
  ~runtime();

  /// sheaf::spawn on this runtime.
  template <class... Work>
    requires detail::spawnable<Work...>
  auto spawn(Work&&... work) {
    return detail::spawn_on(*core_, "runtime::spawn", std::forward<Work>(work)...);
  }
  template <class... Work>
  auto spawn(Work&&...) {
    detail::refuse_spawn<Work...>();
  }
  /// sheaf::spawn_blocking on this runtime.
  template <class... Work>
    requires detail::blocking_spawnable<Work...>
  auto spawn_blocking(Work&&... work) {
    return detail::spawn_blocking_on(*core_, "runtime::spawn_blocking", std::forward<Work>(work)...);
  }
  template <class... Work>
  auto spawn_blocking(Work&&...) {
    detail::refuse_spawn_blocking<Work...>();
  }

  /// Runs `main` on a worker and waits for it on this plain thread. What else was spawned goes on.
  /// @throws what main throws; invalid_state in a task; would_deadlock on a manual clock when nothing can ever move
  template <class T>
  T run(coro<T> main) {
    check_run();
    return std::move(spawn(borrowed(std::move(main)))).get();
  }
  /// The same for a callable that makes the coroutine. An rvalue is kept until main has ended, also when this throws would_deadlock.
  template <class F>
    requires detail::is_coro<std::invoke_result_t<F&>>
  decltype(auto) run(F&& make_main) {
    using main = std::invoke_result_t<F&>;
    return run(detail::call_coroutine<typename main::value_type, F>(std::forward<F>(make_main)));
  }

  /// Cancels what is left, waits for it and joins all threads. Spawning is refused from then on. Idempotent.
  /// @throws invalid_state in a task, or on a thread of this runtime
  void shutdown();
  /// The same with a limit, for tasks and blocking calls, in real time whatever the clock. False: something did not end in time;
  /// dump() names it, and nothing has been stopped yet. @throws as shutdown()
  bool shutdown_for(time_limit limit);

  /// Makes this runtime current on this plain thread while the returned object lives. @throws invalid_state in a task
  [[nodiscard]] entered enter();
  /// The runtime that spawn() would use on this thread; null outside any.
  [[nodiscard]] static runtime* current() noexcept;

  /// The tasks that have not completed, in the order of their ids. Children of when_all are not listed: their parent is.
  /// @throws std::bad_alloc; dump() too
  [[nodiscard]] std::vector<any_task> tasks() const;
  /// A line for each of them: name, where it was started if that was told, state, age, what it waits for and which tasks wait for it.
  [[nodiscard]] std::string dump() const;
  [[nodiscard]] runtime_metrics metrics() const;

 private:
  void check_run() const;
  detail::runtime_core* core_;
};

}  // namespace sheaf
