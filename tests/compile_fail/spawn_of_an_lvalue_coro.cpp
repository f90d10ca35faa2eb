// expect: sheaf: spawn takes a coro (as an rvalue: std::move(c)), a coroutine function or a callable
#include <sheaf/spawn.hpp>

#include <utility>

void misuse(sheaf::coro<> work) {
#ifdef SHEAF_CONTROL
  sheaf::spawn(std::move(work));
#else
  sheaf::spawn(work);
#endif
}
