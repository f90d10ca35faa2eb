#include <sheaf/detail/queue_core.hpp>

#include <algorithm>
#include <limits>
#include <utility>

#include <sheaf/detail/assert.hpp>
#include <sheaf/errors.hpp>

namespace sheaf::detail {

using sync::lock_guard;

// ---- waiters -----------------------------------------------------------------------------------------------------------------

void queue_waiters::push_back(queue_wait& waiter) noexcept {
  waiter.in_ = this;
  waiter.previous_ = last_;
  waiter.next_ = nullptr;
  (last_ != nullptr ? last_->next_ : first_) = &waiter;
  last_ = &waiter;
}

void queue_waiters::remove(queue_wait& waiter) noexcept {
  (waiter.previous_ != nullptr ? waiter.previous_->next_ : first_) = waiter.next_;
  (waiter.next_ != nullptr ? waiter.next_->previous_ : last_) = waiter.previous_;
}

queue_wait* queue_waiters::pop_front() noexcept {
  queue_wait* const front = first_;
  if (front != nullptr) remove(*front);
  return front;
}

cancel_answer queue_wait::on_cancel(task_core&) noexcept {
  const lock_guard guard(queue_->lock_);
  if (stage_ != stage::waiting) return cancel_answer::stay;  // the wake is on its way; finish_...() passes on what was granted
  in_->remove(*this);
  stage_ = stage::gone;
  return cancel_answer::give_up;
}

// ---- under the lock ----------------------------------------------------------------------------------------------------------

/// Holds the lock. At its end whoever need not wait any longer is told so, under the lock, and woken, outside it.
class queue_core::section {
 public:
  explicit section(queue_core& queue) noexcept : queue_(queue) { queue.lock_.lock(); }
  section(const section&) = delete;
  section& operator=(const section&) = delete;
  ~section() {
    hand_over();
    queue_.lock_.unlock();
    for (auto* wake_one = &wake; first_ != nullptr; wake_one = &wake_behind) {
      queue_wait& waiter = *first_;
      first_ = waiter.woken_next_;
      wake_one(*waiter.self_);  // the waiter may be gone now
    }
  }
  /// For waiters that have been taken out of their list.
  void end_wait(queue_wait& waiter, queue_wait::stage how) noexcept {
    waiter.stage_ = how;
    (last_ != nullptr ? last_->woken_next_ : first_) = &waiter;
    last_ = &waiter;
  }
  void end_all(queue_waiters& waiters, queue_wait::stage how) noexcept {
    while (queue_wait* const waiter = waiters.pop_front()) end_wait(*waiter, how);
  }

 private:
  /// Restores P2, P3, P5 and P6. take() compares nothing here: P3.
  void hand_over() noexcept {
    while (!queue_.getters_.empty()) {
      queue_node* const item = queue_.take();
      if (item == nullptr) break;
      queue_wait& getter = *queue_.getters_.pop_front();
      getter.item_ = item;
      ++queue_.handed_;
      end_wait(getter, queue_wait::stage::granted);
    }
    while (!queue_.putters_.empty() && queue_.room()) {
      queue_wait& putter = *queue_.putters_.pop_front();
      end_wait(putter, queue_wait::stage::admitted);
      queue_.keep_room(putter);
    }
    if (queue_.exhausted()) end_all(queue_.getters_, queue_wait::stage::refused);
    if (queue_.unfinished_ == 0) end_all(queue_.joiners_, queue_wait::stage::granted);
  }

  queue_core& queue_;
  queue_wait* first_ = nullptr;  ///< to be woken
  queue_wait* last_ = nullptr;
};

std::uint64_t queue_core::first_admitted() const noexcept {
  const queue_wait* const admitted = admitted_.first();
  return admitted != nullptr ? admitted->item_->number : std::numeric_limits<std::uint64_t>::max();
}

queue_node* queue_core::take() {
  queue_node* const taken = store_.take(first_admitted());
  if (taken == nullptr) return nullptr;
  --size_;
  --used_;
  return taken;
}

void queue_core::put_in(queue_node& item) {
  store_.put(item);
  ++size_;
  ++used_;
  ++unfinished_;
}

void queue_core::keep_room(queue_wait& putter) noexcept {
  putter.item_->number = next_number_++;
  putter.stage_ = queue_wait::stage::admitted;
  ++used_;
  admitted_.push_back(putter);
}

// ---- waiting -----------------------------------------------------------------------------------------------------------------

/// The outcome is known, but the task has had its share of this step.
void queue_wait::suspend(std::coroutine_handle<> handle) noexcept {
  suspended_ = true;
  yield_in(*self_, *this, handle);
}

void queue_wait::wait_in(queue_waiters& waiters, std::coroutine_handle<> handle) noexcept {
  suspended_ = true;
  stage_ = stage::waiting;
  begin_wait(*self_, *this, handle);
  waiters.push_back(*this);
}

bool queue_core::get(queue_wait& getter, task_core& self, std::coroutine_handle<> handle) {
  getter.self_ = &self;
  section here(*this);
  if (queue_node* const item = take()) {  // P3: nothing, while others wait
    getter.item_ = item;
    getter.stage_ = queue_wait::stage::granted;
    if (may_skip_suspension(self)) return false;
    ++handed_;
    getter.suspend(handle);
  } else if (exhausted()) {
    getter.stage_ = queue_wait::stage::refused;
    if (may_skip_suspension(self)) return false;
    getter.suspend(handle);
  } else {
    getter.wait_in(getters_, handle);
  }
  return true;
}

queue_node& queue_core::finish_get(queue_wait& getter) {
  queue_node* dropped = nullptr;
  if (getter.suspended_ && getter.stage_ == queue_wait::stage::granted) {
    section here(*this);
    --handed_;
    if (getter.cancelled() && dropping_) {
      dropped = getter.item_;
    } else if (getter.cancelled()) {
      store_.put_back(*getter.item_);
      ++size_;
      ++used_;
    }
  }
  if (dropped != nullptr) {
    destroy_(*dropped);
    count_done(1);
  }
  if (getter.cancelled()) throw_cancelled(*getter.self_);
  if (getter.stage_ == queue_wait::stage::refused) throw queue_closed("pop()");
  return *getter.item_;
}

bool queue_core::put(queue_wait& putter, queue_node& item, task_core& self, std::coroutine_handle<> handle) {
  putter.self_ = &self;
  putter.item_ = &item;
  section here(*this);
  if (!closed_ && !room()) {  // P2: none, while others wait
    putter.wait_in(putters_, handle);
    return true;
  }
  const bool skips = may_skip_suspension(self);
  if (closed_) {
    putter.stage_ = queue_wait::stage::refused;
  } else if (skips) {
    item.number = next_number_++;
    put_in(item);
    putter.stage_ = queue_wait::stage::entered;
  } else {  // it is not in before the task has resumed, uncancelled
    keep_room(putter);
  }
  if (!skips) putter.suspend(handle);
  return !skips;
}

void queue_core::finish_put(queue_wait& putter) {
  if (putter.suspended_) {
    section here(*this);
    if (putter.stage_ == queue_wait::stage::admitted) {
      admitted_.remove(putter);
      --used_;
      if (!putter.cancelled()) put_in(*putter.item_);
    }
  }
  if (putter.cancelled()) throw_cancelled(*putter.self_);
  if (putter.stage_ == queue_wait::stage::refused) throw queue_closed("push()");
}

bool queue_core::join(queue_wait& joiner, task_core& self, std::coroutine_handle<> handle) {
  joiner.self_ = &self;
  section here(*this);
  if (unfinished_ > 0) {
    joiner.wait_in(joiners_, handle);
    return true;
  }
  joiner.stage_ = queue_wait::stage::granted;
  if (may_skip_suspension(self)) return false;
  joiner.suspend(handle);
  return true;
}

void queue_core::finish_join(const queue_wait& joiner) {
  if (joiner.cancelled()) throw_cancelled(*joiner.self_);
}

// ---- without waiting ---------------------------------------------------------------------------------------------------------

queue_core::queue_core(queue_store& store, std::ptrdiff_t max, destroy_function destroy) noexcept
    : store_(store), max_(max > 0 ? static_cast<std::size_t>(max) : 0), destroy_(destroy) {}

queue_core::~queue_core() {
  SHEAF_ASSERT(getters_.empty() && putters_.empty() && admitted_.empty() && joiners_.empty());
  destroy_all(store_.take_all());
}

void queue_core::destroy_all(queue_node* items) noexcept {
  while (items != nullptr) {
    queue_node* const next = items->next;
    destroy_(*items);
    items = next;
  }
}

bool queue_core::admit() {
  {
    section here(*this);
    if (!closed_) {
      if (!room()) return false;
      ++used_;
      return true;
    }
  }
  throw queue_closed("try_push()");
}

void queue_core::enter(queue_node& item) {
  {
    section here(*this);
    --used_;
    if (!closed_) {
      item.number = next_number_++;
      return put_in(item);
    }
  }
  throw queue_closed("try_push()");
}

void queue_core::withdraw() noexcept {
  section here(*this);
  --used_;
}

queue_node* queue_core::try_get() {
  {
    section here(*this);
    if (queue_node* const item = take()) return item;
    if (!exhausted()) return nullptr;
  }
  throw queue_closed("try_pop()");
}

void queue_core::task_done() {
  {
    section here(*this);
    if (unfinished_ > 0) {
      --unfinished_;
      return;
    }
  }
  throw invalid_state("task_done() was called more often than items were pushed");
}

void queue_core::count_done(std::size_t count) noexcept {
  section here(*this);
  unfinished_ -= std::min(count, unfinished_);  // task_done() may have been called for what was still in the queue
}

void queue_core::shutdown(bool immediate) noexcept {
  queue_node* dropped = nullptr;
  std::size_t count = 0;
  {
    section here(*this);
    closed_ = true;
    here.end_all(putters_, queue_wait::stage::refused);
    while (queue_wait* const putter = admitted_.pop_front()) {  // is awake, or about to be woken
      putter->stage_ = queue_wait::stage::refused;
      --used_;
    }
    if (immediate) {
      dropping_ = true;
      dropped = store_.take_all();
      count = std::exchange(size_, 0);
      used_ -= count;
    }
  }
  if (count == 0) return;
  destroy_all(dropped);
  count_done(count);  // whoever joins finds them destroyed
}

std::size_t queue_core::size() const noexcept {
  const lock_guard guard(lock_);
  return store_.has(first_admitted()) ? size_ : 0;
}

bool queue_core::full() const noexcept {
  const lock_guard guard(lock_);
  return !room();
}

}  // namespace sheaf::detail
