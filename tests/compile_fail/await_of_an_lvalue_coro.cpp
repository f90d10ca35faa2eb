// expect: sheaf: a coro is awaited once and by value; write co_await std::move(c)
#include <sheaf/coro.hpp>

#include <utility>

sheaf::coro<int> misuse(sheaf::coro<int> work) {
#ifdef SHEAF_CONTROL
  co_return co_await std::move(work);
#else
  co_return co_await work;
#endif
}
