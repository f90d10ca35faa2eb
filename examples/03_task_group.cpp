// A task group: children are added as they are found, none outlives the group, and every failure is reported.
#include <sheaf/sheaf.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;

/// Walks an imaginary tree of two children per node. Children of the group add children to it; nobody needs their handles.
sheaf::coro<> visit(sheaf::task_group* group, std::atomic<int>* visited, int depth) {
  ++*visited;
  if (depth == 0) co_return;
  for (int child = 0; child < 2; ++child) static_cast<void>(group->spawn(visit, group, visited, depth - 1));
}

sheaf::coro<> patient(std::atomic<int>* stopped) {
  try {
    co_await sheaf::sleep_for(1h);
  } catch (const sheaf::cancelled&) {  // to clean up; whoever catches it passes it on
    ++*stopped;
    throw;
  }
}

sheaf::coro<> failing(std::string what) {
  co_await sheaf::sleep_for(1ms);
  throw std::runtime_error(what);
}

sheaf::coro<> run_groups() {
  // What children use outlives the group: it belongs to this function, not to the body.
  std::atomic<int> visited{0};
  auto walk = [&visited](sheaf::task_group& group) -> sheaf::coro<> {
    group.spawn(visit, &group, &visited, 10);
    co_return;
  };
  co_await sheaf::with_task_group(walk);
  std::printf("visited %d nodes\n", visited.load());

  // The first failure cancels the others; the group throws when the last of them has ended.
  std::atomic<int> stopped{0};
  auto fail = [&stopped](sheaf::task_group& group) -> sheaf::coro<> {
    group.spawn(patient, &stopped);
    group.spawn(patient, &stopped);
    group.spawn(failing, std::string("the third child failed"));
    co_return;
  };
  try {
    co_await sheaf::with_task_group(fail);
  } catch (const sheaf::exception_group& failures) {
    std::printf("%s; %d others were stopped\n", failures.what(), stopped.load());
  }
}

int main() { sheaf::run(run_groups()); }
