#pragma once
/// @file
/// cancel_token: how work that cannot be interrupted learns that it has been asked to stop.

#include <cstdint>
#include <type_traits>
#include <utility>

#include <sheaf/detail/sync.hpp>
#include <sheaf/detail/task_core.hpp>

namespace sheaf {

namespace detail {

/// A registered callback.
///
///   idle --attach--> registered --(canceller)--> claimed --> running --> done
///                        |detach: unlinked          |detach by the canceller: unlinked
/// C1  Links and `claimed_by_` are under the lock of the task's extras. A canceller records its request and claims what is registered in
///     one section under that lock; invoke() runs outside it, once, on that thread.
/// C2  detach() on another thread waits until a claimed callback has run, so none that was there when the request came is missed. On the
///     canceller's own thread, which is within a callback, it returns at once, and the canceller does not touch the object again.
/// C3  attach() to a task that has been asked to stop returns after the callback, whoever runs it.
/// C4  The request of a scope (a deadline, a failing group) is for what lies within: it claims what was registered since the scope opened.
class cancel_callback_base {
 public:
  cancel_callback_base(const cancel_callback_base&) = delete;
  cancel_callback_base& operator=(const cancel_callback_base&) = delete;

 protected:
  using function = void (*)(cancel_callback_base&) noexcept;
  explicit cancel_callback_base(function invoke) noexcept : invoke_(invoke) {}
  ~cancel_callback_base() = default;
  enum class runs_at_once_if { requested, pending };
  /// Registers with the task, which the caller keeps alive; runs at once if the task has been asked to stop already, or only if it has
  /// not seen the request yet.
  void attach(task_core& task, runs_at_once_if what = runs_at_once_if::requested);
  void detach() noexcept;

 private:
  friend class claimed_callbacks;

  void link(cancel_callback_base*& first) noexcept;
  void unlink() noexcept;
  [[nodiscard]] bool is_linked() const noexcept { return slot_ != nullptr; }

  function invoke_;
  task_core* task_ = nullptr;
  cancel_callback_base** slot_ = nullptr;  ///< the pointer that leads here, in the task's list or in the canceller's
  cancel_callback_base* next_ = nullptr;
  std::uint64_t number_ = 0;          ///< counted in the order of registration
  const void* claimed_by_ = nullptr;  ///< the cancelling thread's context, until the callback has run
  bool* gone_ = nullptr;              ///< where the canceller learns that the callback destroyed its registration
  sync::parker done_;
};

/// A callback for requests that the task has not seen yet: ends a wait of that task itself.
template <class F>
class pending_cancel_registration final : cancel_callback_base {
 public:
  pending_cancel_registration(task_core* task, const F& callback) : cancel_callback_base(&invoke), callback_(callback) {
    if (task != nullptr) attach(*task, runs_at_once_if::pending);
  }
  ~pending_cancel_registration() { detach(); }

 private:
  static void invoke(cancel_callback_base& base) noexcept { static_cast<pending_cancel_registration&>(base).callback_(); }
  F callback_;
};

}  // namespace detail

/// Keeps a callback registered while it lives.
///
/// @par Threads       destroyed on any thread; waits there for the callback if another one is about to run it, or at it, and returns at
///                    once within a callback of the same request
/// @par Lifetime      keeps the task's block alive; what the callback refers to must outlive it
/// @par Cancellation  the callback runs once, on the cancelling thread, outside locks, also when the task is gone before: its frame waits
/// @throws std::bad_alloc  from the constructor: the task has no callbacks yet
/// @par Cost          no allocation after the task's first callback; a lock to register and to leave
template <class F>
class [[nodiscard]] cancel_registration final : detail::cancel_callback_base {
 public:
  template <class G>
  cancel_registration(detail::task_core* task, G&& callback)
      : cancel_callback_base(&invoke), callback_(std::forward<G>(callback)) {
    if (task != nullptr) attach(*task);
  }
  ~cancel_registration() { detach(); }

 private:
  static void invoke(cancel_callback_base& base) noexcept { std::move(static_cast<cancel_registration&>(base).callback_)(); }
  F callback_;
};

/// A copyable view of one task's cancel requests.
///
/// @par Threads       different copies may be used on different threads
/// @par Lifetime      keeps the task's block, not its work, alive
/// @par Cancellation  shows requests and delivers none, throw_if_requested() included; uncancel() takes them back here, too
/// @throws nothing but what a member names
/// @par Cost          a copy is one atomic addition; requested() one atomic load
class cancel_token {
 public:
  /// Never requested.
  cancel_token() noexcept = default;
  explicit cancel_token(detail::task_core& task) noexcept : task_(&task) { task.state.add_reference(); }
  cancel_token(const cancel_token& other) noexcept : task_(other.task_) {
    if (task_ != nullptr) task_->state.add_reference();
  }
  cancel_token(cancel_token&& other) noexcept : task_(std::exchange(other.task_, nullptr)) {}
  cancel_token& operator=(cancel_token other) noexcept {
    std::swap(task_, other.task_);
    return *this;
  }
  ~cancel_token() {
    if (task_ != nullptr) detail::drop_reference(*task_);
  }

  /// A cancel request stands. What the canceller did before happens before a true answer.
  [[nodiscard]] bool requested() const noexcept {
    return task_ != nullptr && (task_->state.requests() != 0 || task_->state.cancel_pending());
  }
  [[nodiscard]] bool stop_requested() const noexcept { return requested(); }
  [[nodiscard]] bool stop_possible() const noexcept { return task_ != nullptr; }
  /// @throws cancelled when requested()
  void throw_if_requested() const {
    if (requested()) detail::throw_cancelled(*task_);
  }
  /// Runs `callback()` once when the task is asked to stop: on the cancelling thread, or before this returns if it has been. It must
  /// not throw. A deadline or a failing group of the task asks only what was registered since its scope was opened. The registration is
  /// removed when the returned object goes. @throws std::bad_alloc
  template <class F>
    requires std::is_invocable_v<std::decay_t<F>&&>
  [[nodiscard]] cancel_registration<std::decay_t<F>> on_cancel(F&& callback) const {
    return cancel_registration<std::decay_t<F>>(task_, std::forward<F>(callback));
  }

  [[nodiscard]] bool operator==(const cancel_token&) const noexcept = default;

 private:
  friend class stop_ref;
  detail::task_core* task_ = nullptr;
};

}  // namespace sheaf
