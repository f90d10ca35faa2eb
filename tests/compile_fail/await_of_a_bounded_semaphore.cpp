// expect: sheaf: a semaphore itself is not awaited; write co_await s.acquire()
#include <sheaf/bounded_semaphore.hpp>
#include <sheaf/coro.hpp>

sheaf::coro<> misuse(sheaf::bounded_semaphore& seats) {
#ifdef SHEAF_CONTROL
  const sheaf::permit seat = co_await seats.acquire();
#else
  const sheaf::permit seat = co_await seats;
#endif
}
