// expect: ignoring return
#include <sheaf/task_group.hpp>

sheaf::coro<> body(sheaf::task_group&) { co_return; }

sheaf::coro<> misuse() {
#ifdef SHEAF_CONTROL
  static_cast<void>(sheaf::with_task_group(body));
#else
  sheaf::with_task_group(body);
#endif
  co_return;
}
