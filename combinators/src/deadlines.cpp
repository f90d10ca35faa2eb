#include <sheaf/wait.hpp>

#include <sheaf/detail/clock_access.hpp>

namespace sheaf::detail {

sync::nanoseconds deadline_for(const task_core& task, const time_limit& limit) noexcept {
  return limit.unlimited() ? sync::k_forever : saturating_add(runtime_now(task), limit.nanoseconds());
}

sync::nanoseconds deadline_from_now(runtime_core& runtime, const time_limit& limit) noexcept {
  return limit.unlimited() ? sync::k_forever : saturating_add(runtime_now(runtime), limit.nanoseconds());
}

}  // namespace sheaf::detail
