// expect: sheaf: wait takes a range of tasks, which it can give back in `done`: spawn coros first
// WAIT-05, PROGRAM-02
#include <sheaf/wait.hpp>

#include <vector>

void misuse(std::vector<sheaf::coro<int>> work, std::vector<sheaf::task<int>> tasks) {
#ifdef SHEAF_CONTROL
  static_cast<void>(sheaf::wait(tasks));
#else
  sheaf::wait(work);
#endif
}
