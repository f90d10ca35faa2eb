#include <sheaf/detail/completion_core.hpp>

#include <algorithm>
#include <new>
#include <utility>
#include <vector>

#include <sheaf/detail/assert.hpp>

namespace sheaf::detail {

// ---- nodes -------------------------------------------------------------------------------------------------------------------

void completion_node::completed(waiter_node& base, outcome_kind) noexcept {
  auto& node = static_cast<completion_node&>(base);
  node.core->push(node);
}

void completion_core::push(completion_node& node) noexcept {
  std::uintptr_t head = inbox_.load(sync::relaxed);
  do {
    if (head == k_closed) return drop();
    node.next = head == k_consumers ? nullptr : reinterpret_cast<completion_node*>(head);
    // order: acq_rel: release publishes the node (and, before it, the task's outcome) to the drain; acquire pairs with the
    // consumer that wrote k_consumers.
  } while (!inbox_.compare_exchange_weak(head, reinterpret_cast<std::uintptr_t>(&node), sync::acq_rel, sync::relaxed));
  if (head != k_consumers) return;  // core and node may be gone
  completion_wait* granted = nullptr;
  {
    const sync::lock_guard guard(lock_);
    granted = match();
  }
  wake_all(granted);
  drop();
}

// ---- ownership ---------------------------------------------------------------------------------------------------------------

completion_core* completion_core::make(std::size_t reserve) {
  auto owner = completion_owner(new completion_core);
  if (reserve != 0) owner->rooms_ = std::make_unique_for_overwrite<node_room[]>(reserve);
  return owner.release();
}

void completion_core::drop() noexcept {
  // order: acq_rel: the last one sees what the others did; peer: the other drops (Q3).
  if (references_.fetch_sub(1, sync::acq_rel) != 1) return;
  while (first_ != nullptr) recycle(*std::exchange(first_, first_->after));
  delete this;
}

void completion_core::close() noexcept {
  std::uint32_t ended = 0;
  completion_node* done_with = nullptr;
  {
    const sync::lock_guard guard(lock_);
    SHEAF_ASSERT(wait_first_ == nullptr);
    // order: acquire sees the pushed nodes; peer: push(). Whoever pushes from here on drops its own reference.
    const std::uintptr_t last = inbox_.exchange(k_closed, sync::acquire);
    if (last == k_consumers) {
      ++ended;  // the duty
    } else {
      file(last);
    }
    for (completion_node* node = first_; node != nullptr;) {
      completion_node* const after = node->after;
      const bool removed = !node->ready && node->task->waiters.remove(*node);
      if (removed) ++ended;
      if (removed || node->ready) {  // the others are about to be pushed, and are left to drop()
        unlink(*node);
        node->link = std::exchange(done_with, node);
      }
      node = after;
    }
  }
  while (done_with != nullptr) recycle(*std::exchange(done_with, done_with->link));
  if (ended != 0) references_.fetch_sub(ended, sync::relaxed);  // the owner's own is still there
  drop();
}

void completion_core::add_all(std::span<task_core* const> tasks) noexcept {
  references_.fetch_add(static_cast<std::uint32_t>(tasks.size()), sync::relaxed);
  for (task_core* const task : tasks) {
    completion_node& node = *::new (static_cast<void*>(&rooms_[rooms_used_++])) completion_node;
    node.in_array = true;
    link_last(node, *task);  // without the lock: only the inbox is touched by others before somebody waits
    enroll(node);
  }
}

void completion_core::add(task_core& task) {
  auto* const node = new completion_node;
  references_.fetch_add(1, sync::relaxed);
  {
    const sync::lock_guard guard(lock_);
    link_last(*node, task);
  }
  enroll(*node);
}

void completion_core::enroll(completion_node& node) noexcept {
  // A task that is complete may be about to tell its waiters: whoever asks now must find it ready already (Q6).
  task_core& task = *node.task;
  if (!task.is_started()) return add_first_waiter(task, node);
  if (task.state.is_complete() || !add_waiter(task, node)) node.core->push(node);
}

void completion_core::recycle(completion_node& node) noexcept {
  if (task_core* const task = std::exchange(node.task, nullptr)) drop_handle(*task);
  if (!node.in_array) delete &node;
}

// ---- popping -----------------------------------------------------------------------------------------------------------------

std::size_t completion_core::outstanding() const noexcept {
  const sync::lock_guard guard(lock_);
  return outstanding_;
}

std::size_t completion_core::ready() noexcept {
  const sync::lock_guard guard(lock_);
  drain();
  return ready_count_;
}

completion_node* completion_core::try_pop() noexcept {
  const sync::lock_guard guard(lock_);
  drain();
  return wait_first_ == nullptr ? take_ready() : nullptr;  // whoever waits already comes first
}

completion_node* completion_core::pop_ready(std::size_t most) {
  std::vector<completion_node*> popped;
  popped.reserve(most);
  {
    const sync::lock_guard guard(lock_);
    drain();
    while (popped.size() != most && ready_first_ != nullptr) popped.push_back(take_ready());
  }
  std::sort(popped.begin(), popped.end());  // the array is in input order
  completion_node* first = nullptr;
  for (auto node = popped.rbegin(); node != popped.rend(); ++node) (*node)->link = std::exchange(first, *node);
  return first;
}

void completion_core::settle(completion_wait& wait, bool comes_back) noexcept {
  completion_wait* granted = nullptr;
  {
    const sync::lock_guard guard(lock_);
    taken(wait, comes_back);
    if (wait_first_ != nullptr) granted = match();
  }
  wake_all(granted);
}

// ---- under lock_ -------------------------------------------------------------------------------------------------------------

void completion_core::drain() noexcept {
  if (inbox_.load(sync::relaxed) <= k_closed) return;
  // order: acquire sees the pushed nodes and their tasks' outcomes; peer: push().
  file(inbox_.exchange(0, sync::acquire));
}

void completion_core::file(std::uintptr_t pushed) noexcept {
  next_rank_ += outstanding_ - ready_count_;  // more cannot have been pushed; they come newest first
  std::uint64_t rank = next_rank_;
  std::uint32_t count = 0;
  completion_node* oldest = nullptr;
  completion_node* newest = nullptr;
  for (waiter_node* each = reinterpret_cast<completion_node*>(pushed); each != nullptr; each = each->next, ++count) {
    auto& node = static_cast<completion_node&>(*each);
    if (node.ready) continue;
    make_ready(node, rank--);
    node.link = oldest;
    oldest = &node;
    if (newest == nullptr) newest = &node;
  }
  references_.fetch_sub(count, sync::relaxed);  // the caller, or who called it, holds another
  if (oldest != nullptr) append_ready(*oldest, *newest);
}

void completion_core::look(completion_want want) noexcept {
  drain();
  if (want == completion_want::one && (ready_count_ != 0 || limit_ != limit::ahead)) return;
  for (completion_node* node = first_; node != nullptr; node = node->after) {
    if (node->ready || !node->in_array || !node->task->state.is_complete()) continue;
    make_ready(*node, ++next_rank_);
    append_ready(*node, *node);
  }
}

void completion_core::make_ready(completion_node& node, std::uint64_t rank) noexcept {
  node.ready = true;
  node.rank = rank;
  ++ready_count_;
  if (node.task->header().failed()) ++ready_failed_;
}

void completion_core::append_ready(completion_node& first, completion_node& last) noexcept {
  (ready_last_ != nullptr ? ready_last_->link : ready_first_) = &first;
  ready_last_ = &last;
}

bool completion_core::satisfied(completion_want want) const noexcept {
  switch (want) {
    case completion_want::one:
      if (limit_ != limit::ahead) return limit_ != limit::granted;
      return ready_count_ != 0 || (outstanding_ == 0 && in_hand_ == 0);
    case completion_want::first_completed:
      return ready_count_ != 0 || outstanding_ == 0;
    case completion_want::first_exception:
      return ready_failed_ != 0 || ready_count_ == outstanding_;
    case completion_want::all:
      break;
  }
  return ready_count_ == outstanding_;
}

completion_node* completion_core::take_ready() noexcept {
  completion_node* const node = ready_first_;
  if (node == nullptr) return nullptr;
  ready_first_ = node->link;
  if (ready_first_ == nullptr) ready_last_ = nullptr;
  node->link = nullptr;
  --ready_count_;
  if (node->task->header().failed()) --ready_failed_;
  unlink(*node);
  return node;
}

void completion_core::link_last(completion_node& node, task_core& task) noexcept {
  node.core = this;
  node.task = &task;
  node.before = last_;
  (last_ != nullptr ? last_->after : first_) = &node;
  last_ = &node;
  ++outstanding_;
}

void completion_core::unlink(completion_node& node) noexcept {
  (node.before != nullptr ? node.before->after : first_) = node.after;
  (node.after != nullptr ? node.after->before : last_) = node.before;
  --outstanding_;
}

void completion_core::put_back(completion_node& node) noexcept {
  completion_node** place = &ready_first_;  // what stands before it came back too
  while (*place != nullptr && (*place)->rank < node.rank) place = &(*place)->link;
  node.link = std::exchange(*place, &node);
  if (node.link == nullptr) ready_last_ = &node;
  ++ready_count_;
  if (node.task->header().failed()) ++ready_failed_;

  completion_node* next = node.in_array ? first_ : nullptr;
  while (next != nullptr && next < &node) next = next->after;
  node.after = next;
  node.before = next != nullptr ? next->before : last_;
  (node.before != nullptr ? node.before->after : first_) = &node;
  (next != nullptr ? next->before : last_) = &node;
  ++outstanding_;
}

void completion_core::enqueue(completion_wait& wait) noexcept {
  wait.previous_ = wait_last_;
  wait.next_ = nullptr;
  (wait_last_ != nullptr ? wait_last_->next_ : wait_first_) = &wait;
  wait_last_ = &wait;
}

void completion_core::dequeue(completion_wait& wait) noexcept {
  (wait.previous_ != nullptr ? wait.previous_->next_ : wait_first_) = wait.next_;
  (wait.next_ != nullptr ? wait.next_->previous_ : wait_last_) = wait.previous_;
}

completion_wait* completion_core::match() noexcept {
  completion_wait* granted = nullptr;
  completion_wait* last = nullptr;
  for (;;) {
    drain();
    while (wait_first_ != nullptr && satisfied(wait_first_->want_)) {
      completion_wait& wait = *wait_first_;
      dequeue(wait);
      grant(wait);
      wait.next_ = nullptr;
      (last != nullptr ? last->next_ : granted) = &wait;
      last = &wait;
    }
    if (wait_first_ == nullptr || inbox_.load(sync::relaxed) == k_consumers) return granted;
    references_.fetch_add(1, sync::relaxed);
    std::uintptr_t empty = 0;
    // order: acq_rel: the consumers' state is released to whoever takes the duty (Q2); peer: push().
    if (inbox_.compare_exchange_strong(empty, k_consumers, sync::acq_rel, sync::relaxed)) return granted;
    references_.fetch_sub(1, sync::relaxed);
  }
}

void completion_core::grant(completion_wait& wait) noexcept {
  wait.result_ = completion_wait::result::granted;
  if (wait.want_ != completion_want::one) return;
  if (limit_ == limit::due) {
    limit_ = limit::granted;
    wait.result_ = completion_wait::result::timed_out;
  } else if (limit_ == limit::ahead) {
    wait.item_ = take_ready();
    if (wait.item_ != nullptr) ++in_hand_;
  }
}

completion_wait* completion_core::expire(completion_wait& wait) noexcept {
  if (wait.want_ != completion_want::one) {
    dequeue(wait);
    wait.next_ = nullptr;
    wait.result_ = completion_wait::result::timed_out;
    return &wait;
  }
  // With nothing outstanding, only items in hand keep a consumer from the end, and those are settled in a moment.
  if (limit_ == limit::ahead && outstanding_ != 0) limit_ = limit::due;
  return match();
}

void completion_core::taken(completion_wait& wait, bool comes_back) noexcept {
  if (wait.item_ != nullptr) {
    --in_hand_;
    if (comes_back) put_back(*std::exchange(wait.item_, nullptr));
  } else if (wait.timed_out()) {
    limit_ = comes_back ? limit::due : limit::raised;
  }
}

void completion_core::wake_all(completion_wait* granted) noexcept {
  for (auto* wake = &detail::wake; granted != nullptr; wake = &detail::wake_behind) {
    completion_wait* const next = granted->next_;
    wake(*granted->self_);  // the wait may be gone now
    granted = next;
  }
}

}  // namespace sheaf::detail
