#pragma once
/// @file
/// wait: until all, the first, or the first failed of some tasks have completed. Never cancels, never throws a child's error.

#include <array>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include <sheaf/task_set.hpp>

namespace sheaf {

/// What wait() returns for; see there.
enum class wait_mode : std::uint8_t { first_completed, first_exception, all_completed };
inline constexpr wait_mode first_completed = wait_mode::first_completed;
inline constexpr wait_mode first_exception = wait_mode::first_exception;
inline constexpr wait_mode all_completed = wait_mode::all_completed;

/// Plain values, trivially destructible, so that they may stand beside a co_await.
struct wait_options {
  time_limit timeout = {};  ///< zero or negative: a snapshot
  wait_mode return_when = wait_mode::all_completed;
};

/// Both in input order; together they are the input without duplicates. Dropping it is dropping `pending`: see task_set.
template <class T>
struct [[nodiscard]] wait_result {
  std::vector<task<T>> done;
  task_set<T> pending;
};

namespace detail {

[[nodiscard]] constexpr completion_want want_of(wait_mode mode) noexcept {
  switch (mode) {
    case wait_mode::first_completed:
      return completion_want::first_completed;
    case wait_mode::first_exception:
      return completion_want::first_exception;
    default:
      return completion_want::all;
  }
}

/// The deadline of a limit that starts now, on the task's own clock.
[[nodiscard]] sync::nanoseconds deadline_for(const task_core& task, const time_limit& limit) noexcept;

/// Takes what is ready, in input order. @throws std::bad_alloc, and nothing has been taken
template <class T>
std::vector<task<T>> take_done(completion_core& core) {
  const std::size_t most = core.ready();
  std::vector<task<T>> done;
  done.reserve(most);
  for (completion_node* node = core.pop_ready(most); node != nullptr;) {
    completion_node* const next = node->link;
    done.push_back(take_handle<T>(*node));
    node = next;
  }
  return done;
}

class set_wait {
 public:
  set_wait(completion_core* core, const wait_options& options) noexcept
      : options_(options), wait_(*core, want_of(options.return_when)) {}
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    task_core& self = *awaiting.promise().task;
    return wait_.suspend(self, awaiting, deadline_for(self, options_.timeout));
  }
  void await_resume() { wait_.finish(); }

 private:
  wait_options options_;
  completion_wait wait_;
};

/// Waits for a set of its own and hands out what is left of it.
template <class T>
class wait_awaiter final : public set_wait {
 public:
  wait_awaiter(task_set<T>&& set, const wait_options& options) noexcept
      : set_wait(task_set_access::core(set), options), set_(std::move(set)) {}
  wait_result<T> await_resume() {
    set_wait::await_resume();
    std::vector<task<T>> done = take_done<T>(*task_set_access::core(set_));
    return {std::move(done), std::move(set_)};
  }

 private:
  task_set<T> set_;
};

/// Waits for the caller's set and takes the finished ones out of it.
template <class T>
class wait_in_place_awaiter final : public set_wait {
 public:
  wait_in_place_awaiter(task_set<T>& set, const wait_options& options) noexcept
      : set_wait(task_set_access::core(set), options), set_(&set) {}
  std::vector<task<T>> await_resume() {
    set_wait::await_resume();
    return take_done<T>(*task_set_access::core(*set_));
  }

 private:
  task_set<T>* set_;
};

template <class T>
class [[nodiscard("co_await it, or nothing is waited for")]] wait_operation : public gettable<wait_operation<T>> {
 public:
  wait_operation(task_set<T>&& set, const wait_options& options) noexcept : set_(std::move(set)), options_(options) {}
  auto operator co_await() && noexcept { return wait_awaiter<T>(std::move(set_), options_); }

 private:
  task_set<T> set_;
  wait_options options_;
};

template <class T>
class [[nodiscard("co_await it, or nothing is waited for")]] wait_in_place_operation
    : public gettable<wait_in_place_operation<T>> {
 public:
  wait_in_place_operation(task_set<T>& set, const wait_options& options) noexcept : set_(&set), options_(options) {}
  auto operator co_await() && noexcept { return wait_in_place_awaiter<T>(*set_, options_); }

 private:
  task_set<T>* set_;
  wait_options options_;
};

template <class X>
inline constexpr bool is_task_set = false;
template <class T>
inline constexpr bool is_task_set<task_set<T>> = true;

}  // namespace detail

/// `auto [done, pending] = co_await wait(tasks, {.timeout = 1s, .return_when = first_completed});`
///
/// first_completed: one is done, cancelled counts; `done` may hold more. first_exception: one has failed (cancelled does not count), or
/// all are done. The condition holding already, or the timeout passing, returns too; an empty range returns at once. A snapshot has
/// every task in `done` that is done when it is taken.
///
/// @par Threads       in a coroutine; `.get()` on a plain thread with a current runtime
/// @par Lifetime      the tasks run on whatever happens; registrations go with `pending`, or at once when the wait throws
/// @par Cancellation  of the awaiting task: it ends cancelled, the tasks are untouched
/// @throws never a child's error, never timeout_error; std::bad_alloc
/// @par Cost          one block for all registrations, none to wait for `pending` again; a completion is one push; a snapshot looks at
///                    every task
template <class Range>
  requires(detail::task_range<Range> && !detail::is_task_set<std::remove_cvref_t<Range>>)
[[nodiscard]] auto wait(Range&& tasks, wait_options options = {}) {
  detail::refuse_temporaries_of_gcc12<Range>();
  using value = detail::range_child_t<Range>;
  return detail::wait_operation<value>(task_set<value>(std::forward<Range>(tasks)), options);
}
/// Waits for a set again and gives what is left back: `pending = std::move(rest)`.
template <class T>
[[nodiscard]] auto wait(task_set<T>&& set, wait_options options = {}) {
  if (task_set_access::core(set) == nullptr) set = task_set<T>(std::vector<task<T>>());
  return detail::wait_operation<T>(std::move(set), options);
}
/// Waits for a set in place: gives the finished ones, in input order, and takes them out of it. When it throws, cancelled or for want
/// of memory, the set stays whole.
template <class T>
[[nodiscard]] auto wait(task_set<T>& set, wait_options options = {}) {
  if (task_set_access::core(set) == nullptr) set = task_set<T>(std::vector<task<T>>());
  return detail::wait_in_place_operation<T>(set, options);
}
/// `co_await wait({...}, t1, t2)`: tasks of one type by name.
template <class T, class... More>
  requires(std::is_same_v<task<T>, std::remove_cvref_t<More>> && ...)
[[nodiscard]] auto wait(wait_options options, task<T> first, More... more) {
  std::vector<task<T>> tasks;
  tasks.reserve(1 + sizeof...(More));
  tasks.push_back(std::move(first));
  (tasks.push_back(std::move(more)), ...);
  return detail::wait_operation<T>(task_set<T>(std::move(tasks)), options);
}
template <class Never = void>
auto wait(detail::anything, wait_options = {}) {
  static_assert(detail::always_false<Never>,
                "sheaf: wait takes a range of tasks, which it can give back in `done`: spawn coros first; for one task or coro, "
                "co_await it or use wait_for");
}

}  // namespace sheaf
