// expect: sheaf: a mutex itself is not awaited; write co_await m.lock() or guard held = co_await m.scoped_lock()
#include <sheaf/coro.hpp>
#include <sheaf/mutex.hpp>

sheaf::coro<> misuse(sheaf::mutex& door) {
#ifdef SHEAF_CONTROL
  const sheaf::guard held = co_await door.scoped_lock();
#else
  co_await door;
#endif
}
