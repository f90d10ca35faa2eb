#pragma once
/// @file
/// spawn and spawn_blocking: work becomes a task.

#include <functional>
#include <source_location>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <sheaf/coro.hpp>
#include <sheaf/detail/callable_task.hpp>
#include <sheaf/detail/gcc12.hpp>
#include <sheaf/detail/refusal.hpp>
#include <sheaf/detail/start.hpp>
#include <sheaf/stop_token.hpp>
#include <sheaf/task.hpp>

namespace sheaf {

/// Plain values, trivially destructible, so that they may stand beside a co_await. What they name is copied by spawn().
struct spawn_options {
  std::string_view name = {};       ///< copied
  stop_ref stop = {};               ///< the task is asked to stop when this token is
  bool eager = false;               ///< run the first step inside spawn, on this thread
  std::source_location where = {};  ///< for dump() and reports: std::source_location::current(), say
};

/// `spawn_blocking(abandon, f, args...)`: cancelled while the call runs, the task ends at once and the call is left behind.
struct abandon_t {
  explicit abandon_t() = default;
};
inline constexpr abandon_t abandon{};

namespace detail {

/// Holds a coroutine function and its arguments while its coroutine runs, so that nothing dangles.
template <class R, class F, class... Args>
coro<R> call_coroutine(F function, Args... arguments) {
  if constexpr (takes_token<F, Args...>) {
    task_core* const self = co_await this_core();
    cancel_token token(*self);
    co_return co_await std::invoke(std::forward<F>(function), std::move(token), std::move(arguments)...);
  } else {
    co_return co_await std::invoke(std::forward<F>(function), std::move(arguments)...);
  }
}

template <class F, class... Args>
concept callable_work = is_callable_work<F, Args...>;

template <class... Work>
struct is_spawnable : std::false_type {};
template <class T>
struct is_spawnable<coro<T>> : std::true_type {};
template <class F, class... Args>
  requires callable_work<F, Args...>
struct is_spawnable<F, Args...> : std::true_type {};
template <class... Work>
struct is_spawnable<spawn_options, Work...> : is_spawnable<Work...> {};

template <class... Work>
struct is_blocking_spawnable : std::false_type {};
template <class F, class... Args>
  requires callable_work<F, Args...>
struct is_blocking_spawnable<F, Args...> : std::bool_constant<!is_coro<call_result_t<F, Args...>>> {};
template <class... Work>
struct is_blocking_spawnable<spawn_options, Work...> : is_blocking_spawnable<Work...> {};
template <class... Work>
struct is_blocking_spawnable<abandon_t, Work...> : is_blocking_spawnable<Work...> {};

/// An lvalue coro is not spawnable: it would have to be moved from.
template <class W>
inline constexpr bool is_lvalue_coro = std::is_lvalue_reference_v<W> && is_coro<std::remove_cvref_t<W>>;
template <class... Work>
concept spawnable = is_spawnable<std::decay_t<Work>...>::value && (!is_lvalue_coro<Work> && ...);
template <class... Work>
concept blocking_spawnable = is_blocking_spawnable<std::decay_t<Work>...>::value;

struct no_options {};

/// Puts a task made with `initial` into its runtime; a functor, so that groups can register it before it runs.
struct plain_start {
  static constexpr task_state::word initial = task_state::initial_posted;
  runtime_core& runtime;
  const char* caller;
  void operator()(task_core& task, const start_options& options) const { start_task(task, runtime, options, caller); }
  void operator()(task_core& task, no_options) const { start_posted(task, runtime, caller); }
};
/// For the second of two that are started as one.
struct structured_start {
  static constexpr task_state::word initial = task_state::initial_posted;
  runtime_core& runtime;
  const char* caller;
  void operator()(task_core& task, start_options options) const {
    options.structured = true;
    start_task(task, runtime, options, caller);
  }
};
struct blocking_start {
  static constexpr task_state::word initial = task_state::initial_held;
  runtime_core& runtime;
  const char* caller;
  void operator()(task_core& task, const start_options& options) const { start_blocking(task, runtime, options, caller); }
  void operator()(task_core& task, no_options) const { start_blocking(task, runtime, {}, caller); }
};

template <class T>
task_core& make_coroutine_task(task_state::word initial, coro<T>&& work) {
  if (!work) throw_used_coro("spawn");
  return make_core(std::move(work), initial, &run_task);
}

/// Makes the task of `work(args...)`; its creator holds one handle.
template <runs_on Where, class F, class... Args>
task_core& make_work(task_state::word initial, F&& work, Args&&... args) {
  refuse_temporaries_of_gcc12<F, Args...>();
  if constexpr (is_coro<std::decay_t<F>>) {
    return make_coroutine_task(initial, std::forward<F>(work));
  } else if constexpr (is_coro<call_result_t<F, Args...>>) {
    return make_coroutine_task(
        initial, call_coroutine<typename call_result_t<F, Args...>::value_type, std::decay_t<F>, std::decay_t<Args>...>(
                     std::forward<F>(work), std::forward<Args>(args)...));
  } else {
    return callable_task<Where, F, Args...>::make(initial, std::forward<F>(work), std::forward<Args>(args)...);
  }
}

/// The result type of that task.
template <class F, class... Args>
struct work_value {
  using result = call_result_t<F, Args...>;
  static auto of() {
    if constexpr (is_coro<result>) {
      return std::type_identity<typename result::value_type>();
    } else {
      return std::type_identity<task_value_t<result>>();
    }
  }
  using type = typename decltype(of())::type;
};
template <class T>
struct work_value<coro<T>> {
  using type = T;
};
template <class F, class... Args>
using work_value_t = typename work_value<std::decay_t<F>, Args...>::type;

/// Makes the task of `work(args...)` and starts it.
template <runs_on Where, class Start, class Options, class F, class... Args>
auto start_work(const Start& start, const Options& options, F&& work, Args&&... args) {
  task_core& core = make_work<Where>(Start::initial, std::forward<F>(work), std::forward<Args>(args)...);
  start(core, options);
  return task_access::adopt<work_value_t<F, Args...>>(core);
}

/// The same with or without spawn_options in front.
template <runs_on Where, class Start, class First, class... Rest>
auto start_given(const Start& start, First&& first, Rest&&... rest) {
  if constexpr (std::is_same_v<std::decay_t<First>, spawn_options>) {
    return start_work<Where>(start,
                             start_options{.name = first.name, .stop = first.stop, .where = first.where, .eager = first.eager},
                             std::forward<Rest>(rest)...);
  } else {
    return start_work<Where>(start, no_options{}, std::forward<First>(first), std::forward<Rest>(rest)...);
  }
}

template <class... Work>
auto spawn_on(runtime_core& runtime, const char* caller, Work&&... work) {
  return start_given<runs_on::workers>(plain_start{runtime, caller}, std::forward<Work>(work)...);
}
template <class T>
inline constexpr bool is_reference_wrapper = false;
template <class T>
inline constexpr bool is_reference_wrapper<std::reference_wrapper<T>> = true;

template <class First, class... Rest>
spawn_options options_in(const First& first, const Rest&...) noexcept {
  if constexpr (std::is_same_v<First, spawn_options>) {
    return first;
  } else {
    return {};
  }
}

template <class T>
const task<T>& task_of(const task<T>& handle) noexcept {
  return handle;
}
template <class T>
const task<T>& task_of(const scoped_task<T>& handle) noexcept {
  return *handle;
}
/// Waits for a task and gives its result. Cancelled, it goes at once; a scoped_task is asked to stop then, and if this never begins.
template <class T, class Handle>
coro<T> observe_from_here(Handle handle) {
  if constexpr (std::is_void_v<T>) {
    co_await task_of(handle);
  } else {
    static_cast<void>(co_await task_of(handle));
    task_core& core = task_access::core(task_of(handle));
    if constexpr (std::is_same_v<Handle, scoped_task<T>>) {
      co_return move_result<T>(core);  // any other handle is a monitor's, which cannot look at the result
    } else {
      co_return take_result<T>(core);
    }
  }
}

template <class First, class... Rest>
auto spawn_blocking_on(runtime_core& runtime, const char* caller, First&& first, Rest&&... rest) {
  const blocking_start start{runtime, caller};
  if constexpr (std::is_same_v<std::decay_t<First>, abandon_t>) {
    static_assert((!is_reference_wrapper<std::decay_t<Rest>> && ...),
                  "sheaf: an abandoned call may outlive what std::ref refers to; pass its arguments by value");
    const spawn_options options = options_in(rest...);
    const start_batch both({}, runtime, caller);  // the runtime takes both or none
    scoped_task call(start_given<runs_on::blocking_threads>(start, std::forward<Rest>(rest)...));
    using result = typename std::remove_cvref_t<decltype(*call)>::value_type;
    return start_given<runs_on::workers>(structured_start{runtime, caller}, options, observe_from_here<result>(std::move(call)));
  } else {
    return start_given<runs_on::blocking_threads>(start, std::forward<First>(first), std::forward<Rest>(rest)...);
  }
}

}  // namespace detail

/// Starts work on the current runtime: `spawn([options,] work, args...)`, where work is a coro, a coroutine function or a callable
/// (which may take a cancel_token first). Work and arguments are copied or moved in, so nothing dangles; pass data as arguments.
///
/// @par Threads       any thread with a current runtime
/// @par Lifetime      the runtime owns the task; dropping the handle detaches it
/// @par Cancellation  not started: the work is destroyed unrun. A running callable is not interrupted; its cancel_token tells it
/// @throws no_runtime, runtime_closed, std::bad_alloc, what copying work or arguments throws; then nothing was started
/// @par Cost          one block, two for a coroutine function; one queue push, at most one wake-up
template <class... Work>
  requires detail::spawnable<Work...>
auto spawn(Work&&... work) {
  return detail::spawn_on(detail::current_runtime("spawn"), "spawn", std::forward<Work>(work)...);
}
template <class Never = void>
auto spawn(detail::anything, detail::anything = {}, detail::anything = {}, detail::anything = {}, detail::anything = {}) {
  detail::refuse_spawn<Never>();
}

/// Runs a call that may block on a thread of its own: the task completes when it returns. Never started calls can be cancelled; a
/// running one sees its cancel_token, and whoever owns the task waits for it to return: it may use what the awaiter has. With `abandon`
/// in front, and arguments by value, that wait is left out: the task ends cancelled at once, the call runs on by itself (its token turned
/// on, a failure reported as unobserved), and shutdown waits for it as for any call.
///
/// @par Threads       any thread with a current runtime; the call runs on a blocking thread
/// @par Lifetime      as spawn(). With runtime_options::shutdown_limit a call may outlive its runtime, with the state it uses
/// @par Cancellation  a call that waits for a thread ends cancelled, unrun; a running one goes on, its token turned on
/// @throws as spawn(); std::system_error when there is no thread and the system gives none. With `abandon`, without memory for its second
///         task, the call may have begun: it has been asked to stop then
/// @par Cost          one block; a wake-up or the start of one thread, unless one is on its way. With `abandon` a second task of the
///                    same name, with its turns on a worker
template <class... Work>
  requires detail::blocking_spawnable<Work...>
auto spawn_blocking(Work&&... work) {
  return detail::spawn_blocking_on(detail::current_runtime("spawn_blocking"), "spawn_blocking", std::forward<Work>(work)...);
}
template <class Never = void>
auto spawn_blocking(detail::anything, detail::anything = {}, detail::anything = {}, detail::anything = {},
                    detail::anything = {}) {
  detail::refuse_spawn_blocking<Never>();
}

template <class T>
T coro<T>::get() && {
  task<T> mine = detail::spawn_on(detail::current_runtime("coro::get"), "coro::get", borrowed(std::move(*this)));
  detail::wait_owned(detail::task_access::core(mine));
  return std::move(mine).get();
}

}  // namespace sheaf
