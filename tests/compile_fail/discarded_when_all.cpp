// expect: ignoring return
#include <sheaf/sheaf.hpp>

#include <chrono>
#include <vector>

sheaf::coro<int> value() { co_return 1; }

sheaf::coro<> misuse() {
#ifdef SHEAF_CONTROL
  static_cast<void>(sheaf::when_all(value(), value()));
#else
  sheaf::when_all(value(), value());
#endif
  co_return;
}
