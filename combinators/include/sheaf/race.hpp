#pragma once
/// @file
/// race and first_success: one result of several candidates; the others are stopped, and awaited.

#include <chrono>
#include <cstddef>
#include <iterator>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <sheaf/coro.hpp>
#include <sheaf/detail/children.hpp>
#include <sheaf/detail/gcc12.hpp>
#include <sheaf/detail/gettable.hpp>
#include <sheaf/detail/refusal.hpp>
#include <sheaf/detail/task_wait.hpp>
#include <sheaf/exception_group.hpp>
#include <sheaf/time_limit.hpp>

namespace sheaf {

/// Plain values, so that they may stand beside a co_await.
struct first_success_options {
  /// How long a candidate has before the next one starts beside it; one that fails is followed at once. Zero: all start together.
  /// std::nullopt: one after the other.
  time_limit stagger = std::chrono::nanoseconds(0);
};

namespace detail {

struct contest {
  const char* name;
  bool must_succeed;  ///< else whoever ends first has won, however it ends
  sync::nanoseconds stagger;
};
inline constexpr std::size_t k_no_winner = ~std::size_t{0};

/// Starts candidates, waits for a winner, stops the others and waits for them. Gives the winner's place. What it throws, a cancel of the
/// caller or want of memory, comes after the last candidate has ended too.
coro<std::size_t> decide_contest(contest how, child_list& candidates);
/// The failures of all candidates, in their order. @throws exception_group
[[noreturn]] void throw_no_winner(contest how, const child_list& candidates);

template <class First, class... More>
inline constexpr bool all_alike = (std::is_same_v<First, More> && ...);
template <class... T>
struct contest_result {
  using type = std::variant<element_t<T>...>;
};
template <class First, class... More>
  requires all_alike<First, More...>
struct contest_result<First, More...> {
  using type = First;
};

template <class R, std::size_t I, class First, class... More>
R take_winner(const child_list& candidates, std::size_t winner) {
  task_core& core = *candidates.all()[winner];
  if constexpr (std::is_same_v<R, First>) {
    return take_result<R>(core);
  } else {
    if constexpr (sizeof...(More) != 0) {
      if (winner != I) return take_winner<R, I + 1, More...>(candidates, winner);
    }
    if constexpr (std::is_void_v<First>) {
      take_result<void>(core);
      return R(std::in_place_index<I>);
    } else {
      return R(std::in_place_index<I>, take_result<First>(core));
    }
  }
}

template <class... X>
coro<typename contest_result<child_value_t<X>...>::type> run_contest(contest how, std::tuple<X...> given) {
  using result = typename contest_result<child_value_t<X>...>::type;
  child_list candidates;
  candidates.reserve(sizeof...(X));
  std::apply([&candidates](X&... each) { (candidates.add(std::move(each)), ...); }, given);
  const std::size_t winner = co_await decide_contest(how, candidates);
  if (winner == k_no_winner) throw_no_winner(how, candidates);
  co_return take_winner<result, 0, child_value_t<X>...>(candidates, winner);
}

template <class T, class X>
coro<T> run_contest_of(contest how, std::vector<X> given) {
  child_list candidates(std::move(given));
  const std::size_t winner = co_await decide_contest(how, candidates);
  if (winner == k_no_winner) throw_no_winner(how, candidates);
  co_return take_result<T>(*candidates.all()[winner]);
}

/// An lvalue task's result is copied: other handles of it exist.
template <class X>
inline constexpr bool may_win = !(is_task_argument<X> && std::is_lvalue_reference_v<X>) || !std::is_object_v<child_value_t<X>> ||
                                std::is_same_v<child_value_t<X>, any_result> || is_copyable<child_value_t<X>>;

template <class... X>
auto start_contest(contest how, X&&... candidates) {
  static_assert((may_win<X> && ...),
                "sheaf: the result of an lvalue task is copied, and this one cannot be copied: move the task in");
  refuse_temporaries_of_gcc12<X...>();
  return run_contest(how, std::tuple<std::decay_t<X>...>(std::forward<X>(candidates)...));
}

template <class Range>
auto start_contest_of(contest how, Range&& range) {
  static_assert(may_win<element_argument_t<Range>>,
                "sheaf: the results of lvalue tasks are copied, and these cannot be copied: move the range in");
  refuse_range_of_gcc12<Range>();
  using candidate = std::remove_cvref_t<element_argument_t<Range>>;
  std::vector<candidate> given;
  if constexpr (requires { range.size(); }) given.reserve(range.size());
  for (auto&& each : range) given.push_back(static_cast<element_argument_t<Range>&&>(each));
  return run_contest_of<range_child_t<Range>, candidate>(how, std::move(given));
}

inline constexpr contest k_race{"race", false, 0};

}  // namespace detail

/// `co_await race(f(), g(), t)`: the outcome of the first to complete: its value, or the error it failed with. Candidates are tasks,
/// coros or callables. If all have one result type it is that, else a std::variant (void as std::monostate, references as
/// std::reference_wrapper) whose index names the winner. The losers are asked to stop and awaited; their outcomes are dropped.
///
/// @par Threads       in a coroutine; `.get()` on a plain thread with a current runtime
/// @par Lifetime      all candidates have ended when this returns, tasks given by lvalue too; coros may use the caller's locals
/// @par Cancellation  of the awaiting task: each request goes on to the candidates; it ends cancelled after the last of them
/// @throws what the winner throws, task_cancelled if it ended cancelled; std::bad_alloc; runtime_closed
/// @par Cost          a coroutine, and a registration per candidate
template <class... X>
  requires(sizeof...(X) != 0 && (detail::child_argument<X> && ...))
[[nodiscard]] auto race(X&&... candidates) {
  return detail::start_contest(detail::k_race, std::forward<X>(candidates)...);
}
/// The same for a range. @throws exception_group without an error when it is empty
template <class Range>
  requires(detail::child_range<Range> && !detail::child_argument<Range>)
[[nodiscard]] auto race(Range&& candidates) {
  return detail::start_contest_of(detail::k_race, std::forward<Range>(candidates));
}
template <class Never = void>
auto race(detail::anything, detail::anything = {}, detail::anything = {}, detail::anything = {}, detail::anything = {},
          detail::anything = {}, detail::anything = {}, detail::anything = {}) {
  static_assert(
      detail::always_false<Never>,
      "sheaf: race takes tasks, coros (as rvalues: std::move(c)) and callables, or one range of them (of coros: moved in)");
}

/// `co_await first_success(f(), g())`: the value of the first to succeed, as with race. With `stagger` the candidates start in order, the
/// next one whenever one has failed or the time has passed; those that were not started when one succeeds never run.
///
/// @throws exception_group with the failure of every candidate in their order (task_cancelled for a cancelled one), if none succeeds
template <class... X>
  requires(sizeof...(X) != 0 && (detail::child_argument<X> && ...))
[[nodiscard]] auto first_success(first_success_options options, X&&... candidates) {
  return detail::start_contest(detail::contest{"first_success", true, options.stagger.nanoseconds()},
                               std::forward<X>(candidates)...);
}
template <class... X>
  requires(sizeof...(X) != 0 && (detail::child_argument<X> && ...))
[[nodiscard]] auto first_success(X&&... candidates) {
  return first_success(first_success_options{}, std::forward<X>(candidates)...);
}
template <class Range>
  requires(detail::child_range<Range> && !detail::child_argument<Range>)
[[nodiscard]] auto first_success(first_success_options options, Range&& candidates) {
  return detail::start_contest_of(detail::contest{"first_success", true, options.stagger.nanoseconds()},
                                  std::forward<Range>(candidates));
}
template <class Range>
  requires(detail::child_range<Range> && !detail::child_argument<Range>)
[[nodiscard]] auto first_success(Range&& candidates) {
  return first_success(first_success_options{}, std::forward<Range>(candidates));
}
template <class Never = void>
auto first_success(detail::anything, detail::anything = {}, detail::anything = {}, detail::anything = {}, detail::anything = {},
                   detail::anything = {}, detail::anything = {}, detail::anything = {}) {
  static_assert(detail::always_false<Never>,
                "sheaf: first_success takes tasks, coros (as rvalues: std::move(c)) and callables, or one range of them (of "
                "coros: moved in)");
}

}  // namespace sheaf
