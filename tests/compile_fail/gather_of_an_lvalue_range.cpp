// expect: sheaf: gather copies the results of lvalue tasks, and these cannot be copied: move the range in
#include <sheaf/gather.hpp>

#include <memory>
#include <utility>
#include <vector>

void misuse(std::vector<sheaf::task<std::unique_ptr<int>>> tasks) {
#ifdef SHEAF_CONTROL
  static_cast<void>(sheaf::gather(std::move(tasks)));
#else
  static_cast<void>(sheaf::gather(tasks));
#endif
}
