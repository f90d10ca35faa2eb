// expect: ignoring return
#include <sheaf/sheaf.hpp>

#include <chrono>
#include <vector>

sheaf::coro<int> value() { co_return 1; }

sheaf::coro<> misuse(const std::vector<sheaf::task<int>>& tasks) {
#ifdef SHEAF_CONTROL
  static_cast<void>(sheaf::as_completed(tasks));
#else
  sheaf::as_completed(tasks);
#endif
  co_return;
}
