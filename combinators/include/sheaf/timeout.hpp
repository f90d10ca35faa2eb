#pragma once
/// @file
/// with_timeout, with_deadline: a part of a coroutine that may take only so long.

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <sheaf/coro.hpp>
#include <sheaf/detail/clock_access.hpp>
#include <sheaf/detail/gcc12.hpp>
#include <sheaf/detail/refusal.hpp>
#include <sheaf/detail/result.hpp>
#include <sheaf/detail/timeout_core.hpp>
#include <sheaf/errors.hpp>
#include <sheaf/time_limit.hpp>

namespace sheaf {

class timeout_scope;

namespace detail {
template <class R>
coro<R> run_with_timeout(auto body, bool relative, sync::nanoseconds when);
}  // namespace detail

/// Given to the body of with_timeout and with_deadline. Copies are the same scope, and may outlive it.
///
/// @par Threads       any
/// @par Lifetime      a copy keeps a small block alive, and nothing of the task
/// @par Cancellation  the deadline asks the task that opened the scope to stop, once
/// @throws invalid_state from reschedule() unless the scope is active, naming what it is
/// @par Cost          a lock; reschedule() disarms and arms a timer; no allocation
class timeout_scope {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  /// A new limit, counted from now; `std::nullopt` for none.
  void reschedule(time_limit limit) { core_->reschedule(limit.nanoseconds(), true); }
  /// A new deadline: a point of the steady clock (of manual time, counted from its zero, on a manual clock).
  template <class Duration>
  void reschedule(std::chrono::time_point<std::chrono::steady_clock, Duration> when) {
    core_->reschedule(detail::to_nanoseconds(when.time_since_epoch()), false);
  }
  /// The deadline, in the past or the future; none if there is none.
  [[nodiscard]] std::optional<time_point> when() const noexcept {
    const detail::sync::nanoseconds deadline = core_->deadline();
    if (deadline == detail::sync::k_forever) return std::nullopt;
    return time_point(std::chrono::nanoseconds(deadline));
  }
  /// The deadline has passed while the body ran.
  [[nodiscard]] bool expired() const noexcept {
    const auto now = core_->now();
    return now == detail::timeout_core::phase::expiring || now == detail::timeout_core::phase::expired;
  }
  /// For logs: "active until 1.500 s", "active without a deadline", "expiring", "expired" or "finished".
  friend std::string to_string(const timeout_scope& scope);

 private:
  template <class R>
  friend coro<R> detail::run_with_timeout(auto body, bool relative, detail::sync::nanoseconds when);
  explicit timeout_scope(std::shared_ptr<detail::timeout_core> core) noexcept : core_(std::move(core)) {}
  std::shared_ptr<detail::timeout_core> core_;
};

[[nodiscard]] std::string to_string(const timeout_scope& scope);

namespace detail {

template <class R>
struct timeout_result {
  std::optional<stored_t<R>> value;
};
template <>
struct timeout_result<void> {};

/// `cancelled` leaves the body: if the deadline asked for it and nobody else did, it is the scope's own, and becomes timeout_error.
/// Otherwise it goes on, and stands for what is still undelivered too, so that nothing is delivered twice.
template <class R>
coro<R> run_with_timeout(auto body, bool relative, sync::nanoseconds when) {
  task_core* const self = co_await this_core();
  if (relative && when != sync::k_forever) when = saturating_add(runtime_now(*self), when);
  timeout_owner owner(*self, when);
  timeout_scope scope(owner.core());
  timeout_result<R> result;
  try {
    if constexpr (std::is_void_v<R>) {
      co_await std::invoke(body, scope);
    } else if constexpr (std::is_lvalue_reference_v<R>) {
      result.value.emplace(std::addressof(co_await std::invoke(body, scope)));
    } else {
      result.value.emplace(co_await std::invoke(body, scope));
    }
  } catch (const task_cancelled&) {
    throw;  // another task's outcome
  } catch (const cancelled&) {
    const bool foreign = owner.core()->scope().foreign_request();
    const bool asked = owner.end();
    if (asked && !foreign) throw_timeout_from_cancelled();
    if (foreign) cancel_scope::settle(*self);
    throw;
  }
  owner.end();
  if constexpr (!std::is_void_v<R>) co_return stored<R>::take(*result.value);
}

template <class Body>
using timeout_body_t = std::invoke_result_t<std::decay_t<Body>&, timeout_scope&>;

template <class Body>
auto start_timeout(Body&& body, bool relative, sync::nanoseconds when) {
  refuse_temporaries_of_gcc12<Body>();
  return run_with_timeout<typename timeout_body_t<Body>::value_type>(std::decay_t<Body>(std::forward<Body>(body)), relative,
                                                                     when);
}

template <class Body>
concept timeout_body = std::is_invocable_v<std::decay_t<Body>&, timeout_scope&> && is_coro<timeout_body_t<Body>>;

}  // namespace detail

/// `co_await with_timeout(2s, body)` with a coroutine function `body(timeout_scope&)`: gives the body's value. When the limit passes
/// first, the awaiting task is asked to stop, once; the `cancelled` that then leaves the body becomes timeout_error. A body that
/// finishes all the same has its value, one that fails its failure. Limit zero or less: the body is interrupted at its first suspension.
///
/// Scopes nest: of several that have expired, the outermost reports; a request from elsewhere stays `cancelled`.
///
/// @par Threads       the body runs in the awaiting task; `.get()` on a plain thread with a current runtime
/// @par Lifetime      the body may use the caller's locals
/// @par Cancellation  of the awaiting task: the body sees it
/// @throws timeout_error (std::rethrow_if_nested gives the cancelled); what the body throws; std::invalid_argument for NaN
/// @par Cost          a coroutine, a shared block, arming and disarming a timer
template <class Body>
  requires detail::timeout_body<Body>
[[nodiscard]] auto with_timeout(time_limit limit, Body&& body) {
  return detail::start_timeout(std::forward<Body>(body), true, limit.nanoseconds());
}
/// The same with a point of the steady clock (of manual time, counted from its zero, on a manual clock), or none.
template <class Duration, class Body>
  requires detail::timeout_body<Body>
[[nodiscard]] auto with_deadline(std::chrono::time_point<std::chrono::steady_clock, Duration> when, Body&& body) {
  return detail::start_timeout(std::forward<Body>(body), false, detail::to_nanoseconds(when.time_since_epoch()));
}
template <class Body>
  requires detail::timeout_body<Body>
[[nodiscard]] auto with_deadline(std::nullopt_t, Body&& body) {
  return detail::start_timeout(std::forward<Body>(body), false, detail::sync::k_forever);
}
template <class Duration, class Body>
  requires detail::timeout_body<Body>
[[nodiscard]] auto with_deadline(std::optional<std::chrono::time_point<std::chrono::steady_clock, Duration>> when, Body&& body) {
  return detail::start_timeout(std::forward<Body>(body), false,
                               when ? detail::to_nanoseconds(when->time_since_epoch()) : detail::sync::k_forever);
}
template <class Never = void>
auto with_timeout(detail::anything, detail::anything) {
  static_assert(
      detail::always_false<Never>,
      "sheaf: with_timeout takes a limit and a coroutine function body(timeout_scope&); for one task or coro use wait_for");
}
template <class Never = void>
auto with_deadline(detail::anything, detail::anything) {
  static_assert(
      detail::always_false<Never>,
      "sheaf: with_deadline takes a point of std::chrono::steady_clock, or none, and a coroutine function body(timeout_scope&)");
}

}  // namespace sheaf
