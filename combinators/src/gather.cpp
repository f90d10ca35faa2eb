#include <sheaf/detail/gather_core.hpp>

#include <algorithm>

#include <sheaf/detail/assert.hpp>
#include <sheaf/task.hpp>

namespace sheaf::detail {

gather_core::gather_core(task_core& self, std::span<task_core* const> children, bool collect_failures) noexcept
    : self_(&self),
      size_(children.size()),
      collect_failures_(collect_failures),
      word_(static_cast<std::uint32_t>(children.size()) + 1 + k_woke) {
  SHEAF_ASSERT(children.size() < k_count);
  for (std::size_t i = 0; i < size_; ++i)
    ::new (static_cast<void*>(reinterpret_cast<node*>(this + 1) + i)) node(*this, *children[i]);
}

bool gather_core::all_done() const noexcept {
  for (std::size_t i = 0; i < size_; ++i) {
    if (!nodes()[i].child->state.is_complete()) return false;
  }
  return true;
}

void gather_core::add_targets(std::vector<const task_core*>& all) const {
  for (std::size_t i = left_; i < size_; ++i) all.push_back(nodes()[i].child);
}

void gather_core::start(start_batch& batch, const child_list& children) noexcept {
  watching_ = true;
  self_->state.add_reference();
  std::size_t index = 0;
  for (const auto some : children.by_few()) {
    for (task_core* const each : some) {
      prefetch(index + 8);
      node& own = nodes()[index++];
      if (!each->is_started()) {
        add_first_waiter(*each, own);
      } else if (!add_waiter(*each, own)) {
        arrive(*each, each->header().kind);
      }
    }
    batch.start(some);
  }
  batch.start({&self_, 1});  // last: whoever cancels it finds children that have started
  // From here on children wake. order: release publishes the registrations to the gather's step; peer: the other updates.
  const std::uint32_t before = word_.fetch_sub(k_woke, sync::acq_rel);
  SHEAF_ASSERT((before & k_woke) != 0);
  static_cast<void>(before);
  if (first_failure() != nullptr) claim_wake();
  count_off(1);
}

void gather_core::child_completed(waiter_node& base, outcome_kind ended_with) noexcept {
  auto& self = static_cast<node&>(base);
  self.gather->arrive(*self.child, ended_with);
}

void gather_core::arrive(task_core& child, outcome_kind ended_with) noexcept {
  if (!collect_failures_ && ended_with != outcome_kind::value) {
    task_core* none = nullptr;
    // order: release publishes the child's outcome; peer: first_failure(), also before the wake that follows.
    if (first_failure_.compare_exchange_strong(none, &child, sync::acq_rel, sync::relaxed)) claim_wake();
  }
  count_off(1);
}

void gather_core::claim_wake() noexcept {
  // order: acq_rel: what was written before the wake is seen by the step it causes; peer: decide().
  if ((word_.fetch_or(k_woke, sync::acq_rel) & k_woke) == 0) wake(*self_);
}

void gather_core::count_off(std::uint32_t how_many) noexcept {
  task_core& self = *self_;
  // order: acq_rel: each child releases its outcome, the step that sees zero acquires all; peer: the other decrements, decide().
  const std::uint32_t before = word_.fetch_sub(how_many, sync::acq_rel);
  if ((before & k_count) != how_many) return;
  if ((before & k_joining) != 0) {
    wake(self);
  } else if ((before & k_woke) == 0) {
    claim_wake();
  }
  drop_reference(self);
}

gather_core::verdict gather_core::decide() noexcept {
  // order: acquire sees the children's outcomes; peer: count_off().
  const bool all_ended = (word_.load(sync::acquire) & k_count) == 0;
  // Asked to stop when all had ended and none was told: the values win.
  if (cancelled() && !(all_ended && !passed_on_)) {
    cancel_children();
    // order: acq_rel, peer: count_off(): either it sees joining, or this sees zero (G1).
    return (word_.fetch_or(k_joining, sync::acq_rel) & k_count) != 0 ? verdict::wait_on : verdict::cancelled;
  }
  if (collect_failures_) return verdict::values;
  for (std::size_t i = 0; !watching_ && first_failure() == nullptr && i < size_; ++i) {
    if (child(i).header().kind != outcome_kind::value) first_failure_.store(&child(i), sync::relaxed);
  }
  return first_failure() != nullptr ? verdict::failed : verdict::values;
}

void gather_core::cancel_children() noexcept {
  const unsigned asked = self_->state.requests();
  if (std::exchange(passed_on_, asked) == asked) return;
  for (std::size_t i = 0; i < size_; ++i) pass_cancel_on(*self_, child(i));
}

cancel_answer gather_core::on_cancel(task_core&) noexcept {
  if (all_done()) return cancel_answer::stay;  // nothing is left to cancel: the values win
  passed_on_ = 0;                              // each request goes on to the children
  cancel_children();
  return cancel_answer::stay;
}

void gather_core::leave_children() noexcept {
  std::uint32_t removed = 0;
  for (; left_ < size_; ++left_) {
    task_core& child = this->child(left_);
    child.state.mark_observed();
    if (watching_ && !child.state.is_complete() && child.waiters.remove(nodes()[left_])) ++removed;
    drop_handle(child);
  }
  // order: as count_off(); the block is kept by running.
  if (removed != 0 && (word_.fetch_sub(removed, sync::acq_rel) & k_count) == removed) drop_reference(*self_);
}

void copy_failure(task_core& from, result_header& to) noexcept {
  from.state.mark_observed();
  if (from.header().kind == outcome_kind::error) {
    return to.set_error(outcome_kind::error, from.header().error());
  }
  try {
    to.set_error(outcome_kind::error, exception_of(from));
  } catch (...) {
    to.set_error(outcome_kind::error, std::current_exception());
  }
}

}  // namespace sheaf::detail
