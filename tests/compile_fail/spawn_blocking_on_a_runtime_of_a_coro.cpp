// expect: sheaf: spawn_blocking takes a plain callable and its arguments; a coroutine must not block, use spawn for it
#include <sheaf/runtime.hpp>

sheaf::coro<int> value() { co_return 1; }

void misuse(sheaf::runtime& runtime) {
#ifdef SHEAF_CONTROL
  runtime.spawn(value());
#else
  runtime.spawn_blocking(value());
#endif
}
