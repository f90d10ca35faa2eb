#pragma once
/// @file
/// sleep_for and sleep_until.

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <sheaf/coro.hpp>
#include <sheaf/detail/gcc12.hpp>
#include <sheaf/detail/gettable.hpp>
#include <sheaf/detail/timer.hpp>
#include <sheaf/time_limit.hpp>

namespace sheaf {

namespace detail {

/// One timer and the task that waits for it.
class sleep_base : public awaiter_base {
 public:
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  cancel_answer on_cancel(task_core& self) noexcept final;
  wait_reason reason() const noexcept final { return {"a timer", nullptr}; }

 protected:
  enum class kind : std::uint8_t { lasting, until };
  sleep_base(kind how, sync::nanoseconds when) noexcept : how_(how), entry_(&fired) { entry_.deadline = when; }
  ~sleep_base() = default;
  void suspend(task_core& self, std::coroutine_handle<> handle) noexcept;
  void throw_if_cancelled() const {
    if (cancelled()) throw_cancelled(*entry_.self);
  }
  [[nodiscard]] kind how() const noexcept { return how_; }
  /// Before suspend().
  [[nodiscard]] sync::nanoseconds when() const noexcept { return entry_.deadline; }

 private:
  struct entry final : timer {
    using timer::timer;
    task_core* self = nullptr;
  };
  static void fired(timer& base) noexcept { wake(*static_cast<entry&>(base).self); }

  const kind how_;
  entry entry_;
};

template <class T>
class [[nodiscard("co_await it, or nothing sleeps")]] sleep_awaiter final : public sleep_base {
 public:
  template <class... Value>
  sleep_awaiter(kind how, sync::nanoseconds when, Value&&... value)
      : sleep_base(how, when), value_(std::forward<Value>(value)...) {}
  static sleep_awaiter lasting(sync::nanoseconds length, T value) {
    return sleep_awaiter(kind::lasting, length, std::move(value));
  }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    suspend(*awaiting.promise().task, awaiting);
  }
  T await_resume() {
    throw_if_cancelled();
    return std::move(value_);
  }
  /// On a plain thread with a current runtime. @throws no_runtime, would_deadlock
  T get() && { return await_in_task<sleep_awaiter>(how(), when(), std::move(value_)).get(); }

 private:
  T value_;
};

template <>
class [[nodiscard("co_await it, or nothing sleeps")]] sleep_awaiter<void> final : public sleep_base {
 public:
  sleep_awaiter(kind how, sync::nanoseconds when) noexcept : sleep_base(how, when) {}
  static sleep_awaiter lasting(sync::nanoseconds length) { return sleep_awaiter(kind::lasting, length); }
  static sleep_awaiter until(sync::nanoseconds when) { return sleep_awaiter(kind::until, when); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    suspend(*awaiting.promise().task, awaiting);
  }
  void await_resume() const { throw_if_cancelled(); }
  /// On a plain thread with a current runtime. @throws no_runtime, would_deadlock
  void get() &&;
};

}  // namespace detail

/// `co_await sleep_for(d)`: not before d on the runtime's clock; zero or less yields exactly once. In a coroutine.
///
/// @par Threads       in a coroutine; it resumes on any worker
/// @par Lifetime      the timer lives in the awaiting frame
/// @par Cancellation  wakes at once and removes the timer
/// @throws std::invalid_argument for NaN
/// @par Cost          no allocation; O(1) to arm and to disarm
template <class Rep, class Period>
auto sleep_for(std::chrono::duration<Rep, Period> length) {
  return detail::sleep_awaiter<void>::lasting(detail::to_nanoseconds(length));
}
/// The same; hands `value` back, and destroys it when the sleep is cancelled.
template <class Rep, class Period, class T>
auto sleep_for(std::chrono::duration<Rep, Period> length, T&& value) {
  detail::refuse_temporaries_of_gcc12<T>();
  return detail::sleep_awaiter<std::decay_t<T>>::lasting(detail::to_nanoseconds(length), std::forward<T>(value));
}
/// The same until a point of the steady clock (of manual time, counted from its zero, on a manual clock); a point in the past has come
/// already.
template <class Duration>
auto sleep_until(std::chrono::time_point<std::chrono::steady_clock, Duration> when) {
  return detail::sleep_awaiter<void>::until(detail::to_nanoseconds(when.time_since_epoch()));
}

}  // namespace sheaf
