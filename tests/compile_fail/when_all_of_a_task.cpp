// expect: sheaf: when_all takes coros (as rvalues: std::move(c)), or one range of them; for tasks and callables use gather
#include <sheaf/gather.hpp>
#include <sheaf/when_all.hpp>

#include <utility>

sheaf::coro<int> value() { co_return 1; }

void misuse(sheaf::task<int> started) {
#ifdef SHEAF_CONTROL
  static_cast<void>(sheaf::gather(value(), std::move(started)));
#else
  static_cast<void>(sheaf::when_all(value(), std::move(started)));
#endif
}
