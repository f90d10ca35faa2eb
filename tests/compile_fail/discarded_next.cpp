// expect: ignoring return
#include <sheaf/sheaf.hpp>

#include <chrono>
#include <vector>

sheaf::coro<int> value() { co_return 1; }

sheaf::coro<> misuse(sheaf::completion_stream<int>& stream) {
#ifdef SHEAF_CONTROL
  static_cast<void>(stream.next());
#else
  stream.next();
#endif
  co_return;
}
