#pragma once
/// @file
/// with_cleanup: a `finally` that may await.

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <sheaf/coro.hpp>
#include <sheaf/detail/gcc12.hpp>
#include <sheaf/detail/refusal.hpp>
#include <sheaf/detail/result.hpp>

namespace sheaf {

namespace detail {

template <class Work>
struct phase_result {};
template <class T>
struct phase_result<coro<T>> {
  using type = T;
};
template <class F>
  requires(std::is_invocable_v<F&> && is_coro<std::invoke_result_t<F&>>)
struct phase_result<F> {
  using type = typename std::invoke_result_t<F&>::value_type;
};
/// A coro, or a coroutine function without arguments.
template <class Work>
concept phase = requires { typename phase_result<std::decay_t<Work>>::type; } &&
                !(std::is_lvalue_reference_v<Work> && is_coro<std::remove_cvref_t<Work>>);

template <class Work>
auto begin_phase(Work& work) {
  if constexpr (is_coro<Work>) {
    return std::move(work);
  } else {
    return std::invoke(work);
  }
}

template <class R>
coro<R> run_with_cleanup(auto body, auto cleanup) {
  std::exception_ptr error;
  if constexpr (std::is_void_v<R>) {
    try {
      co_await begin_phase(body);
    } catch (...) {
      error = std::current_exception();
    }
    co_await begin_phase(cleanup);
    if (error) std::rethrow_exception(std::move(error));
  } else {
    std::optional<stored_t<R>> value;
    try {
      if constexpr (std::is_lvalue_reference_v<R>) {
        value.emplace(std::addressof(co_await begin_phase(body)));
      } else {
        value.emplace(co_await begin_phase(body));
      }
    } catch (...) {
      error = std::current_exception();
    }
    co_await begin_phase(cleanup);
    if (error) std::rethrow_exception(std::move(error));
    co_return stored<R>::take(*value);
  }
}

}  // namespace detail

/// `co_await with_cleanup(body, cleanup)`: the body, then the cleanup, however the body ended: with a value, an error, or cancelled.
/// C++ cannot await in a handler or a destructor; this is where such code goes. Both are coros or coroutine functions without arguments.
///
/// The request that cancelled the body has been delivered, so it does not interrupt the cleanup; one that comes later does.
///
/// @par Threads       both run in the awaiting task; `.get()` on a plain thread with a current runtime
/// @par Lifetime      both may use the caller's locals; never awaited, both are destroyed unrun
/// @par Cancellation  of the awaiting task: body or cleanup sees it
/// @throws what the cleanup throws, instead of what the body did; else what the body throws
/// @par Cost          a coroutine
template <class Body, class Cleanup>
  requires(detail::phase<Body> && detail::phase<Cleanup>)
[[nodiscard]] auto with_cleanup(Body&& body, Cleanup&& cleanup) {
  detail::refuse_temporaries_of_gcc12<Body, Cleanup>();
  return detail::run_with_cleanup<typename detail::phase_result<std::decay_t<Body>>::type>(
      std::decay_t<Body>(std::forward<Body>(body)), std::decay_t<Cleanup>(std::forward<Cleanup>(cleanup)));
}
template <class Never = void>
auto with_cleanup(detail::anything, detail::anything) {
  static_assert(
      detail::always_false<Never>,
      "sheaf: with_cleanup takes two coros (as rvalues) or coroutine functions without arguments: a body and a cleanup");
}

}  // namespace sheaf
