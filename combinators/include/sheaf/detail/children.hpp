#pragma once
/// @file
/// What combinators accept as children, turned into tasks.

#include <cstddef>
#include <iterator>
#include <span>
#include <type_traits>
#include <utility>

#include <sheaf/coro.hpp>
#include <sheaf/detail/core_list.hpp>
#include <sheaf/detail/gcc12.hpp>
#include <sheaf/spawn.hpp>
#include <sheaf/task.hpp>

namespace sheaf::detail {

template <class X>
inline constexpr bool is_task_argument = is_task<std::remove_cvref_t<X>>;
/// A task (any value category), a coro rvalue, or a callable without arguments.
template <class X>
concept child_argument = is_task_argument<X> || spawnable<X>;

template <class X>
struct child_value {
  using type = work_value_t<X>;
};
template <class X>
  requires is_task_argument<X>
struct child_value<X> {
  using type = typename std::remove_cvref_t<X>::value_type;
};
template <class X>
using child_value_t = typename child_value<X>::type;

template <class Range>
concept any_range = requires(Range& range) {
  std::begin(range);
  std::end(range);
};
/// How an element of a range argument is passed on: moved out of an rvalue range (and coros always), else as it is.
template <class Range>
using element_argument_t =
    std::conditional_t<std::is_lvalue_reference_v<Range> || !std::is_reference_v<decltype(*std::begin(std::declval<Range&>()))>,
                       decltype(*std::begin(std::declval<Range&>())),
                       std::remove_reference_t<decltype(*std::begin(std::declval<Range&>()))>&&>;
template <class Range>
concept child_range = any_range<Range> && child_argument<element_argument_t<Range>>;
template <class Range>
concept task_range = any_range<Range> && is_task_argument<element_argument_t<Range>>;
/// A range of coros has to be moved in, and is empty then: destroying it twice harms nobody.
template <class Range>
constexpr void refuse_range_of_gcc12() {
  if constexpr (!is_coro<std::remove_cvref_t<element_argument_t<Range>>>) refuse_temporaries_of_gcc12<Range>();
}
template <class Range>
using range_child_t = child_value_t<element_argument_t<Range>>;

/// A range of parts of a span.
class few_at_a_time {
 public:
  class iterator {
   public:
    explicit iterator(std::span<task_core* const> rest) noexcept : rest_(rest) {}
    [[nodiscard]] std::span<task_core* const> operator*() const noexcept;
    iterator& operator++() noexcept;
    [[nodiscard]] bool operator!=(const iterator& other) const noexcept { return rest_.size() != other.rest_.size(); }

   private:
    static constexpr std::size_t k_few = 32;
    std::span<task_core* const> rest_;
  };
  explicit few_at_a_time(std::span<task_core* const> all) noexcept : all_(all) {}
  [[nodiscard]] iterator begin() const noexcept { return iterator(all_); }
  [[nodiscard]] iterator end() const noexcept { return iterator({}); }

 private:
  std::span<task_core* const> all_;
};

/// The children of a combinator, each by a counted handle. Tasks are shared or taken over; other work becomes a task that has not been
/// started. Dropped, it drops the handles, and what has not been started is destroyed unrun.
class child_list {
 public:
  child_list() = default;
  template <class Range>
    requires any_range<Range>
  explicit child_list(Range&& range) : child_list() {  // delegates, so that what has been added goes if a later one throws
    if constexpr (requires { range.size(); }) reserve(range.size());
    for (auto&& each : range) add(static_cast<element_argument_t<Range>&&>(each));
  }
  child_list(const child_list&) = delete;
  child_list& operator=(const child_list&) = delete;
  ~child_list();

  void reserve(std::size_t count) { cores_.reserve(count); }
  template <class X>
  void add(X&& x) {
    cores_.make_room();  // first: it may throw
    if constexpr (is_task_argument<X>) {
      static_cast<void>(task_access::core(x));  // throws for an empty handle
      cores_.push_back(task_access::release(std::remove_cvref_t<X>(std::forward<X>(x))));
    } else {
      cores_.push_back(&make_work<runs_on::workers>(task_state::initial_posted, std::forward<X>(x)));
    }
  }

  [[nodiscard]] std::span<task_core* const> all() const noexcept { return cores_.all(); }
  /// The same, some at a time: while they are in the cache, they are registered with, started and queued.
  [[nodiscard]] few_at_a_time by_few() const noexcept { return few_at_a_time(all()); }
  void remove_duplicates() noexcept;
  /// The handles are the caller's now.
  void release() noexcept { cores_.truncate(0); }

 private:
  core_list cores_;
};

}  // namespace sheaf::detail
