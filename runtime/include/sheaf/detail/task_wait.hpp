#pragma once
/// @file
/// Waiting for one task: from a coroutine, observing or owning, and from a thread.

#include <coroutine>
#include <optional>
#include <type_traits>
#include <utility>

#include <sheaf/detail/task_core.hpp>
#include <sheaf/errors.hpp>

namespace sheaf {
template <class T>
class task;
class time_limit;
struct any_result;
}  // namespace sheaf

namespace sheaf::detail {

/// The registration of one waiting task with one awaited task. Type-erased core of the two awaiters below.
class task_awaiter : public awaiter_base {
 public:
  cancel_answer on_cancel(task_core& self) noexcept final;
  wait_reason reason() const noexcept final { return {"task", target_}; }

 protected:
  explicit task_awaiter(task_core& target) noexcept : node_(&notify), target_(&target) {}
  ~task_awaiter() = default;

  /// True: the task is suspended. `owns`: cancelling the waiting task cancels the target and waits for its end.
  bool suspend(task_core& self, std::coroutine_handle<> handle, bool owns);
  void throw_if_cancelled() const {
    if (cancelled()) throw_cancelled(*self_);
  }

 private:
  struct node final : waiter_node {
    using waiter_node::waiter_node;
    task_core* self = nullptr;
  };
  static void notify(waiter_node& node, outcome_kind) noexcept;

  node node_;
  task_core* target_;
  task_core* self_ = nullptr;
  bool owns_ = false;
};

/// What an observer gets of a complete task. @throws its error, or task_cancelled
template <class T>
decltype(auto) view_result(task_core& core) {
  throw_unless_value(core);
  if constexpr (std::is_same_v<T, any_result>) {
    return T{};
  } else {
    return stored<T>::view(slot_of<T>(core).value());
  }
}

/// Moves the result out, whoever else has a handle.
template <class T>
T move_result(task_core& core) {
  throw_unless_value(core);
  return stored<T>::take(slot_of<T>(core).value());
}

/// Moves the result out through the only handle, copies it through one of several.
template <class T>
T take_result(task_core& core) {
  throw_unless_value(core);
  if constexpr (std::is_same_v<T, any_result>) {
    return T{};
  } else {
    auto& value = slot_of<T>(core).value();
    if constexpr (std::is_object_v<T>) {
      if (!core.state.sole_handle()) {
        if constexpr (is_copyable<T>) {
          return value;
        } else {
          throw invalid_state(
              "task " + label_of(core) +
              " has other handles and its result cannot be copied: await it through one handle, or by const reference");
        }
      }
    }
    return stored<T>::take(value);
  }
}

template <class T>
class observe_awaiter final : public task_awaiter {
 public:
  explicit observe_awaiter(task_core& target) noexcept : task_awaiter(target), observed_(&target) {}
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) {
    return suspend(*awaiting.promise().task, awaiting, false);
  }
  decltype(auto) await_resume() {
    throw_if_cancelled();
    return view_result<T>(*observed_);
  }

 private:
  task_core* observed_;
};

template <class T>
class own_awaiter final : public task_awaiter {
 public:
  explicit own_awaiter(task<T>&& owned) : task_awaiter(*owned.core_), owned_(std::move(owned)) {}
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) {
    return suspend(*awaiting.promise().task, awaiting, owned_.core_->state.sole_handle());
  }
  T await_resume() {
    throw_if_cancelled();
    return take_result<T>(*owned_.core_);
  }

 private:
  task<T> owned_;
};

/// Blocks this thread until the task is complete; see task::get(). False: the limit passed first.
bool wait_blocking(task_core& target, const time_limit& limit);
/// The same without limit for a task of which only the caller knows, and which uses what the caller owns: if the wait is given up (the
/// caller's cancel), the task is asked to stop and waited for first. If it gives a value all the same, that is what counts. Complete
/// afterwards, whatever this throws.
void wait_owned(task_core& target);
/// The same for a task that uses nothing of the caller's. Not complete afterwards: this threw, and the task, asked to stop, goes on when
/// whatever it still waits for does.
void wait_sharing(task_core& target);

}  // namespace sheaf::detail
