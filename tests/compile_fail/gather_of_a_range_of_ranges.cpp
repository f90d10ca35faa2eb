// expect: sheaf: gather takes tasks, coros (as rvalues: std::move(c)) and callables, or one range of them
// PROGRAM-72
#include <sheaf/gather.hpp>

#include <utility>
#include <vector>

void misuse(std::vector<std::vector<sheaf::coro<int>>> work) {
#ifdef SHEAF_CONTROL
  static_cast<void>(sheaf::gather(std::move(work.front())));
#else
  static_cast<void>(sheaf::gather(std::move(work)));
#endif
}
