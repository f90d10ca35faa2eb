#include <sheaf/sleep.hpp>

#include "runtime_core.hpp"

namespace sheaf::detail {

void sleep_base::suspend(task_core& self, std::coroutine_handle<> handle) noexcept {
  entry_.self = &self;
  timer_queue& timers = self.runtime->timers();
  sync::nanoseconds deadline = when();
  if (how_ == kind::lasting) {
    if (deadline <= 0) return yield_in(self, *this, handle);
    deadline = saturating_add(timers.now(), deadline);
  }
  begin_wait(self, *this, handle);
  timers.arm(entry_, deadline);
}

cancel_answer sleep_base::on_cancel(task_core& self) noexcept {
  return self.runtime->timers().disarm(entry_) ? cancel_answer::give_up : cancel_answer::stay;
}

void sleep_awaiter<void>::get() && { await_in_task<sleep_awaiter>(how(), when()).get(); }

}  // namespace sheaf::detail
