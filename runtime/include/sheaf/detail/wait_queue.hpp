#pragma once
/// @file
/// What the synchronisation primitives share: tasks that wait in a queue, first come first served, until somebody grants them what they
/// wait for.
///
///   outside --enter()--> queued --grants::add()--> granted --~grants()--> runnable
///      |                   \--remove()--> outside     ^
///      \--------------------- pass() -----------------/    (it was there; no wake)
///
/// Q1  Links and `granted_` are under the lock of the primitive that owns the queue.
/// Q2  Who takes a waiter from the queue owes it exactly one wake, after that lock is released. Until then the task stays suspended: a
///     granted waiter answers a cancel request with `stay`. So the awaiter outlives its grant, and no reference is needed.
/// Q3  A granted waiter owns what it was granted; resumed cancelled, it passes that on.

#include <coroutine>

#include <sheaf/detail/awaiter.hpp>
#include <sheaf/detail/task_core.hpp>

namespace sheaf::detail {

class wait_queue;

class queued_awaiter : public awaiter_base {
 protected:
  queued_awaiter() = default;
  ~queued_awaiter() = default;

  /// What it waits for is there. True: the step ends here all the same, so that loops stay fair. Role: running.
  [[nodiscard]] bool pass(task_core& self, std::coroutine_handle<> handle) noexcept {
    self_ = &self;
    granted_ = true;
    if (may_skip_suspension(self)) return false;
    yield_in(self, *this, handle);
    return true;
  }
  /// Becomes the last in `queue`. Role: running, under the lock.
  void enter(wait_queue& queue, task_core& self, std::coroutine_handle<> handle) noexcept;

  task_core* self_ = nullptr;
  bool granted_ = false;

 private:
  friend class wait_queue;
  friend class grants;

  queued_awaiter* previous_ = nullptr;
  queued_awaiter* next_ = nullptr;
};

/// @par Threads  any, under the lock of its owner
class wait_queue {
 public:
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  /// The one who has waited longest; the queue is not empty.
  [[nodiscard]] queued_awaiter& front() const noexcept { return *first_; }
  void push(queued_awaiter& last) noexcept {
    last.previous_ = last_;
    last.next_ = nullptr;
    (last_ != nullptr ? last_->next_ : first_) = &last;
    last_ = &last;
  }
  void remove(queued_awaiter& leaver) noexcept {
    (leaver.previous_ != nullptr ? leaver.previous_->next_ : first_) = leaver.next_;
    (leaver.next_ != nullptr ? leaver.next_->previous_ : last_) = leaver.previous_;
  }
  [[nodiscard]] queued_awaiter& pop() noexcept {
    queued_awaiter& first = *first_;
    remove(first);
    return first;
  }

 private:
  queued_awaiter* first_ = nullptr;
  queued_awaiter* last_ = nullptr;
};

inline void queued_awaiter::enter(wait_queue& queue, task_core& self, std::coroutine_handle<> handle) noexcept {
  self_ = &self;
  begin_wait(self, *this, handle);
  queue.push(*this);
}

/// Who has been granted something under a lock. Made before the guard of that lock, it goes after it, and wakes them all, in the order
/// in which they were added.
///
/// @par Threads  the one that holds the lock
class grants {
 public:
  grants() = default;
  grants(const grants&) = delete;
  grants& operator=(const grants&) = delete;
  ~grants() {
    if (first_ != nullptr) wake_all();
  }
  void add(queued_awaiter& granted) noexcept {
    granted.granted_ = true;
    granted.next_ = nullptr;
    (last_ != nullptr ? last_->next_ : first_) = &granted;
    last_ = &granted;
  }

 private:
  void wake_all() noexcept;

  queued_awaiter* first_ = nullptr;
  queued_awaiter* last_ = nullptr;
};

}  // namespace sheaf::detail
