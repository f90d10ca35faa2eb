#pragma once
/// @file
/// Where a task keeps the values of task_local variables: a table in its extras, immutable, shared by those that inherited it.
///
/// V1  A task's table is read and replaced under its running. A child of when_all without one of its own reads its parent's, which is
///     suspended meanwhile.
/// V2  A task inherits before anybody else knows it, and drops its table with its work, before its outcome is published.

#include <sheaf/detail/task_core.hpp>

#include "this_thread.hpp"

namespace sheaf::detail {

[[gnu::noinline]] void inherit_locals_from(task_core& parent, task_core& child);

/// The running task, if it may have values; else null.
[[gnu::always_inline]] inline task_core* parent_with_locals(const thread_context& here) noexcept {
  task_core* const parent = here.task;
  if (parent == nullptr || (parent->extras.load(sync::relaxed) == nullptr && !parent->forked)) [[likely]]
    return nullptr;
  return parent;
}
/// The running task's values go on to one that it starts. Once is enough: a second time does nothing. @throws std::bad_alloc
[[gnu::always_inline]] inline void inherit_locals(const thread_context& here, task_core& child) {
  if (task_core* const parent = parent_with_locals(here)) [[unlikely]]
    inherit_locals_from(*parent, child);
}

}  // namespace sheaf::detail
