// expect: sheaf: a semaphore itself is not awaited; write co_await s.acquire()
#include <sheaf/coro.hpp>
#include <sheaf/semaphore.hpp>

sheaf::coro<> misuse(sheaf::semaphore& seats) {
#ifdef SHEAF_CONTROL
  const sheaf::permit seat = co_await seats.acquire();
#else
  const sheaf::permit seat = co_await seats;
#endif
}
