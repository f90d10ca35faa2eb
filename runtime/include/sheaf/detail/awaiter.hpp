#pragma once
/// @file
/// What a suspended task waits in. The awaiter lives in the waiting coroutine's frame (or in a task without a coroutine).
///
/// Waiting, for the author of an awaiter:
///   1. await_suspend(): set up everything, then `begin_wait(task, *this, handle)`, then register with the primitive. From then on
///      the primitive may call wake(task) at any time; the task is not resumed before its step has ended.
///   2. A cancel request leads to on_cancel(), called on the worker that then holds the task's `running`:
///        give_up  the registration is gone, nobody will wake this wait: the task resumes at once with cancelled() true
///        stay     the wake is on its way, or the request was passed on to owned children: the task stays suspended and
///                 resumes with cancelled() true when woken
///   3. await_resume(): if cancelled(), pass on what was granted, then `throw_cancelled()`.

#include <coroutine>
#include <vector>

namespace sheaf::detail {

class task_core;

enum class cancel_answer { give_up, stay };

/// For dump(): what is waited for.
struct wait_reason {
  const char* what = "";
  const task_core* target = nullptr;
};

class awaiter_base {
 public:
  awaiter_base() = default;
  awaiter_base(const awaiter_base&) = delete;
  awaiter_base& operator=(const awaiter_base&) = delete;

  [[nodiscard]] virtual cancel_answer on_cancel(task_core& self) noexcept = 0;
  [[nodiscard]] virtual wait_reason reason() const noexcept = 0;
  /// For dump(): adds the tasks that are waited for, beside the target of the reason. They need not be alive. @throws std::bad_alloc
  virtual void add_targets(std::vector<const task_core*>&) const {}

  [[nodiscard]] bool cancelled() const noexcept { return cancelled_; }
  void set_cancelled() noexcept { cancelled_ = true; }
  /// Where the coroutine goes on; null in a task without one.
  [[nodiscard]] std::coroutine_handle<> resume_point() const noexcept { return resume_point_; }
  void set_resume_point(std::coroutine_handle<> handle) noexcept { resume_point_ = handle; }

 protected:
  ~awaiter_base() = default;

 private:
  std::coroutine_handle<> resume_point_;  ///< under running of the waiting task
  bool cancelled_ = false;                ///< under running of the waiting task
};

}  // namespace sheaf::detail
