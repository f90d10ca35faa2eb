// expect: sheaf: as_completed takes a range of tasks, coros or callables; for one task, co_await it
// ASCOMP-15
#include <sheaf/as_completed.hpp>

#include <vector>

sheaf::coro<int> value() { co_return 1; }

void misuse() {
#ifdef SHEAF_CONTROL
  std::vector<sheaf::task<int>> tasks;
  tasks.push_back(sheaf::spawn(value()));
  auto stream = sheaf::as_completed(tasks);
#else
  auto one = sheaf::spawn(value());
  sheaf::as_completed(one);
#endif
}
