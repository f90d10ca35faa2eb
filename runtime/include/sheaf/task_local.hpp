#pragma once
/// @file
/// task_local: values that belong to a task and are inherited by the tasks it starts.

#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <sheaf/errors.hpp>

namespace sheaf {

namespace detail {

using local_value = std::shared_ptr<const void>;
/// Never given twice.
[[nodiscard]] std::uint64_t next_local_key() noexcept;
/// In the running task; null: no value, or no task.
[[nodiscard, gnu::noinline]] const void* find_local(std::uint64_t key) noexcept;
/// Gives the running task another value, null for none, and returns the former one. @throws invalid_state, std::bad_alloc
[[gnu::noinline]] local_value exchange_local(std::uint64_t key, local_value value, const char* call);
/// 0: none runs here.
[[nodiscard, gnu::noinline]] std::uint64_t running_task_id() noexcept;

}  // namespace detail

template <class T>
class task_local;

/// A value that holds until the end of a scope; then the former one does again.
///
/// @par Threads       made and destroyed in one task, innermost first; destroyed elsewhere it does nothing
/// @par Lifetime      does not keep the task_local
/// @par Cancellation  none
/// @throws nothing: task_local::bind() does. Without memory the destructor ends the program
/// @par Cost          that of task_local::set(), twice
template <class T>
class [[nodiscard("the value holds while this object lives")]] local_binding {
 public:
  local_binding(const local_binding&) = delete;
  local_binding& operator=(const local_binding&) = delete;
  ~local_binding() {
    if (detail::running_task_id() == task_) detail::exchange_local(key_, std::move(former_), "local_binding");
  }

 private:
  friend class task_local<T>;
  local_binding(std::uint64_t key, detail::local_value value)
      : key_(key), task_(detail::running_task_id()), former_(detail::exchange_local(key, std::move(value), "task_local::bind")) {}

  const std::uint64_t key_;
  const std::uint64_t task_;
  detail::local_value former_;
};

/// A variable of which every task has its own value, usually with static storage: `const task_local<std::string> user;`. A task inherits
/// the values that the task which starts it has at that moment: by spawn, spawn_blocking, gather, groups and all others. What it sets
/// itself is seen by nobody else but what it starts afterwards. Coroutines that are awaited, not started, share the values of their task;
/// children of when_all are tasks.
///
/// @par Threads       any; each task reads and sets its own
/// @par Lifetime      may go at any time; values go with the last task that has them, before its outcome is seen
/// @par Cancellation  none
/// @throws invalid_state as the members say
/// @par Cost          nothing for tasks without values. With some: one allocation per task that inherits them, one copy of the table of all
///                    values and the value's own allocation per set(); get() looks through that table
template <class T>
class task_local {
  static_assert(std::is_object_v<T> && !std::is_array_v<T> && !std::is_const_v<T>,
                "sheaf: a task_local holds an object; use a pointer or std::reference_wrapper for references");

 public:
  task_local() : key_(detail::next_local_key()) {}
  /// With a value for tasks that have none, and for threads outside any task.
  explicit task_local(T otherwise) : key_(detail::next_local_key()), otherwise_(std::move(otherwise)) {}
  task_local(const task_local&) = delete;
  task_local& operator=(const task_local&) = delete;

  /// Valid until this task sets another value, or ends. @throws invalid_state when there is neither a value nor a default
  [[nodiscard]] const T& get() const {
    if (const void* const found = detail::find_local(key_)) return *static_cast<const T*>(found);
    if (!otherwise_) throw invalid_state("task_local::get: there is no value here, and no default");
    return *otherwise_;
  }
  /// get() would give a value.
  [[nodiscard]] bool has_value() const noexcept { return detail::find_local(key_) != nullptr || otherwise_.has_value(); }
  /// For the running task, and for what it starts from now on. @throws invalid_state outside a task
  void set(T value) const { detail::exchange_local(key_, std::make_shared<const T>(std::move(value)), "task_local::set"); }
  /// The running task has no value of its own any more. @throws invalid_state outside a task
  void reset() const { detail::exchange_local(key_, nullptr, "task_local::reset"); }
  /// `const auto bound = user.bind("ann");` @throws invalid_state outside a task
  local_binding<T> bind(T value) const { return {key_, std::make_shared<const T>(std::move(value))}; }

 private:
  const std::uint64_t key_;
  const std::optional<T> otherwise_;
};

}  // namespace sheaf
