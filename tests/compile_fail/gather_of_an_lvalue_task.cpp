// expect: sheaf: gather copies the result of an lvalue task, and this one cannot be copied: move the task in
#include <sheaf/gather.hpp>

#include <memory>
#include <utility>

void misuse(sheaf::task<std::unique_ptr<int>> task) {
#ifdef SHEAF_CONTROL
  static_cast<void>(sheaf::gather(std::move(task)));
#else
  static_cast<void>(sheaf::gather(task));
#endif
}
