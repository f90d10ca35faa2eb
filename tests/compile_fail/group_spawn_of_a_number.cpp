// expect: sheaf: spawn takes a coro (as an rvalue: std::move(c)), a coroutine function or a callable
#include <sheaf/task_group.hpp>

int number() { return 42; }

sheaf::coro<> misuse(sheaf::task_group& group) {
#ifdef SHEAF_CONTROL
  group.spawn(number);
#else
  group.spawn(number());
#endif
  co_return;
}
