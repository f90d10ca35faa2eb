// expect: ignoring return
#include <sheaf/sheaf.hpp>

#include <chrono>
#include <vector>

sheaf::coro<> misuse(sheaf::mutex& door) {
#ifdef SHEAF_CONTROL
  static_cast<void>(door.lock());
#else
  door.lock();
#endif
  co_return;
}
