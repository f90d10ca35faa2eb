// expect: sheaf: spawn takes a coro (as an rvalue: std::move(c)), a coroutine function or a callable
#include <sheaf/spawn.hpp>

int number() { return 42; }

void misuse() {
#ifdef SHEAF_CONTROL
  sheaf::spawn(number);
#else
  sheaf::spawn(number());
#endif
}
