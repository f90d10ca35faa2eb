#include <sheaf/timeout.hpp>

#include <exception>
#include <utility>

#include <fmt/format.h>

#include <sheaf/detail/assert.hpp>

namespace sheaf {

namespace detail {

void timeout_core::open(task_core& self, sync::nanoseconds deadline) noexcept {
  task_ = &self;
  scope_.open(self);
  bool passed = false;
  {
    const sync::lock_guard guard(lock_);
    deadline_ = deadline;
    passed = arm();
  }
  if (passed) scope_.fire();
}

bool timeout_core::arm() noexcept {
  if (deadline_ == sync::k_forever) return false;
  if (deadline_ <= runtime_now(*task_)) {
    phase_ = phase::expiring;
    return true;
  }
  kept_while_armed_ = shared_from_this();
  arm_timer(*task_, timer_, deadline_);
  return false;
}

void timeout_core::expiry::fired(timer& base) noexcept {
  timeout_core& core = *static_cast<expiry&>(base).core;
  std::shared_ptr<timeout_core> keep;
  {
    const sync::lock_guard guard(core.lock_);
    keep = std::move(core.kept_while_armed_);
    if (core.phase_ != phase::active) return;  // it has ended just now
    core.phase_ = phase::expiring;
  }
  core.scope_.fire();
}

void timeout_core::reschedule(sync::nanoseconds when, bool from_now) {
  std::shared_ptr<timeout_core> disarmed;
  bool passed = false;
  {
    const sync::lock_guard guard(lock_);
    // A timer that cannot be disarmed is about to expire the scope.
    const bool firing = phase_ == phase::active && kept_while_armed_ && !disarm_timer(*task_, timer_);
    if (phase_ != phase::active || firing) {
      const char* const state = phase_ == phase::finished ? "finished" : phase_ == phase::expired ? "expired" : "expiring";
      throw invalid_state(std::string("timeout_scope::reschedule: the scope is ") + state);
    }
    disarmed = std::move(kept_while_armed_);
    deadline_ = from_now && when != sync::k_forever ? saturating_add(runtime_now(*task_), when) : when;
    passed = arm();
  }
  if (passed) scope_.fire();
}

bool timeout_core::end() noexcept {
  std::shared_ptr<timeout_core> disarmed;
  {
    const sync::lock_guard guard(lock_);
    // Several deadlines at one instant fire one after the other, and the task may be here after the first.
    const bool passed = phase_ != phase::active || (kept_while_armed_ && deadline_ <= runtime_now(*task_));
    if (kept_while_armed_ && disarm_timer(*task_, timer_)) disarmed = std::move(kept_while_armed_);
    phase_ = passed ? phase::expired : phase::finished;
  }
  return scope_.close();
}

sync::nanoseconds timeout_core::deadline() const noexcept {
  const sync::lock_guard guard(lock_);
  return deadline_;
}

timeout_core::phase timeout_core::now() const noexcept {
  const sync::lock_guard guard(lock_);
  return phase_;
}

timeout_owner::timeout_owner(task_core& self, sync::nanoseconds deadline) : core_(std::make_shared<timeout_core>()) {
  core_->open(self, deadline);
}

void throw_timeout_from_cancelled() { std::throw_with_nested(timeout_error("with_timeout: the time is over")); }

}  // namespace detail

std::string to_string(const timeout_scope& scope) {
  const auto when = scope.when();
  switch (scope.core_->now()) {
    case detail::timeout_core::phase::active:
      if (!when) return "active without a deadline";
      return fmt::format("active until {:.3f} s", std::chrono::duration<double>(when->time_since_epoch()).count());
    case detail::timeout_core::phase::expiring:
      return "expiring";
    case detail::timeout_core::phase::expired:
      return "expired";
    default:
      return "finished";
  }
}

}  // namespace sheaf
