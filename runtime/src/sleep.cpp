#include <sheaf/sleep.hpp>

#include "runtime_core.hpp"

namespace sheaf::detail {

void sleep_base::suspend(task_core& self, std::coroutine_handle<> handle) noexcept {
  entry_.self = &self;
  timer_queue& timers = self.runtime->timers();
  if (how_ == kind::lasting) {
    if (when_ <= 0) return yield_in(self, *this, handle);
    when_ = saturating_add(timers.now(), when_);
  }
  begin_wait(self, *this, handle);
  timers.arm(entry_, when_);
}

cancel_answer sleep_base::on_cancel(task_core& self) noexcept {
  return self.runtime->timers().disarm(entry_) ? cancel_answer::give_up : cancel_answer::stay;
}

}  // namespace sheaf::detail
