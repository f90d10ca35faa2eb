// expect: sheaf: race takes tasks, coros (as rvalues: std::move(c)) and callables, or one range of them
#include <sheaf/race.hpp>

sheaf::coro<int> value() { co_return 1; }

void misuse() {
#ifdef SHEAF_CONTROL
  static_cast<void>(sheaf::race(value(), value()));
#else
  static_cast<void>(sheaf::race(value(), 42));
#endif
}
