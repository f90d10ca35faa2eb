#include <sheaf/wait_for.hpp>

#include <exception>

namespace sheaf::detail {

sync::nanoseconds limit_or_point::deadline(const task_core& task) const noexcept {
  if (value == sync::k_forever) return value;
  return relative ? saturating_add(runtime_now(task), value) : value;
}

bool limited_wait::suspend(task_core& self, std::coroutine_handle<> handle, task_core& target, sync::nanoseconds deadline) {
  if (&self == &target) throw invalid_state("task " + label_of(self) + " waits for itself");
  self_ = node_.self = &self;
  target_ = &target;
  if (target.state.is_complete()) {
    if (may_skip_suspension(self)) return false;
    yield_in(self, *this, handle);
    return true;
  }
  begin_wait(self, *this, handle);
  if (!add_waiter(target, node_)) return false;
  if (deadline <= runtime_now(self)) {
    stage_.store(request_cancel(target, "timed out") ? stage::asked : stage::late, sync::relaxed);
  } else if (deadline != sync::k_forever) {
    armed_ = true;
    arm_timer(self, timer_, deadline);
  }
  return true;
}

void limited_wait::expiry::fired(timer& base) noexcept {
  limited_wait& wait = *static_cast<expiry&>(base).wait;
  const bool asked = request_cancel(*wait.target_, "timed out");
  // order: release: nothing here is touched afterwards; peer: acquire in finish().
  wait.stage_.store(asked ? stage::asked : stage::late, sync::release);
}

void limited_wait::finish() {
  if (armed_ && !disarm_timer(*self_, timer_)) {
    // order: acquire, peer: release in fired(), which may still be on its way.
    for (unsigned spins = 0; stage_.load(sync::acquire) == stage::waiting; ++spins) sync::spin_wait(spins);
  }
  if (cancelled()) throw_cancelled(*self_);
  if (stage_.load(sync::relaxed) == stage::asked && target_->header().kind == outcome_kind::cancelled) throw_timeout(target_);
}

cancel_answer limited_wait::on_cancel(task_core& self) noexcept {
  pass_cancel_on(self, *target_);
  return cancel_answer::stay;
}

void throw_timeout(task_core* ended_cancelled) {
  if (ended_cancelled == nullptr) throw timeout_error("wait_for: the limit had passed before the work started");
  ended_cancelled->state.mark_observed();
  try {
    throw_task_cancelled(*ended_cancelled);
  } catch (...) {
    std::throw_with_nested(timeout_error("wait_for: task " + label_of(*ended_cancelled) + " timed out"));
  }
}

}  // namespace sheaf::detail
