// expect: sheaf: a range of coros is consumed; write when_all(std::move(range))
#include <sheaf/when_all.hpp>

#include <utility>
#include <vector>

void misuse(std::vector<sheaf::coro<int>> work) {
#ifdef SHEAF_CONTROL
  static_cast<void>(sheaf::when_all(std::move(work)));
#else
  static_cast<void>(sheaf::when_all(work));
#endif
}
