#pragma once
/// @file
/// What few tasks have: a name, a cancel reason, values of task_local variables and the like. Made on first use, freed with the block.

#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <vector>

#include <sheaf/cancel_token.hpp>
#include <sheaf/detail/task_core.hpp>

#include "stop_link.hpp"

namespace sheaf::detail {

/// A value of a task_local variable.
struct local_slot {
  std::uint64_t key;
  std::shared_ptr<const void> value;
};
using local_table = std::shared_ptr<const std::vector<local_slot>>;

struct task_extras {
  sync::mutex lock;
  std::string name;                           ///< under lock
  std::string reason;                         ///< under lock: of the latest cancel() that gave one
  cancel_callback_base* callbacks = nullptr;  ///< under lock; newest first
  std::uint64_t callbacks_made = 0;           ///< under lock: how many there have been
  local_table locals;                         ///< under running; null: none of its own
  std::optional<stop_link> stop;              ///< constant once started
  std::source_location where;                 ///< constant once started; line 0: unknown
};

/// Any thread that keeps the block alive. May throw std::bad_alloc.
[[nodiscard]] task_extras& extras_of(task_core& task);
/// Null when there are none yet.
[[nodiscard]] inline task_extras* find_extras(task_core& task) noexcept {
  return task.extras.load(sync::acquire);  // order: acquire sees the made object; peer: release in extras_of()
}

[[gnu::cold, gnu::noinline]] void end_extras_of(task_core& task) noexcept;
/// What must not outlive the task's work goes: values of task_local variables, the tie to a stop token. Role: running.
[[gnu::always_inline]] inline void end_extras(task_core& task) noexcept {
  if (task.extras.load(sync::relaxed) != nullptr) [[unlikely]]
    end_extras_of(task);
}

}  // namespace sheaf::detail
