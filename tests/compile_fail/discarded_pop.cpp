// expect: ignoring return
#include <sheaf/sheaf.hpp>

sheaf::coro<> misuse(sheaf::queue<int>& items) {
#ifdef SHEAF_CONTROL
  static_cast<void>(items.pop());
#else
  items.pop();
#endif
  co_return;
}
