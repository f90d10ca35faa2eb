#pragma once
/// @file
/// Fork-join: a task waits for children that nobody else refers to. The structured core under when_all.
///
///   parent: running --fork--> idle in this awaiter --last arrival--> running
///
/// F1  The parent is not resumed before `remaining` is zero: until then the join, the awaiter and all child blocks are alive.
/// F2  Whoever takes `remaining` to zero resumes the parent; nobody touches the join after its own arrivals have been taken off.
/// F3  A canceller that walks the children holds one count of its own.
/// F4  The first child that fails cancels the others before its own arrival, unless they have been asked to stop already: one cause
///     makes one request.
/// F5  A worker tells the join of several children at once. It keeps arrivals back while it runs other children of the same join, or
///     theirs, and nothing else: the join waits for those anyway.

#include <cstdint>
#include <span>

#include <sheaf/detail/task_core.hpp>

namespace sheaf::detail {

/// The children and their join. Lives in the parent's frame.
struct fork_join : awaiter_base {
  /// Children made with task_state::initial_forked, not yet started; at least one. The array outlives the join.
  explicit fork_join(const char* what) noexcept : what_(what) {}

  std::span<task_core* const> children;
  task_core* parent = nullptr;
  sync::atomic<std::uint32_t> remaining{0};
  sync::atomic<task_core*> first_failure{nullptr};

  /// From the parent's await_suspend, which then returns to the loop; the children start when the parent's step has ended.
  void fork(task_core& self, std::coroutine_handle<> handle, std::span<task_core* const> made) noexcept;
  /// From await_resume: throws the parent's own cancel, or what the first failed child threw.
  void throw_unless_joined();

  cancel_answer on_cancel(task_core& self) noexcept final;
  wait_reason reason() const noexcept final { return {what_, nullptr}; }

  /// Asks the other children to stop, unless the parent has been asked and has passed that on. Role: `failed`, before its arrival (F4).
  void cancel_siblings(const task_core& failed) noexcept;

 protected:
  ~fork_join() = default;

 private:
  const char* what_;
  sync::atomic<bool> asked_{false};  ///< the children have been asked to stop
};

/// Prepares a child made by make_core(..., initial_forked, &run_forked).
void prepare_child(task_core& child, task_core& parent, fork_join& join) noexcept;
/// The parent has read the child's outcome.
void release_child(task_core& child) noexcept;

}  // namespace sheaf::detail
