#include <sheaf/detail/fork_join.hpp>

#include <sheaf/detail/context.hpp>
#include <sheaf/detail/start.hpp>

#include "runtime_core.hpp"

namespace sheaf::detail {

void prepare_child(task_core& child, task_core& parent, fork_join& join) noexcept {
  child.forked = true;
  child.join = &join;
  child.runtime = parent.runtime;
}

void release_child(task_core& child) noexcept {
  if (child.state.drop_parent_reference()) child.ops->destroy_block(child);
}

void fork_join::fork(task_core& self, std::coroutine_handle<> handle, std::span<task_core* const> made) noexcept {
  parent = &self;
  children = made;
  // Relaxed: the children are published by the queue that takes them.
  remaining.store(static_cast<std::uint32_t>(made.size()), sync::relaxed);
  begin_wait(self, *this, handle);
  self.after = step_end::forked;
}

void fork_join::throw_unless_joined() {
  if (cancelled()) throw_cancelled(*parent);
  // order: acquire sees the failed child's outcome; peer: the exchange in arrive().
  if (task_core* const failed = first_failure.load(sync::acquire)) throw_unless_value(*failed);
}

void fork_join::cancel_siblings(const task_core& failed) noexcept {
  // Relaxed: a child that fails because the parent was asked has acquired that request, and with it the flag set before.
  if (asked_.exchange(true, sync::relaxed)) return;
  for (task_core* const child : children) {
    if (child != &failed) request_cancel(*child, {});
  }
}

cancel_answer fork_join::on_cancel(task_core& self) noexcept {
  std::uint32_t count = remaining.load(sync::relaxed);
  do {
    if (count == 0) return cancel_answer::stay;  // joined: the wake is on its way
    // Relaxed: the count taken here only keeps the children; what they wrote is not read.
  } while (!remaining.compare_exchange_weak(count, count + 1, sync::relaxed, sync::relaxed));
  asked_.store(true, sync::relaxed);
  for (task_core* const child : children) pass_cancel_on(self, *child);
  // order: acq_rel: as the children's arrivals, one of which this may turn out to follow last (F2).
  if (remaining.fetch_sub(1, sync::acq_rel) == 1) static_cast<void>(self.state.wake());  // running: end_step() sees it
  return cancel_answer::stay;
}

}  // namespace sheaf::detail
