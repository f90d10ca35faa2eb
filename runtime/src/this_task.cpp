#include <sheaf/this_task.hpp>

#include <sheaf/detail/cancel_scope.hpp>
#include <sheaf/detail/context.hpp>

namespace sheaf {

detail::task_core& detail::running_task(const char* call) {
  task_core* const task = context().task;
  if (task == nullptr) throw invalid_state(std::string(call) + " was called outside a task");
  return *task;
}

void this_task::check_cancelled() {
  detail::task_core& task = detail::running_task("this_task::check_cancelled");
  if (!task.state.cancel_pending()) return;
  detail::cancel_scope::settle(task);
  detail::throw_cancelled(task);
}

}  // namespace sheaf
