#pragma once
/// @file
/// coro<T>: a lazily started computation.

#include <coroutine>
#include <string>
#include <type_traits>
#include <utility>

#include <sheaf/detail/promise.hpp>
#include <sheaf/detail/refusal.hpp>
#include <sheaf/errors.hpp>

namespace sheaf {

namespace detail {

[[noreturn, gnu::cold, gnu::noinline]] inline void throw_used_coro(const char* call) {
  throw invalid_state(std::string(call) + ": the coro has been awaited, spawned or moved from");
}

/// `co_await this_core()`: the task that the awaiting coroutine is part of, without suspending.
class this_core {
 public:
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    task_ = awaiting.promise().task;
    return false;
  }
  [[nodiscard]] task_core* await_resume() const noexcept { return task_; }

 private:
  task_core* task_ = nullptr;
};

/// The coroutine runs as part of the awaiting task: no task is made, nothing is queued.
template <class T>
class coro_awaiter {
 public:
  explicit coro_awaiter(coro<T>&& awaited) noexcept : awaited_(std::move(awaited)) {}

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  [[nodiscard]] std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    task_core& task = *awaiting.promise().task;
    auto& inner = awaited_.handle_.promise();
    inner.task = &task;
    inner.continuation = awaiting;
    return hand_over(task, awaited_.handle_);
  }
  T await_resume() {
    auto& slot = awaited_.handle_.promise().slot();
    if (slot.kind != outcome_kind::value) std::rethrow_exception(slot.error());
    return stored<T>::take(slot.value());
  }

 private:
  coro<T> awaited_;
};

}  // namespace detail

/// A computation that starts when it is awaited or spawned. Move-only; dropped unstarted it destroys its arguments and runs nothing.
///
/// @par Threads       not synchronised; may be created on one thread and awaited or spawned on another
/// @par Lifetime      parameters live in the frame: pass by value what must outlive the call that made the coroutine
/// @par Cancellation  awaited, it is cancelled with the task that awaits it
/// @throws std::bad_alloc from the call that makes it; what its body throws, from the await; invalid_state from the await of one that
///         has been used
/// @par Cost          one allocation, recycled per thread; awaiting it costs two symmetric transfers
template <class T = void>
class [[nodiscard("a coro does nothing until it is awaited or spawned")]] coro {
 public:
  using promise_type = detail::promise<T>;
  using value_type = T;

  coro(coro&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  coro& operator=(coro&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~coro() {
    if (handle_) destroy();
  }

  /// False once it has been awaited, spawned or moved from.
  [[nodiscard]] explicit operator bool() const noexcept { return handle_ != nullptr; }

  auto operator co_await() && {
    if (handle_ == nullptr) detail::throw_used_coro("co_await");
    return detail::coro_awaiter<T>(std::move(*this));
  }
  template <class U = T>
  auto operator co_await() & {
    static_assert(detail::always_false<U>, "sheaf: a coro is awaited once and by value; write co_await std::move(c)");
    return detail::coro_awaiter<T>(std::move(*this));
  }

  /// Spawns it on the current runtime and waits on this thread. Throws what it throws; no_runtime outside any. In a task that is asked to
  /// stop meanwhile, it is asked too and waited for: a value that it gives all the same is returned, the request left to the next wait.
  /// would_deadlock comes once it has ended, too, however long its cleanup takes; the last thread that runs starts one more for that. Only
  /// on tbb_executor, when every thread of it waits in such a get(), nobody is left, and it waits for ever. So does a thread whose task
  /// waits for a call that runtime_options::shutdown_limit has left behind; shutdown does not wait for that thread.
  T get() &&;

 private:
  friend promise_type;
  friend class detail::coro_awaiter<T>;
  template <class U>
  friend detail::task_core& detail::make_core(coro<U>&&, detail::task_state::word, work_item::function) noexcept;
  template <class U>
  friend coro<U> borrowed(coro<U> work) noexcept;

  explicit coro(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) { handle_.promise().slot().owned = true; }

  void destroy() noexcept {
    std::byte* const block = handle_.promise().block();
    detail::destroy_frame(handle_);
    promise_type::free_coroutine_block(block);
  }

  std::coroutine_handle<promise_type> handle_;
};

namespace detail {

template <class T>
coro<T> promise<T>::get_return_object() noexcept {
  return coro<T>(std::coroutine_handle<promise<T>>::from_promise(*this));
}
template <class T>
coro<T&> promise<T&>::get_return_object() noexcept {
  return coro<T&>(std::coroutine_handle<promise<T&>>::from_promise(*this));
}
inline coro<void> promise<void>::get_return_object() noexcept {
  return coro<void>(std::coroutine_handle<promise<void>>::from_promise(*this));
}

/// Turns a coroutine into a task of its own: the core is made in the room its block keeps for it. The caller starts it.
template <class T>
task_core& make_core(coro<T>&& work, task_state::word initial, work_item::function run) noexcept {
  const auto frame = std::exchange(work.handle_, nullptr);
  auto* const core = ::new (static_cast<void*>(frame.promise().block())) task_core(initial, run, coroutine_task<T>::ops);
  frame.promise().task = core;
  return *core;
}

template <class T>
inline constexpr bool is_coro = false;
template <class T>
inline constexpr bool is_coro<coro<T>> = true;

}  // namespace detail

/// `spawn(borrowed(f(local)))`: the caller sees to it that what the coroutine's parameters refer to outlives it, and
/// runtime_options::debug says nothing of it.
template <class T>
[[nodiscard]] coro<T> borrowed(coro<T> work) noexcept {
  if (work) work.handle_.promise().slot().borrows = false;
  return work;
}

}  // namespace sheaf

template <class T, class... Parameters>
struct std::coroutine_traits<sheaf::coro<T>, Parameters...> {
  using promise_type = std::conditional_t<(sheaf::detail::borrows_parameter<Parameters> || ...),
                                          sheaf::detail::borrowing_promise<T>, sheaf::detail::promise<T>>;
};
