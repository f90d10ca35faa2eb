// expect: co_await it, or nothing sleeps
#include <sheaf/sheaf.hpp>

#include <chrono>
#include <vector>

sheaf::coro<int> value() { co_return 1; }

sheaf::coro<> misuse() {
#ifdef SHEAF_CONTROL
  static_cast<void>(sheaf::sleep_for(std::chrono::seconds(1)));
#else
  sheaf::sleep_for(std::chrono::seconds(1));
#endif
  co_return;
}
