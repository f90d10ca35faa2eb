// expect: ignoring return
#include <sheaf/sheaf.hpp>

#include <chrono>
#include <vector>

sheaf::coro<int> value() { co_return 1; }

sheaf::coro<> misuse() {
#ifdef SHEAF_CONTROL
  static_cast<void>(sheaf::gather(value(), value()));
#else
  sheaf::gather(value(), value());
#endif
  co_return;
}
