#include <sheaf/detail/wait_queue.hpp>

namespace sheaf::detail {

void grants::wake_all() noexcept {
  queued_awaiter* granted = first_;
  for (auto* wake_one = &wake; granted != nullptr; wake_one = &wake_behind) {
    queued_awaiter* const next = granted->next_;
    wake_one(*granted->self_);  // the awaiter may be gone now
    granted = next;
  }
}

}  // namespace sheaf::detail
