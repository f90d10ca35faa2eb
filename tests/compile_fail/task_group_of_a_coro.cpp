// expect: sheaf: with_task_group takes a coroutine function body(task_group&)
#include <sheaf/task_group.hpp>

sheaf::coro<> body(sheaf::task_group& group);
sheaf::coro<> without_a_group();

void misuse() {
#ifdef SHEAF_CONTROL
  static_cast<void>(sheaf::with_task_group(body));
#else
  static_cast<void>(sheaf::with_task_group(without_a_group()));
#endif
}
