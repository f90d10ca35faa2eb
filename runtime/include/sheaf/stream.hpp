#pragma once
/// @file
/// stream<T>: an asynchronous generator. It may await between two values, and runs as part of the task that asks.

#include <coroutine>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include <sheaf/coro.hpp>
#include <sheaf/detail/awaiter.hpp>
#include <sheaf/detail/frame_cache.hpp>
#include <sheaf/detail/gettable.hpp>
#include <sheaf/detail/promise.hpp>
#include <sheaf/detail/task_core.hpp>

namespace sheaf {

template <class T>
class stream;

namespace detail {

[[noreturn]] void throw_stream_misused(const char* how);

/// The part that does not depend on what is yielded.
///
///   idle --next()--> running --(co_yield, return, throw)--> idle
///
/// Y1  `task`, `continuation` and `asker` are set by the next() under way; the generator reads them only while it runs for it.
/// Y2  A generator is destroyed only at its start, at a co_yield or at its end: nothing below it is suspended then.
struct stream_promise_base {
  task_core* task = nullptr;
  std::coroutine_handle<> continuation;
  const awaiter_base* asker = nullptr;  ///< null: idle
  bool begun = false;
  std::exception_ptr error;

  /// Back to who asked; resumed by the next one, which may have been asked to stop before it came here.
  struct hand_back {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    [[nodiscard]] std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
      promise = &self.promise();
      return hand_over(*promise->task, promise->continuation);
    }
    void await_resume() const {
      if (promise->asker->cancelled()) throw_cancelled(*promise->task);
    }
    stream_promise_base* promise = nullptr;
  };
  struct hand_back_for_good {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    [[nodiscard]] std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) const noexcept {
      return hand_over(*self.promise().task, self.promise().continuation);
    }
    void await_resume() const noexcept {}
  };

  [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
  [[nodiscard]] hand_back_for_good final_suspend() const noexcept { return {}; }
  void return_void() const noexcept {}
  void unhandled_exception() noexcept { error = std::current_exception(); }

  static void* operator new(std::size_t bytes) { return allocate_block(bytes); }
  static void operator delete(void* frame, std::size_t bytes) noexcept { free_block(frame, bytes); }
};

template <class T>
struct stream_promise : stream_promise_base {
  std::optional<T> value;
  stream<T> get_return_object() noexcept;
  template <class U = T>
    requires std::is_constructible_v<T, U&&>
  [[nodiscard]] hand_back yield_value(U&& yielded) {
    value.emplace(std::forward<U>(yielded));
    return {};
  }
};
template <class T>
struct stream_promise<T&> : stream_promise_base {
  std::optional<std::reference_wrapper<T>> value;
  stream<T&> get_return_object() noexcept;
  [[nodiscard]] hand_back yield_value(T& yielded) noexcept {
    value.emplace(yielded);
    return {};
  }
};

template <class T>
class stream_next final : public awaiter_base {
 public:
  using promise = stream_promise<T>;
  explicit stream_next(std::coroutine_handle<promise> frame) noexcept : frame_(frame) {}
  ~stream_next() = default;

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  [[nodiscard]] std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting) {
    promise& generator = frame_.promise();
    if (generator.asker != nullptr) throw_stream_misused("another next() is under way");
    task_core& self = *awaiting.promise().task;
    generator.value.reset();  // if moving it out threw
    const bool fair = may_skip_suspension(self);
    if (frame_.done()) {
      if (fair) return hand_over(self, awaiting);
      yielding_ = &self;
      yield_in(self, *this, awaiting);
      return std::noop_coroutine();
    }
    generator.task = &self;
    generator.continuation = awaiting;
    generator.asker = this;
    asked_ = true;
    // A generator that never suspends must not keep its consumer from being cancelled, nor others from running.
    if (std::exchange(generator.begun, true) && !fair) {
      yield_in(self, *this, frame_);
      return std::noop_coroutine();
    }
    return hand_over(self, frame_);
  }
  auto await_resume() {
    promise& generator = frame_.promise();
    if (asked_) generator.asker = nullptr;
    if (yielding_ != nullptr && cancelled()) throw_cancelled(*yielding_);
    if (generator.error) std::rethrow_exception(std::exchange(generator.error, nullptr));
    auto value = std::move(generator.value);
    generator.value.reset();
    return value;
  }
  /// On a plain thread with a current runtime. @throws what the generator throws; no_runtime, would_deadlock
  auto get() && { return await_in_task<stream_next>(frame_).get(); }
  cancel_answer on_cancel(task_core&) noexcept override { return cancel_answer::stay; }
  wait_reason reason() const noexcept override { return {"its turn", nullptr}; }

 private:
  std::coroutine_handle<promise> frame_;
  bool asked_ = false;
  task_core* yielding_ = nullptr;  ///< at the end of the stream
};

}  // namespace detail

/// The result of a coroutine that says `co_yield`: `while (auto value = co_await s.next())`. It runs only while somebody asks, in the
/// asking task, up to the next co_yield; values are moved through, references come as std::reference_wrapper.
///
/// @par Threads       one next() at a time, from one task or several in turn; `.get()` of it on a plain thread with a current runtime
/// @par Lifetime      parameters live in the frame, as of any coroutine; dropped early, it is destroyed where it yielded last. Not while a
///                    next() is under way, nor between that call and its await
/// @par Cancellation  of the asking task: the generator sees it where it awaits, or at a co_yield; what then leaves it comes out of next()
/// @throws std::bad_alloc from the call that makes it; from next(): what the body throws, once, and then the end; invalid_state while
///         another next() is under way, or for one that was moved from
/// @par Cost          one allocation, recycled per thread; a value costs two symmetric transfers
template <class T>
class [[nodiscard("a stream does nothing until it is asked")]] stream {
 public:
  static_assert(!std::is_void_v<T> && !std::is_rvalue_reference_v<T>, "sheaf: a stream yields values or lvalue references");
  using promise_type = detail::stream_promise<T>;
  using value_type = T;

  stream(stream&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  stream& operator=(stream&& other) noexcept {
    std::swap(frame_, other.frame_);
    return *this;
  }
  ~stream() {
    if (frame_) detail::destroy_frame(frame_);
  }

  /// The next value; nullopt at the end, and ever after.
  [[nodiscard("co_await it, or nothing is produced")]] detail::stream_next<T> next() {
    if (frame_ == nullptr) detail::throw_stream_misused("it was moved from");
    return detail::stream_next<T>(frame_);
  }

 private:
  friend promise_type;
  explicit stream(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}
  std::coroutine_handle<promise_type> frame_;
};

namespace detail {
template <class T>
stream<T> stream_promise<T>::get_return_object() noexcept {
  return stream<T>(std::coroutine_handle<stream_promise>::from_promise(*this));
}
template <class T>
stream<T&> stream_promise<T&>::get_return_object() noexcept {
  return stream<T&>(std::coroutine_handle<stream_promise>::from_promise(*this));
}
}  // namespace detail

}  // namespace sheaf
