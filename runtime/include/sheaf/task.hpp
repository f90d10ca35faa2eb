#pragma once
/// @file
/// task<T>: the shared handle of work that has been scheduled.

#include <chrono>
#include <compare>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <sheaf/coro.hpp>
#include <sheaf/detail/task_core.hpp>
#include <sheaf/detail/task_wait.hpp>
#include <sheaf/errors.hpp>
#include <sheaf/outcome.hpp>
#include <sheaf/time_limit.hpp>

namespace sheaf {

template <class T = void>
class task;

/// The result type of a task whose result type has been erased: such a handle shows success, error or cancelled.
struct any_result {};
using any_task = task<any_result>;

/// pending: not started, or suspended. running: a step runs at this moment. The others are outcomes.
enum class task_status { pending, running, succeeded, failed, cancelled };
[[nodiscard]] std::string_view to_string(task_status status) noexcept;

/// Names one registration made by task::on_done(). Copyable; keeps the registration's block, not the task.
class callback_id;

namespace detail {
struct task_access;
[[nodiscard]] task_status status_of(task_core& core) noexcept;
[[nodiscard]] std::exception_ptr exception_of(task_core& core);

/// void for erased results: only success or failure can be seen.
template <>
struct stored<any_result> {
  using type = any_result;
  static any_result take(type&) noexcept { return {}; }
  static any_result view(const type&) noexcept { return {}; }
};
}  // namespace detail

/// A copyable handle of a task. Equality, order and hash are the task's identity. A default-constructed or moved-from handle is
/// empty: every use but assignment, destruction, comparison and `operator bool` throws invalid_state.
///
/// @par Threads       each handle is not synchronised; different handles of one task may be used on different threads at once
/// @par Lifetime      the runtime owns running work: dropping every handle detaches the task. A result lives as long as a handle.
/// @par Cancellation  see cancel() and the two forms of co_await
/// @throws invalid_state for an empty handle, from every member but those named above
/// @par Cost          a copy is one atomic addition
template <class T>
class task {
 public:
  using value_type = T;

  task() noexcept = default;
  task(const task& other) noexcept : core_(other.core_) {
    if (core_ != nullptr) core_->state.add_handle();
  }
  task(task&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
  task& operator=(task other) noexcept {
    std::swap(core_, other.core_);
    return *this;
  }
  ~task() {
    if (core_ != nullptr) detail::drop_handle(*core_);
  }
  /// Erases the result type.
  template <class U>
    requires(std::is_same_v<T, any_result> && !std::is_same_v<U, any_result>)
  task(task<U> other) noexcept;  // NOLINT(google-explicit-constructor): every task is an any_task

  [[nodiscard]] explicit operator bool() const noexcept { return core_ != nullptr; }
  [[nodiscard]] bool operator==(const task& other) const noexcept { return core_ == other.core_; }
  /// By id. @throws invalid_state for an empty handle
  [[nodiscard]] std::strong_ordering operator<=>(const task& other) const { return id() <=> other.id(); }

  /// The outcome is there. What the task did happens before a true answer.
  [[nodiscard]] bool done() const { return core().state.is_complete(); }
  /// done() and its outcome is cancelled.
  [[nodiscard]] bool cancelled() const { return status() == task_status::cancelled; }
  [[nodiscard]] task_status status() const { return detail::status_of(core()); }

  /// Asks the task to stop. True: the request is recorded, and delivered as `cancelled` at the task's current or next suspension
  /// (a value computed without another suspension wins). False: it was already done. Runs cancel callbacks on this thread.
  bool cancel(std::string_view reason = {}) const { return detail::request_cancel(core(), reason); }

  /// The value, without waiting. @throws invalid_state when not done; the task's error; task_cancelled when it was cancelled
  detail::view_t<T> result() const { return read("result()"); }
  /// The error, null when it succeeded; a cancelled task gives a task_cancelled. @throws invalid_state when not done
  [[nodiscard]] std::exception_ptr exception() const { return detail::exception_of(core()); }

  /// Waits on this thread. On a worker it never runs unrelated work: a task that has not started is run in place, otherwise the
  /// worker's queue goes to a spare thread. @throws what result() throws; would_deadlock, also when shutdown has left both tasks behind;
  /// cancelled when the calling task is
  detail::view_t<T> get() const& {
    detail::wait_blocking(core(), sync_forever());
    return read("get()");
  }
  /// The same; the value is moved out when this was the only handle, and copied otherwise.
  T get() && {
    task mine = std::move(*this);
    detail::wait_blocking(mine.core(), sync_forever());
    return mine.take("get()");
  }
  /// get() with a limit. @throws timeout_error when it passes first; the task goes on
  detail::view_t<T> get_for(time_limit limit) const {
    if (!detail::wait_blocking(core(), limit))
      throw timeout_error("get_for: task " + detail::label_of(core()) + " is not done in time");
    return read("get_for()");
  }

  /// Unique; increasing in the order one thread spawns.
  [[nodiscard]] std::uint64_t id() const { return detail::id_of(core()); }
  /// "task-<id>" unless it was named.
  [[nodiscard]] std::string name() const { return detail::name_of(core()); }
  void set_name(std::string_view name) const { detail::set_name_of(core(), name); }

  /// Calls `function(task)` or `function()` once when the task has completed, also if it has already: as a small task of its own on the
  /// task's runtime, never within this call or within the task's end. One worker calls them in the order of registration. An exception
  /// goes to runtime_options::on_unobserved_error. A function that takes the task counts as a handle of it until it has run.
  /// Include <sheaf/on_done.hpp>. @throws runtime_closed once shutdown has begun; std::bad_alloc
  template <class F>
  callback_id on_done(F function) const;
  /// True: the callback will not be called; it is destroyed on a worker. False: it has begun, was removed before, or is another task's.
  bool remove_done(const callback_id& registration) const noexcept;

  /// Observes: `const T&`, alive as long as a handle is. Cancelling the awaiting task leaves this one alone.
  auto operator co_await() const& { return detail::observe_awaiter<T>(core()); }
  /// The only handle (as straight from spawn): owns. The result is moved out; cancelling the awaiting task cancels this one and waits
  /// for its end. While other handles exist it observes and copies; a T that cannot be copied then throws invalid_state.
  auto operator co_await() && {
    static_cast<void>(core());
    return detail::own_awaiter<T>(std::move(*this));
  }

 private:
  friend detail::task_access;
  friend class detail::own_awaiter<T>;
  friend class detail::observe_awaiter<T>;

  explicit task(detail::task_core* adopted) noexcept : core_(adopted) {}

  static time_limit sync_forever() noexcept { return {}; }
  [[nodiscard]] detail::task_core& core() const {
    if (core_ == nullptr) throw invalid_state("an empty task handle was used");
    return *core_;
  }
  detail::view_t<T> read(const char* call) const {
    if (!core().state.is_complete()) detail::throw_not_complete(*core_, call);
    return detail::view_result<T>(*core_);
  }
  T take(const char* call) {
    if (!core().state.is_complete()) detail::throw_not_complete(*core_, call);
    return detail::take_result<T>(*core_);
  }

  detail::task_core* core_ = nullptr;
};

namespace detail {

/// The library's door to a handle's core.
struct task_access {
  /// Takes over one counted handle.
  template <class T>
  static task<T> adopt(task_core& core) noexcept {
    return task<T>(&core);
  }
  /// Makes one more handle of a task that is kept alive by the caller.
  template <class T>
  static task<T> share(task_core& core) noexcept {
    core.state.add_handle();
    return task<T>(&core);
  }
  template <class T>
  static task_core& core(const task<T>& handle) {
    return handle.core();
  }
  template <class T>
  static task_core* peek(const task<T>& handle) noexcept {
    return handle.core_;
  }
  /// Gives the counted handle up to the caller.
  template <class T>
  static task_core* release(task<T>&& handle) noexcept {
    return std::exchange(handle.core_, nullptr);
  }
};

template <class T>
inline constexpr bool is_task = false;
template <class T>
inline constexpr bool is_task<task<T>> = true;

}  // namespace detail

template <class T>
template <class U>
  requires(std::is_same_v<T, any_result> && !std::is_same_v<U, any_result>)
task<T>::task(task<U> other) noexcept : core_(detail::task_access::release(std::move(other))) {}

/// A handle that cancels its task when it is dropped. It does not wait for the end.
///
/// @par Threads       not synchronised
/// @par Lifetime      of the task: as with task
/// @par Cancellation  requested by the destructor, unless released or moved from
/// @throws nothing but what task does
/// @par Cost          that of a task handle
template <class T = void>
class [[nodiscard]] scoped_task {
 public:
  explicit scoped_task(task<T> held) noexcept : held_(std::move(held)) {}
  scoped_task(scoped_task&& other) noexcept : held_(std::move(other.held_)) {}
  scoped_task& operator=(scoped_task&& other) noexcept {
    std::swap(held_, other.held_);
    return *this;
  }
  ~scoped_task() {
    if (held_) held_.cancel("its scoped_task was dropped");
  }

  [[nodiscard]] const task<T>& operator*() const noexcept { return held_; }
  [[nodiscard]] const task<T>* operator->() const noexcept { return &held_; }
  /// Lets the task go on without this handle.
  [[nodiscard]] task<T> release() noexcept { return std::move(held_); }
  auto operator co_await() const& { return held_.operator co_await(); }
  auto operator co_await() && { return std::move(held_).operator co_await(); }

 private:
  task<T> held_;
};

}  // namespace sheaf

template <class T>
struct std::hash<sheaf::task<T>> {
  [[nodiscard]] std::size_t operator()(const sheaf::task<T>& handle) const noexcept {
    return std::hash<void*>{}(sheaf::detail::task_access::peek(handle));
  }
};
