// expect: sheaf: gather takes tasks, coros (as rvalues: std::move(c)) and callables, or one range of them
#include <sheaf/gather.hpp>

#include <utility>

void misuse(sheaf::coro<int> work) {
#ifdef SHEAF_CONTROL
  static_cast<void>(sheaf::gather(sheaf::return_exceptions, std::move(work)));
#else
  static_cast<void>(sheaf::gather(sheaf::return_exceptions, work));
#endif
}
