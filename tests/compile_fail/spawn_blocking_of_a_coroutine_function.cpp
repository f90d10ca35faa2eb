// expect: sheaf: spawn_blocking takes a plain callable and its arguments; a coroutine must not block, use spawn for it
#include <sheaf/spawn.hpp>

sheaf::coro<int> value() { co_return 1; }

void misuse() {
#ifdef SHEAF_CONTROL
  sheaf::spawn(value);
#else
  sheaf::spawn_blocking(value);
#endif
}
