#pragma once
/// @file
/// What task::on_done() registers: a small task that waits, parked, for the end of another one.
///
///   made --start_done_callback()--> registered --(the target ends, or remove())--> runnable --> called, or left out if removed
///
/// D1  It is a live task of the target's runtime from its registration on: shutdown waits for it, manual time stands still while it is
///     runnable, a failure of its function is filed like any other.
/// D2  Cancel requests, which shutdown makes to every live task, do not keep it from running: it counts as started, and stays parked.
/// D3  Who takes the node off the target's list owes the wake: the completer, or remove().
/// D4  Whether it is called is decided once, on `decided` of its own word: by its run or by remove().
///     Until then it keeps the target's block, so a callback that can be removed belongs to the task whose address was noted with it.

#include <functional>
#include <type_traits>
#include <utility>

#include <sheaf/detail/awaiter.hpp>
#include <sheaf/detail/callable_task.hpp>
#include <sheaf/detail/waiter_list.hpp>
#include <sheaf/task.hpp>

namespace sheaf::detail {

class done_callback_base : public waiter_node, public awaiter_base {
 public:
  cancel_answer on_cancel(task_core&) noexcept final { return cancel_answer::stay; }  // D2
  wait_reason reason() const noexcept final { return {"task", target_}; }

 protected:
  explicit done_callback_base(task_core& target) noexcept : waiter_node(&target_ended), target_(&target) {
    target.state.add_reference();
  }
  ~done_callback_base() { drop_reference(*target_); }

  /// False: it has been removed (D4).
  [[nodiscard]] bool claim() const noexcept;
  /// The function's exception, which is being handled, goes to the unobserved-error hook.
  void report_failure() const noexcept;

 private:
  friend void start_done_callback(task_core& callback, done_callback_base& self);
  static void target_ended(waiter_node& node, outcome_kind) noexcept;

  task_core* const target_;
  task_core* self_ = nullptr;  ///< the callback's own task
};

/// Starts a callback made with initial_parked, whose creator holds a handle. @throws runtime_closed, std::bad_alloc: its work is
/// destroyed then and its block freed
void start_done_callback(task_core& callback, done_callback_base& self);
/// True: it will not be called. The caller keeps both blocks; the callback was registered with this target.
bool remove_done_callback(task_core& target, task_core& callback) noexcept;

template <class T, class F>
inline constexpr bool takes_task = std::is_invocable_v<F, const task<T>&>;

/// A function that is called with the task has a handle of it; any other keeps but the block.
template <class T, class F>
class done_callback final : public done_callback_base {
 public:
  struct parts {
    const task<T>& target;
    F&& function;
  };
  explicit done_callback(parts&& from) : done_callback_base(task_access::core(from.target)), function_(std::move(from.function)) {
    if constexpr (takes_task<T, F>) target_ = from.target;
  }
  void operator()() noexcept {
    if (!claim()) return;
    try {
      if constexpr (takes_task<T, F>) {
        std::invoke(std::move(function_), std::as_const(target_));
      } else {
        std::invoke(std::move(function_));
      }
    } catch (...) {
      report_failure();
    }
  }

 private:
  struct nothing {};
  [[no_unique_address]] std::conditional_t<takes_task<T, F>, task<T>, nothing> target_;
  F function_;
};

template <class T, class F>
any_task make_done_callback(const task<T>& target, F&& function) {
  using callback = done_callback<T, F>;
  using callback_task = callable_task<runs_on::workers, callback>;
  task_core& core = callback_task::make(task_state::initial_parked, typename callback::parts{target, std::move(function)});
  start_done_callback(core, callback_task::callable_of(core));
  return task_access::adopt<any_result>(core);
}

}  // namespace sheaf::detail
