#include <sheaf/detail/cancel_scope.hpp>

#include <sheaf/detail/assert.hpp>

#include "cancel.hpp"

namespace sheaf::detail {

void cancel_scope::open(task_core& task) noexcept {
  task_ = &task;
  outer_ = task.scopes;
  seen_at_entry_ = seen_level();
  counted_at_entry_ = task.state.seen_requests();
  callbacks_at_entry_ = callbacks_made(task);
  task.scopes = this;
}

bool cancel_scope::fire() noexcept {
  state expected = state::idle;
  // order: acq_rel, peer: close(), which decides on the same word.
  if (!word_.compare_exchange_strong(expected, state::firing, sync::acq_rel, sync::acquire)) return false;
  task_core& task = *task_;
  claimed_callbacks callbacks;
  request_scope_cancel(task, callbacks_at_entry_, callbacks);
  // order: release: the request in the task's word comes first (S2); peer: acquire in settled().
  word_.store(state::fired, sync::release);
  callbacks.run();
  return true;
}

bool cancel_scope::close() noexcept {
  SHEAF_ASSERT(task_->scopes == this);
  state expected = state::idle;
  // order: acq_rel, peer: fire(), which decides on the same word.
  const bool disarmed = word_.compare_exchange_strong(expected, state::closed, sync::acq_rel, sync::acquire);
  const state last = disarmed ? state::idle : settled();
  task_->scopes = outer_;
  for (cancel_scope* scope = outer_; scope != nullptr; scope = scope->outer_) {
    if (scope->seen_in_ == this) scope->seen_in_ = outer_;
  }
  if (disarmed) return false;
  if (last == state::fired) {
    // Retract first, look afterwards: an outer scope whose request this retraction swept away has left idle before, so it is
    // seen here and asks again (S3).
    task_->state.retract_scope_request();
    for (const cancel_scope* scope = outer_; scope != nullptr; scope = scope->outer_) {
      if (scope->settled() == state::fired) {
        claimed_callbacks callbacks;  // most have run; these are younger than that scope's request
        request_scope_cancel(*task_, scope->callbacks_at_entry_, callbacks);
        break;
      }
    }
  }
  word_.store(state::closed, sync::relaxed);
  return true;
}

void cancel_scope::repeat_foreign_requests() noexcept {
  task_state::word again = task_->state.seen_requests() > counted_at_entry_ ? task_state::requested : 0;
  for (cancel_scope* scope = outer_; scope != nullptr; scope = scope->outer_) {
    if (scope->settled() != state::delivered || scope->seen_in_ != this) continue;
    scope->word_.store(state::fired, sync::relaxed);
    again |= task_state::scope_requested;  // S3
  }
  if (again != 0) task_->state.request_again(again);
}

void cancel_scope::settle(task_core& task) noexcept {
  do {
    task.state.deliver();
    for (cancel_scope* scope = task.scopes; scope != nullptr; scope = scope->outer_) {
      if (scope->settled() != state::fired) continue;
      scope->word_.store(state::delivered, sync::relaxed);
      scope->seen_in_ = task.scopes;
    }
  } while (task.state.cancel_pending());
}

cancel_scope::state cancel_scope::settled() const noexcept {
  for (unsigned spins = 0;; ++spins) {
    // order: acquire sees the request that precedes `fired` (S2); peer: release in fire().
    const state now = word_.load(sync::acquire);
    if (now != state::firing) return now;
    sync::spin_wait(spins);
  }
}

unsigned cancel_scope::level() const noexcept {
  unsigned count = task_->state.requests();
  for (const cancel_scope* scope = outer_; scope != nullptr; scope = scope->outer_) {
    const state now = scope->settled();  // one that is firing has asked already
    if (now == state::fired || now == state::delivered) ++count;
  }
  return count;
}

unsigned cancel_scope::seen_level() const noexcept {
  unsigned count = task_->state.seen_requests();
  for (const cancel_scope* scope = outer_; scope != nullptr; scope = scope->outer_) {
    if (scope->settled() == state::delivered) ++count;
  }
  return count;
}

}  // namespace sheaf::detail
