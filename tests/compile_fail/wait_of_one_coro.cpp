// expect: sheaf: wait takes a range of tasks, which it can give back in `done`: spawn coros first
#include <sheaf/wait.hpp>

sheaf::coro<int> value() { co_return 1; }

void misuse() {
#ifdef SHEAF_CONTROL
  static_cast<void>(sheaf::wait({}, sheaf::spawn(value())));
#else
  sheaf::wait(value());
#endif
}
