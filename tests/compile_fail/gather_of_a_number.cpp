// expect: sheaf: gather takes tasks, coros (as rvalues: std::move(c)) and callables, or one range of them
// GATHER-24
#include <sheaf/gather.hpp>

sheaf::coro<int> value() { co_return 1; }

void misuse() {
#ifdef SHEAF_CONTROL
  static_cast<void>(sheaf::gather(value()));
#else
  static_cast<void>(sheaf::gather(value(), 42));
#endif
}
