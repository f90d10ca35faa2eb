#pragma once
/// @file
/// The type-erased part of a task: it stands in front of the coroutine frame (or the callable), is the work item itself, and
/// outlives the frame until the last handle is dropped.
///
///   [ task_core | result_slot<T> | coroutine frame or callable ]      one allocation
///
/// Lifetime: the work (frame, parameters, callable, arguments) is destroyed on the thread that ended the task, before the outcome
/// is published; the block is freed by whoever drops the last claim on it (task_state I6).

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <sheaf/detail/awaiter.hpp>
#include <sheaf/detail/context.hpp>
#include <sheaf/detail/result.hpp>
#include <sheaf/detail/task_state.hpp>
#include <sheaf/detail/waiter_list.hpp>
#include <sheaf/errors.hpp>
#include <sheaf/work_item.hpp>

namespace sheaf::detail {

class runtime_core;
class task_core;
class cancel_scope;
struct task_extras;
struct fork_join;

/// What differs between kinds of tasks. Static tables; one per kind and type.
struct task_ops {
  /// The first step, and each further one of a task without a coroutine. Role: running.
  void (*run)(task_core&) noexcept;
  /// Destroys frame or callable, once. Role: running, or the creator of a task that was never posted.
  void (*destroy_work)(task_core&) noexcept;
  /// Destroys the outcome and frees the block.
  void (*destroy_block)(task_core&) noexcept;
  /// Destroys the outcome alone. Role: who dropped the last handle of a complete task (task_state I8).
  void (*destroy_outcome)(task_core&) noexcept;
  /// Of blocking calls: a second queue entry, to end the call while its first one waits for a thread.
  work_item* (*retire_item)(task_core&) noexcept = nullptr;
};

/// What the step that has just returned wants next. Written by the step, read by the loop that resumed it.
enum class step_end : std::uint8_t { suspended, finished, forked, yielded, transfer };

class alignas(std::max_align_t) task_core : public work_item {
 public:
  task_core(task_state::word initial, function entry, const task_ops& operations) noexcept
      : work_item(entry), state(initial), ops(&operations) {}

  task_state state;
  waiter_list waiters;
  runtime_core* runtime = nullptr;  ///< constant once started; valid until the task is complete
  const task_ops* ops;
  awaiter_base* awaiting = nullptr;  ///< under running: null before the first suspension
  cancel_scope* scopes = nullptr;    ///< under running: innermost first
  sync::atomic<task_extras*> extras{nullptr};
  union {
    sync::atomic<task_core*>* place = nullptr;  ///< constant once started: where the live tasks are kept
    std::uint64_t ended_on;                     ///< once complete: the number of the runtime
    fork_join* join;                            ///< of a when_all child, which is not kept there
  };
  sync::atomic<std::uint64_t> number{0};     ///< the id; 0: not given yet
  std::uint32_t born = 0;                    ///< constant once started: coarse milliseconds since the runtime began
  step_end after : 7 = step_end::suspended;  ///< under running
  bool started : 1 = false;                  ///< under running
  std::uint8_t : 0;
  bool forked : 1 = false;        ///< constant: a when_all child
  bool blocking : 1 = false;      ///< constant: runs on the blocking pool
  std::uint8_t ready_awaits = 0;  ///< under running: awaits in this step that did not suspend
  std::uint8_t transfers = 0;     ///< under running: symmetric transfers since the loop was last reached

  using work_item::set_run;
  /// Has been given to a runtime.
  [[nodiscard]] bool is_started() const noexcept { return runtime != nullptr; }
  [[nodiscard]] result_header& header() noexcept;
  [[nodiscard]] const result_header& header() const noexcept;
};

static_assert(sizeof(task_core) == 96, "a task with a small callable fits in two cache lines");

/// A core with its typed outcome.
template <class T>
struct task_block : task_core {
  using task_core::task_core;
  [[nodiscard]] result_slot<T>& slot() noexcept {
    return *reinterpret_cast<result_slot<T>*>(reinterpret_cast<std::byte*>(static_cast<task_core*>(this)) + sizeof(task_core));
  }
};

inline result_header& task_core::header() noexcept {
  return *reinterpret_cast<result_header*>(reinterpret_cast<std::byte*>(this) + sizeof(task_core));
}
inline const result_header& task_core::header() const noexcept { return const_cast<task_core*>(this)->header(); }

template <class T>
[[nodiscard]] result_slot<T>& slot_of(task_core& core) noexcept {
  return static_cast<result_slot<T>&>(core.header());
}

// ---- waiting, waking, cancelling --------------------------------------------------------------------------------------------

/// True: `node` will be notified once, when the task completes, perhaps before this returns. False: the task is complete. The caller
/// keeps the block alive until then.
[[nodiscard]] bool add_waiter(task_core& task, waiter_node& node) noexcept;
/// The same for a task that only its creator knows.
void add_first_waiter(task_core& task, waiter_node& node) noexcept;
/// Notifies nodes detached by close(). They may be gone afterwards.
void notify_all(waiter_node* nodes, outcome_kind ended_with) noexcept;

/// The task's step is about to end in `awaiter`; `handle` is resumed by the wake. Role: running.
inline void begin_wait(task_core& task, awaiter_base& awaiter, std::coroutine_handle<> handle) noexcept {
  task.awaiting = &awaiter;
  awaiter.set_resume_point(handle);
}

/// What `task` waited for has happened. Any thread to which the wait gave this duty; the task may be gone afterwards.
[[gnu::noinline]] void wake(task_core& task) noexcept;
/// The same for all but the first of several that are woken together, so that one worker runs them in the order they were woken in.
[[gnu::noinline]] void wake_behind(task_core& task) noexcept;

/// True: the request is recorded. The caller keeps the block alive. Runs cancel callbacks on this thread.
bool request_cancel(task_core& task, std::string_view reason) noexcept;

/// The request of `from` goes on to a child it owns, with its reason.
void pass_cancel_on(task_core& from, task_core& child) noexcept;

/// What throw_cancelled() throws.
[[nodiscard]] cancelled cancelled_of(task_core& task);
/// In the caller's frame, and with nothing to destroy: the unwinder costs by the frame and by each stop on the way.
[[noreturn, gnu::always_inline]] inline void throw_cancelled(task_core& task) { throw cancelled_of(task); }

/// An await was ready. False: the task has had its share of ready awaits in one step and must yield now. Role: running.
[[nodiscard]] inline bool may_skip_suspension(task_core& task) noexcept {
  constexpr std::uint8_t k_ready_awaits_per_step = 128;
  return ++task.ready_awaits < k_ready_awaits_per_step;
}
/// The step ends in `awaiter`, which is ready: the task goes behind the other runnable ones. Role: running.
inline void yield_in(task_core& task, awaiter_base& awaiter, std::coroutine_handle<> handle) noexcept {
  begin_wait(task, awaiter, handle);
  task.after = step_end::yielded;
}

/// Continues with `handle` from an await_suspend of `task`'s coroutine. g++ makes no tail call without optimisation or under a
/// sanitizer, so there every 64th transfer returns to the worker's loop.
[[nodiscard]] inline std::coroutine_handle<> hand_over(task_core& task, std::coroutine_handle<> handle) noexcept {
#if defined(__GNUC__) && !defined(__clang__)
  constexpr std::uint8_t k_transfers_on_one_stack = 64;
  if (++task.transfers >= k_transfers_on_one_stack) {
    task.transfers = 0;
    context().transfer_to = handle;
    task.after = step_end::transfer;
    return std::noop_coroutine();
  }
#else
  static_cast<void>(task);
#endif
  return handle;
}

// ---- handles ----------------------------------------------------------------------------------------------------------------

[[gnu::noinline]] void drop_handle(task_core& task) noexcept;
[[gnu::noinline]] void drop_reference(task_core& task) noexcept;

// ---- what a handle shows ----------------------------------------------------------------------------------------------------

[[nodiscard]] std::uint64_t id_of(task_core& task) noexcept;
[[nodiscard]] std::string name_of(task_core& task);
void set_name_of(task_core& task, std::string_view name);
[[nodiscard]] std::string cancel_reason_of(task_core& task);
/// "'name'" or "#id", for messages.
[[nodiscard]] std::string label_of(task_core& task);
/// "file:line" of spawn_options::where; empty if it was not given.
[[nodiscard]] std::string place_of(task_core& task);
/// The label, and the place in brackets if it is known.
[[nodiscard]] std::string label_and_place_of(task_core& task);

/// Throws what the outcome of a complete task says, unless it is a value: its error, or task_cancelled. Marks it observed.
void throw_unless_value(task_core& task);
[[noreturn]] void throw_task_cancelled(task_core& task);
[[noreturn]] void throw_not_complete(task_core& task, const char* call);

}  // namespace sheaf::detail
