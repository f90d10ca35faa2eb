#include <sheaf/detail/clock_access.hpp>

#include "runtime_core.hpp"

namespace sheaf::detail {

sync::nanoseconds runtime_now(const task_core& task) noexcept { return task.runtime->timers().now(); }
sync::nanoseconds runtime_now(runtime_core& runtime) noexcept { return runtime.timers().now(); }
void arm_timer(const task_core& task, timer& entry, sync::nanoseconds deadline) noexcept {
  task.runtime->timers().arm(entry, deadline);
}
bool disarm_timer(const task_core& task, timer& entry) noexcept { return task.runtime->timers().disarm(entry); }

}  // namespace sheaf::detail
