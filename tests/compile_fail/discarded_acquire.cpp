// expect: ignoring return
#include <sheaf/sheaf.hpp>

#include <chrono>
#include <vector>

sheaf::coro<int> value() { co_return 1; }

sheaf::coro<> misuse(sheaf::semaphore& seats) {
#ifdef SHEAF_CONTROL
  static_cast<void>(seats.acquire());
#else
  seats.acquire();
#endif
  co_return;
}
