#pragma once
/// @file
/// What few tasks have: a name, a cancel reason, cancel callbacks, values of task_local variables. Made on first use, freed with the block.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <sheaf/cancel_token.hpp>
#include <sheaf/detail/task_core.hpp>

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
  cancel_callback_base* callbacks = nullptr;  ///< under lock
  local_table locals;                         ///< under running; null: none of its own
};

/// Any thread that keeps the block alive. May throw std::bad_alloc.
[[nodiscard]] task_extras& extras_of(task_core& task);
/// Null when there are none yet.
[[nodiscard]] inline task_extras* find_extras(task_core& task) noexcept {
  return task.extras.load(sync::acquire);  // order: acquire sees the made object; peer: release in extras_of()
}

}  // namespace sheaf::detail
