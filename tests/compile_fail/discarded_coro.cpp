// expect: a coro does nothing until it is awaited or spawned
#include <sheaf/sheaf.hpp>

#include <chrono>
#include <vector>

sheaf::coro<int> value() { co_return 1; }

sheaf::coro<> misuse() {
#ifdef SHEAF_CONTROL
  static_cast<void>(value());
#else
  value();
#endif
  co_return;
}
