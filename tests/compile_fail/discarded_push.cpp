// expect: ignoring return
#include <sheaf/sheaf.hpp>

sheaf::coro<> misuse(sheaf::queue<int>& items) {
#ifdef SHEAF_CONTROL
  static_cast<void>(items.push(1));
#else
  items.push(1);
#endif
  co_return;
}
