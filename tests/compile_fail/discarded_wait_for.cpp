// expect: ignoring return
#include <sheaf/sheaf.hpp>

#include <chrono>
#include <vector>

sheaf::coro<int> value() { co_return 1; }

sheaf::coro<> misuse() {
#ifdef SHEAF_CONTROL
  static_cast<void>(sheaf::wait_for(value(), std::chrono::seconds(1)));
#else
  sheaf::wait_for(value(), std::chrono::seconds(1));
#endif
  co_return;
}
