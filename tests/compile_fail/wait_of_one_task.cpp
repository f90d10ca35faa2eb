// expect: sheaf: wait takes a range of tasks, which it can give back in `done`: spawn coros first
// WAIT-05
#include <sheaf/wait.hpp>

void misuse(sheaf::task<int> one) {
#ifdef SHEAF_CONTROL
  static_cast<void>(sheaf::wait({.return_when = sheaf::first_completed}, one));
#else
  sheaf::wait(one, {.return_when = sheaf::first_completed});
#endif
}
