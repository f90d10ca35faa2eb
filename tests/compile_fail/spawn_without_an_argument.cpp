// expect: sheaf: spawn takes a coro (as an rvalue: std::move(c)), a coroutine function or a callable, then the arguments it is called with
#include <sheaf/runtime.hpp>

sheaf::coro<int> sum(int left, int right) { co_return left + right; }

void misuse(sheaf::runtime& runtime) {
#ifdef SHEAF_CONTROL
  runtime.spawn(sheaf::spawn_options{.name = "sum"}, sum, 1, 2);
#else
  runtime.spawn(sheaf::spawn_options{.name = "sum"}, sum, 1);
#endif
}
