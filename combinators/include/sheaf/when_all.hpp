#pragma once
/// @file
/// when_all: structured fork-join. It never returns before the last child has ended, so children may use the caller's locals.

#include <array>
#include <coroutine>
#include <functional>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <sheaf/coro.hpp>
#include <sheaf/detail/core_list.hpp>
#include <sheaf/detail/fork_join.hpp>
#include <sheaf/detail/gettable.hpp>
#include <sheaf/detail/refusal.hpp>

namespace sheaf {

namespace detail {

/// Children as cores in a container: started by the await, or destroyed unrun.
template <class Cores>
class forked_children : public fork_join {
 public:
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    if (cores_.empty()) return false;
    task_core& self = *awaiting.promise().task;
    for (task_core* const child : cores_) prepare_child(*child, self, *this);
    start(self, awaiting);
    return true;
  }

 protected:
  void start(task_core& self, std::coroutine_handle<> handle) noexcept {
    started_ = true;
    fork(self, handle, std::span<task_core* const>(cores_.data(), cores_.size()));
  }
  explicit forked_children(Cores cores) noexcept : fork_join("when_all"), cores_(std::move(cores)) {}
  ~forked_children() {
    for (task_core* const child : cores_) {
      if (!started_) {
        child->ops->destroy_work(*child);
        child->ops->destroy_block(*child);
      } else {
        release_child(*child);
      }
    }
  }
  void join() {
    if (started_) throw_unless_joined();
  }

  Cores cores_;

 private:
  bool started_ = false;
};

/// Moves a child's value out; void becomes std::monostate.
template <class T>
decltype(auto) take_child(task_core& child) {
  auto& value = slot_of<T>(child).value();
  if constexpr (std::is_void_v<T>) {
    return std::monostate{};
  } else {
    return stored<T>::take(value);
  }
}

template <class... T>
class when_all_awaiter final : public forked_children<std::array<task_core*, sizeof...(T)>> {
  using base = forked_children<std::array<task_core*, sizeof...(T)>>;

 public:
  explicit when_all_awaiter(coro<T>&&... children) noexcept
      : base({&make_core(std::move(children), task_state::initial_forked, &run_forked)...}) {}
  std::tuple<tuple_slot_t<T>...> await_resume() {
    this->join();
    return take(std::index_sequence_for<T...>{});
  }

 private:
  template <std::size_t... I>
  std::tuple<tuple_slot_t<T>...> take(std::index_sequence<I...>) {
    return std::tuple<tuple_slot_t<T>...>(take_child<T>(*this->cores_[I])...);
  }
};

template <class T>
class when_all_range_awaiter final : public forked_children<core_list> {
 public:
  /// @throws std::bad_alloc
  explicit when_all_range_awaiter(std::vector<coro<T>> children) : forked_children(core_list()), children_(std::move(children)) {
    cores_.reserve(children_.size());
  }
  /// Makes, prepares and forks in one pass: a child's block is written while it is in the cache.
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    if (children_.empty()) return false;
    task_core& self = *awaiting.promise().task;
    for (coro<T>& child : children_) {
      task_core& core = make_core(std::move(child), task_state::initial_forked, &run_forked);
      prepare_child(core, self, *this);
      cores_.push_back(&core);
    }
    this->start(self, awaiting);
    return true;
  }
  std::vector<element_t<T>> await_resume() {
    join();
    std::vector<element_t<T>> values;
    values.reserve(cores_.size());
    for (std::size_t i = 0; i < cores_.size(); ++i) {
      if (i + k_ahead < cores_.size())
        __builtin_prefetch(reinterpret_cast<const std::byte*>(cores_[i + k_ahead]) + sizeof(task_core));
      values.emplace_back(take_child<T>(*cores_[i]));
    }
    return values;
  }

 private:
  static constexpr std::size_t k_ahead = 8;  ///< results are fetched into the cache so far in front of being taken
  std::vector<coro<T>> children_;
};

template <class... T>
class [[nodiscard("co_await it, or nothing runs")]] when_all_operation : public gettable<when_all_operation<T...>> {
 public:
  explicit when_all_operation(coro<T>&&... children) noexcept : children_(std::move(children)...) {}
  auto operator co_await() && noexcept {
    return std::apply([](coro<T>&... each) { return when_all_awaiter<T...>(std::move(each)...); }, children_);
  }

 private:
  std::tuple<coro<T>...> children_;
};

template <class T>
class [[nodiscard("co_await it, or nothing runs")]] when_all_range_operation : public gettable<when_all_range_operation<T>> {
 public:
  explicit when_all_range_operation(std::vector<coro<T>> children) noexcept : children_(std::move(children)) {}
  auto operator co_await() && { return when_all_range_awaiter<T>(std::move(children_)); }

 private:
  std::vector<coro<T>> children_;
};

template <class Range>
using range_value_t = std::remove_cvref_t<decltype(*std::begin(std::declval<Range&>()))>;
template <class Range>
concept coro_range = requires(Range& range) {
  std::begin(range);
  std::end(range);
} && is_coro<range_value_t<Range>>;

}  // namespace detail

/// `auto [a, b] = co_await when_all(f(x), g(y));` Runs coroutines at the same time; results in input order, void as std::monostate.
/// The first failure cancels the others and is rethrown after the last has ended.
///
/// @par Threads       children run on the awaiting task's runtime, the first on this very thread
/// @par Lifetime      no child outlives the await: children may refer to the caller's locals and parameters
/// @par Cancellation  passed to every child; the await ends `cancelled` after the last has ended, values are dropped
/// @throws the first failure by completion; task_cancelled if a child ended cancelled of its own accord; invalid_state from the call
///         for a coro that has been used
/// @par Cost          no allocation beside the children's frames; per child one queue operation and one atomic decrement
template <class... T>
[[nodiscard]] auto when_all(coro<T>... children) {
  if (!(children && ...)) detail::throw_used_coro("when_all");
  return detail::when_all_operation<T...>(std::move(children)...);
}
/// The same for a range of coroutines, which is consumed now: `std::vector<T>` in input order; empty gives empty at once. Costs
/// a vector of results, and one of pointers for more than a few, beside the children's frames. @throws std::bad_alloc
template <class Range>
  requires detail::coro_range<Range>
[[nodiscard]] auto when_all(Range&& children) {
  static_assert(!std::is_lvalue_reference_v<Range>, "sheaf: a range of coros is consumed; write when_all(std::move(range))");
  using child = detail::range_value_t<Range>;
  for (const auto& each : children) {
    if (!each) detail::throw_used_coro("when_all");
  }
  std::vector<child> taken;
  if constexpr (std::is_same_v<std::remove_cvref_t<Range>, std::vector<child>>) {
    taken.swap(children);
  } else {
    if constexpr (requires { children.size(); }) taken.reserve(children.size());
    for (auto&& each : children) taken.push_back(std::move(each));
  }
  return detail::when_all_range_operation<typename child::value_type>(std::move(taken));
}
template <class Never = void>
auto when_all(detail::anything, detail::anything = {}, detail::anything = {}, detail::anything = {}, detail::anything = {},
              detail::anything = {}, detail::anything = {}, detail::anything = {}) {
  static_assert(
      detail::always_false<Never>,
      "sheaf: when_all takes coros (as rvalues: std::move(c)), or one range of them; for tasks and callables use gather");
}

}  // namespace sheaf
