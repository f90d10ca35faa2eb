#pragma once
/// @file
/// wait_for and wait_until: one task or coroutine, with a limit.

#include <chrono>
#include <coroutine>
#include <optional>
#include <type_traits>
#include <utility>

#include <sheaf/coro.hpp>
#include <sheaf/detail/clock_access.hpp>
#include <sheaf/detail/gettable.hpp>
#include <sheaf/detail/start.hpp>
#include <sheaf/task.hpp>
#include <sheaf/time_limit.hpp>

namespace sheaf {

namespace detail {

/// Waits for a task that is owned whatever its other handles; at the deadline the task is asked to stop, and waited for.
///
///   The outcome decides (no value is lost to the timer): ended cancelled after the timer asked: timeout_error; else as it ended.
class limited_wait : public awaiter_base {
 public:
  cancel_answer on_cancel(task_core& self) noexcept final;
  wait_reason reason() const noexcept final { return {"task", target_}; }

 protected:
  limited_wait() noexcept : node_(&completed), timer_(*this) {}
  ~limited_wait() = default;
  /// True: suspended.
  bool suspend(task_core& self, std::coroutine_handle<> handle, task_core& target, sync::nanoseconds deadline);
  /// From await_resume: ends the timer; throws the waiting task's own cancel, or timeout_error.
  void finish();

 private:
  struct node final : waiter_node {
    using waiter_node::waiter_node;
    task_core* self = nullptr;
  };
  struct expiry final : timer {
    explicit expiry(limited_wait& owner) noexcept : timer(&fired), wait(&owner) {}
    static void fired(timer& base) noexcept;
    limited_wait* wait;
  };
  static void completed(waiter_node& base, outcome_kind) noexcept { wake(*static_cast<node&>(base).self); }

  /// asked: the timer's request was recorded; late: the target was done already.
  enum class stage : std::uint8_t { waiting, asked, late };

  node node_;
  expiry timer_;
  task_core* self_ = nullptr;
  task_core* target_ = nullptr;
  bool armed_ = false;  ///< under running
  sync::atomic<stage> stage_{stage::waiting};
};

[[noreturn]] void throw_timeout(task_core* ended_cancelled);

/// The deadline of wait_for: relative ones start at the await.
struct limit_or_point {
  sync::nanoseconds value;
  bool relative;
  [[nodiscard]] sync::nanoseconds deadline(const task_core& task) const noexcept;
};

template <class T>
class wait_for_awaiter final : public limited_wait {
 public:
  wait_for_awaiter(task<T>&& target, const limit_or_point& limit) : target_(std::move(target)), limit_(limit) {}
  wait_for_awaiter(coro<T>&& work, const limit_or_point& limit) : work_(std::move(work)), limit_(limit) {}
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) {
    task_core& self = *awaiting.promise().task;
    const sync::nanoseconds deadline = limit_.deadline(self);
    if (work_) {
      if (deadline <= runtime_now(self)) throw_timeout(nullptr);  // the body never runs
      task_core& core = make_coroutine_task(task_state::initial_posted, std::move(*work_));
      core.header().borrows = false;  // it is awaited here
      start_task(core, *self.runtime, {.structured = true}, "wait_for");
      target_ = task_access::adopt<T>(core);
      work_.reset();
    }
    return suspend(self, awaiting, task_access::core(target_), deadline);
  }
  T await_resume() {
    finish();
    return take_result<T>(task_access::core(target_));
  }

 private:
  task<T> target_;
  std::optional<coro<T>> work_;
  limit_or_point limit_;
};

template <class T, class Work>
class [[nodiscard("co_await it, or nothing is waited for")]] wait_for_operation : public gettable<wait_for_operation<T, Work>> {
 public:
  wait_for_operation(Work work, const limit_or_point& limit) : work_(std::move(work)), limit_(limit) {}
  auto operator co_await() && { return wait_for_awaiter<T>(std::move(work_), limit_); }

 private:
  Work work_;
  limit_or_point limit_;
};

}  // namespace detail

/// `co_await wait_for(x, 2s)`: the value of a task or coro that is owned while waiting. When the limit passes, x is asked to stop and
/// waited for, so the total may exceed the limit; then timeout_error, unless x ended with a value or an error of its own. Around a
/// blocking call that runs already this ends when the call does.
///
/// Limit zero or less: a finished task gives its value, a coro never runs, a running task is cancelled and waited for.
///
/// @par Threads       in a coroutine; `.get()` on a plain thread with a current runtime
/// @par Lifetime      x has ended when this returns; a coro may use the caller's locals
/// @par Cancellation  of the awaiting task: x is cancelled and waited for
/// @throws timeout_error (std::rethrow_if_nested gives the task_cancelled of x); what x throws; std::invalid_argument for NaN
/// @par Cost          a coro becomes a task: its block is reused; arming and disarming a timer
template <class T>
[[nodiscard]] auto wait_for(task<T> x, time_limit limit) {
  return detail::wait_for_operation<T, task<T>>(std::move(x),
                                                {limit.unlimited() ? detail::sync::k_forever : limit.nanoseconds(), true});
}
template <class T>
[[nodiscard]] auto wait_for(coro<T>&& x, time_limit limit) {
  return detail::wait_for_operation<T, coro<T>>(std::move(x),
                                                {limit.unlimited() ? detail::sync::k_forever : limit.nanoseconds(), true});
}
/// The same with a point of the steady clock (of manual time, counted from its zero, on a manual clock).
template <class T, class Duration>
[[nodiscard]] auto wait_until(task<T> x, std::chrono::time_point<std::chrono::steady_clock, Duration> when) {
  return detail::wait_for_operation<T, task<T>>(std::move(x), {detail::to_nanoseconds(when.time_since_epoch()), false});
}
template <class T, class Duration>
[[nodiscard]] auto wait_until(coro<T>&& x, std::chrono::time_point<std::chrono::steady_clock, Duration> when) {
  return detail::wait_for_operation<T, coro<T>>(std::move(x), {detail::to_nanoseconds(when.time_since_epoch()), false});
}

}  // namespace sheaf
