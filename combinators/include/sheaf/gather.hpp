#pragma once
/// @file
/// gather: run many, collect all.

#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <sheaf/detail/children.hpp>
#include <sheaf/detail/gather_core.hpp>
#include <sheaf/detail/gettable.hpp>
#include <sheaf/detail/refusal.hpp>
#include <sheaf/outcome.hpp>

namespace sheaf {

/// First argument of gather: failures become outcomes beside the values. A tag without state.
struct return_exceptions_t {
  explicit return_exceptions_t() = default;
};
inline constexpr return_exceptions_t return_exceptions{};

namespace detail {

template <class T>
decltype(auto) collect_value(task_core& child) {
  if constexpr (std::is_void_v<T>) {
    return std::monostate{};
  } else {
    return take_result<T>(child);
  }
}

template <class T>
outcome<T> collect_outcome(task_core& child) {
  if (child.header().kind == outcome_kind::value) {
    if constexpr (std::is_void_v<T>) {
      return outcome<T>(std::in_place);
    } else if constexpr (std::is_lvalue_reference_v<T>) {
      return outcome<T>(std::in_place, std::addressof(take_result<T>(child)));
    } else {
      return outcome<T>(std::in_place, take_result<T>(child));
    }
  }
  const std::exception_ptr error = exception_of(child);
  return child.header().kind == outcome_kind::cancelled ? outcome<T>::make_cancelled(error) : outcome<T>(error);
}

template <class T>
struct collect_values {
  using value_type = std::vector<element_t<T>>;
  value_type operator()(gather_core& from) const {
    value_type values;
    values.reserve(from.size());
    for (std::size_t i = 0; i < from.size(); ++i) {
      from.prefetch(i + 8);
      values.emplace_back(collect_value<T>(from.child(i)));
      from.leave_child(i);
    }
    return values;
  }
};

template <class T>
struct collect_outcomes {
  using value_type = std::vector<outcome<T>>;
  value_type operator()(gather_core& from) const {
    value_type outcomes;
    outcomes.reserve(from.size());
    for (std::size_t i = 0; i < from.size(); ++i) outcomes.push_back(collect_outcome<T>(from.child(i)));
    return outcomes;
  }
};

template <class... T>
struct collect_value_tuple {
  using value_type = std::tuple<tuple_slot_t<T>...>;
  value_type operator()(gather_core& from) const {
    return [&from]<std::size_t... I>(std::index_sequence<I...>) {
      return value_type(collect_value<T>(from.child(I))...);
    }(std::index_sequence_for<T...>{});
  }
};

template <class... T>
struct collect_outcome_tuple {
  using value_type = std::tuple<outcome<T>...>;
  value_type operator()(gather_core& from) const {
    return [&from]<std::size_t... I>(std::index_sequence<I...>) {
      return value_type(collect_outcome<T>(from.child(I))...);
    }(std::index_sequence_for<T...>{});
  }
};

template <class Collect>
task<typename Collect::value_type> start_gather(runtime_core& runtime, child_list& children, bool collect_failures) {
  return task_access::adopt<typename Collect::value_type>(gather_task<Collect>::start(runtime, children, collect_failures));
}

/// An lvalue task's result is copied: other handles of it exist.
template <class X>
inline constexpr bool is_gatherable =
    !(is_task_argument<X> && std::is_lvalue_reference_v<X>) || std::is_void_v<child_value_t<X>> ||
    std::is_reference_v<child_value_t<X>> || is_copyable<child_value_t<X>>;

template <class Collect, class... X>
auto gather_pack(bool collect_failures, X&&... x) {
  static_assert((is_gatherable<X> && ...),
                "sheaf: gather copies the result of an lvalue task, and this one cannot be copied: move the task in");
  runtime_core& runtime = current_runtime("gather");
  child_list children;
  children.reserve(sizeof...(X));
  (children.add(std::forward<X>(x)), ...);
  return start_gather<Collect>(runtime, children, collect_failures);
}

template <class Collect, class Range>
auto gather_range(bool collect_failures, Range&& range) {
  static_assert(is_gatherable<element_argument_t<Range>>,
                "sheaf: gather copies the results of lvalue tasks, and these cannot be copied: move the range in");
  refuse_range_of_gcc12<Range>();
  runtime_core& runtime = current_runtime("gather");
  child_list children(std::forward<Range>(range));
  return start_gather<Collect>(runtime, children, collect_failures);
}

}  // namespace detail

/// `auto [a, b] = co_await gather(f(), g());` Starts what is not started and collects the results in input order, void as
/// std::monostate. Children: tasks (lvalues: results are copied; rvalues: moved), coros, callables.
///
/// The first child to fail ends the gather with its error at once; the others go on running, and their errors are dropped. A
/// child cancelled by somebody else is such a failure, of type task_cancelled. For "cancel the others and wait" use when_all.
///
/// @par Threads       any thread with a current runtime
/// @par Lifetime      children must own what they use: they may outlive the gather
/// @par Cancellation  cancelling the gather (also by cancelling the task that awaits its only handle) cancels every child; it ends
///                    cancelled after the last of them, whatever they return
/// @throws no_runtime, runtime_closed, std::bad_alloc from the call; a child's failure from the await
/// @par Cost          one block beside the children's own, with a registration each; per child one atomic decrement; one wake-up
template <class... X>
  requires(detail::child_argument<X> && ...)
[[nodiscard]] auto gather(X&&... children) {
  return detail::gather_pack<detail::collect_value_tuple<detail::child_value_t<X>...>>(false, std::forward<X>(children)...);
}
/// Waits for all; failures and cancelled outcomes stand beside the values, as `outcome<T>`: the await throws no child's failure. The
/// rest is as above.
template <class... X>
  requires(detail::child_argument<X> && ...)
[[nodiscard]] auto gather(return_exceptions_t, X&&... children) {
  return detail::gather_pack<detail::collect_outcome_tuple<detail::child_value_t<X>...>>(true, std::forward<X>(children)...);
}
/// The same for a range: `std::vector<T>` in input order, references as std::reference_wrapper; empty gives empty at once.
template <class Range>
  requires(detail::child_range<Range> && !detail::child_argument<Range>)
[[nodiscard]] auto gather(Range&& children) {
  return detail::gather_range<detail::collect_values<detail::range_child_t<Range>>>(false, std::forward<Range>(children));
}
template <class Range>
  requires(detail::child_range<Range> && !detail::child_argument<Range>)
[[nodiscard]] auto gather(return_exceptions_t, Range&& children) {
  return detail::gather_range<detail::collect_outcomes<detail::range_child_t<Range>>>(true, std::forward<Range>(children));
}
template <class Never = void>
auto gather(detail::anything, detail::anything = {}, detail::anything = {}, detail::anything = {}, detail::anything = {},
            detail::anything = {}, detail::anything = {}, detail::anything = {}) {
  static_assert(
      detail::always_false<Never>,
      "sheaf: gather takes tasks, coros (as rvalues: std::move(c)) and callables, or one range of them (of coros: moved in)");
}

}  // namespace sheaf
