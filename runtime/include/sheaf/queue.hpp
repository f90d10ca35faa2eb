#pragma once
/// @file
/// queue, lifo_queue, priority_queue: items handed from task to task, first come first served.
///
/// An item lies in a node of its own from push() to pop(); nodes change hands under the lock, and what a T does (it is made, moved,
/// destroyed) happens outside it.

#include <coroutine>
#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include <sheaf/detail/frame_cache.hpp>
#include <sheaf/detail/gcc12.hpp>
#include <sheaf/detail/gettable.hpp>
#include <sheaf/detail/queue_core.hpp>
#include <sheaf/detail/queue_store.hpp>
#include <sheaf/errors.hpp>

namespace sheaf {

namespace detail {

template <class T>
struct item_node final : queue_node {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>, "sheaf: a queue holds objects; for references use pointers");

  template <class... Args>
  explicit item_node(Args&&... args) : item(std::forward<Args>(args)...) {}
  static void* operator new(std::size_t bytes) {
    if constexpr (alignof(item_node) > alignof(std::max_align_t)) {
      return ::operator new(bytes, std::align_val_t(alignof(item_node)));
    } else {
      return allocate_block(bytes);
    }
  }
  static void operator delete(void* node, std::size_t bytes) noexcept {
    if constexpr (alignof(item_node) > alignof(std::max_align_t)) {
      ::operator delete(node, std::align_val_t(alignof(item_node)));
    } else {
      free_block(node, bytes);
    }
  }
  static void destroy(queue_node& node) noexcept { delete static_cast<item_node*>(&node); }

  T item;
};

template <class T>
class push_awaiter final : public queue_wait {
 public:
  push_awaiter(queue_core& queue, std::unique_ptr<item_node<T>> item) noexcept
      : queue_wait(queue, "room in a queue"), item_(std::move(item)) {}
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) {
    return queue_->put(*this, *item_, *awaiting.promise().task, awaiting);
  }
  void await_resume() {
    queue_->finish_put(*this);
    static_cast<void>(item_.release());  // another task may have destroyed it by now
  }

 private:
  std::unique_ptr<item_node<T>> item_;
};

template <class T>
class pop_awaiter final : public queue_wait {
 public:
  explicit pop_awaiter(queue_core& queue) noexcept : queue_wait(queue, "an item of a queue") {}
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) {
    return queue_->get(*this, *awaiting.promise().task, awaiting);
  }
  T await_resume() { return move_out<T>(queue_->finish_get(*this), *queue_); }

  /// As a T or an optional. Destroys the node. An item whose move throws is lost, and counts as done.
  template <class Result>
  static Result move_out(queue_node& taken, queue_core& queue) {
    std::unique_ptr<item_node<T>> node(static_cast<item_node<T>*>(&taken));
    if constexpr (std::is_nothrow_move_constructible_v<T>) {
      return Result(std::move(node->item));
    } else {
      try {
        return Result(std::move(node->item));
      } catch (...) {
        node.reset();
        queue.count_done(1);
        throw;
      }
    }
  }
};

class join_awaiter final : public queue_wait {
 public:
  explicit join_awaiter(queue_core& queue) noexcept : queue_wait(queue, "the end of a queue's work") {}
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    return queue_->join(*this, *awaiting.promise().task, awaiting);
  }
  void await_resume() const { queue_core::finish_join(*this); }
};

template <class T>
class [[nodiscard("co_await it, or nothing is pushed")]] push_operation : public gettable<push_operation<T>> {
 public:
  push_operation(queue_core& queue, std::unique_ptr<item_node<T>> item) noexcept : queue_(&queue), item_(std::move(item)) {}
  auto operator co_await() && noexcept { return push_awaiter<T>(*queue_, std::move(item_)); }

 private:
  queue_core* queue_;
  std::unique_ptr<item_node<T>> item_;
};

template <class T>
class [[nodiscard("co_await it, or nothing is popped")]] pop_operation : public gettable<pop_operation<T>> {
 public:
  explicit pop_operation(queue_core& queue) noexcept : queue_(&queue) {}
  auto operator co_await() && noexcept { return pop_awaiter<T>(*queue_); }

 private:
  queue_core* queue_;
};

class [[nodiscard("co_await it, or nothing is waited for")]] join_operation : public gettable<join_operation> {
 public:
  explicit join_operation(queue_core& queue) noexcept : queue_(&queue) {}
  auto operator co_await() && noexcept { return join_awaiter(*queue_); }

 private:
  queue_core* queue_;
};

/// What the three queues have in common.
///
/// @par Threads       any; `.get()` of what push(), pop() and join() return on a plain thread with a current runtime
/// @par Lifetime      outlives its waiters; what is in it when it goes is destroyed
/// @par Cancellation  of a waiting task: it leaves no trace. An item that was handed to it at the same moment goes to the next getter,
///                    or back to where it was; a place that was kept for its own item goes to the next putter, and the item is destroyed
/// @throws nothing but what a member names; `.get()` also no_runtime, would_deadlock
/// @par Cost          one recycled block for an item; a lock for a few pointer writes; waiting allocates nothing; one wake-up for each
///                    waiter that goes on
template <class T, class Store>
class queue_base {
 public:
  using value_type = T;

  queue_base(const queue_base&) = delete;
  queue_base& operator=(const queue_base&) = delete;

  /// `co_await q.push(item)`, or `.get()` on a plain thread: waits while the queue is full, after those who already do. The item is made
  /// here and now; it is in the queue only when this has returned, and destroyed when it throws.
  /// @throws queue_closed; cancelled; std::bad_alloc and what copying the item throws
  template <class U = T>
    requires std::is_constructible_v<T, U&&>
  auto push(U&& item) {
    refuse_temporaries_of_gcc12<U>();
    return push_operation<T>(core_, std::make_unique<item_node<T>>(std::forward<U>(item)));
  }
  /// False: it is full, or others wait; the item stays as it was. @throws what push() does; a refused item that was moved is gone
  template <class U = T>
    requires std::is_constructible_v<T, U&&>
  [[nodiscard]] bool try_push(U&& item) {
    if (!core_.admit()) return false;
    std::unique_ptr<item_node<T>> node;
    try {
      node = std::make_unique<item_node<T>>(std::forward<U>(item));
    } catch (...) {
      core_.withdraw();
      throw;
    }
    core_.enter(*node);
    static_cast<void>(node.release());
    return true;
  }

  /// `T item = co_await q.pop()`, or `.get()` on a plain thread: waits while there is none, after those who already do.
  /// @throws queue_closed once the queue is shut down and empty; cancelled; what moving the item throws, which is lost then and counts
  ///         as done
  [[nodiscard]] auto pop() noexcept { return pop_operation<T>(core_); }
  /// Nothing when there is no item to be had at once. @throws what pop() does
  [[nodiscard]] std::optional<T> try_pop() {
    queue_node* const node = core_.try_get();
    if (node == nullptr) return std::nullopt;
    return pop_awaiter<T>::template move_out<std::optional<T>>(*node, core_);
  }

  /// Items that lie in the queue; not those that were handed to tasks which have yet to resume. 0 when there is none to be had at this
  /// moment: the next one may be that of a push() which has room now and has yet to put it in.
  [[nodiscard]] std::size_t size() const noexcept { return core_.size(); }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  /// A push would have to wait at this moment. Never true of an unbounded queue.
  [[nodiscard]] bool full() const noexcept { return core_.full(); }

  /// The work on an item that was popped has ended. @throws invalid_state when called more often than items were pushed
  void task_done() { core_.task_done(); }
  /// `co_await q.join()`, or `.get()` on a plain thread: waits until task_done() was called for every item that was pushed.
  [[nodiscard]] auto join() noexcept { return join_operation(core_); }

  /// From now on push() throws queue_closed, also those that wait; pop() gives what is left, then throws it. `immediate`: what is left
  /// is destroyed here and counts as done, so that join() waits only for what was popped. May be called again. The queue must not go
  /// before this has returned.
  void shutdown(bool immediate = false) noexcept { core_.shutdown(immediate); }

 protected:
  template <class... Args>
  explicit queue_base(std::ptrdiff_t max, Args&&... args)
      : store_(std::forward<Args>(args)...), core_(store_, max, &item_node<T>::destroy) {}
  ~queue_base() = default;

 private:
  Store store_;
  queue_core core_;
};

template <class T, class Compare>
class item_heap final : public queue_heap {
 public:
  explicit item_heap(Compare compare) : compare_(std::move(compare)) {}

 private:
  bool less(const queue_node& a, const queue_node& b) const override {
    return compare_(static_cast<const item_node<T>&>(a).item, static_cast<const item_node<T>&>(b).item);
  }

  [[no_unique_address]] Compare compare_;
};

}  // namespace detail

/// First in, first out. `max` zero or negative: never full.
///
/// Items of putters that wait come out in the order in which those began to wait, whoever of them resumes first.
///
/// @par Threads       any
/// @par Lifetime      outlives its waiters; what is in it when it goes is destroyed
/// @par Cancellation  of a waiting task: nothing popped, nothing pushed, as if it had not called
/// @throws nothing but what a member names
/// @par Cost          one recycled block for an item, a lock for a few pointer writes; waiting allocates nothing
template <class T>
class queue final : public detail::queue_base<T, detail::fifo_line> {
 public:
  explicit queue(std::ptrdiff_t max = 0) : detail::queue_base<T, detail::fifo_line>(max) {}
};

/// Last in, first out. `max` zero or negative: never full.
///
/// @par Threads       any
/// @par Lifetime      outlives its waiters; what is in it when it goes is destroyed
/// @par Cancellation  of a waiting task: nothing popped, nothing pushed; an item that comes back lies below those pushed after it
/// @throws nothing but what a member names
/// @par Cost          that of queue
template <class T>
class lifo_queue final : public detail::queue_base<T, detail::lifo_line> {
 public:
  explicit lifo_queue(std::ptrdiff_t max = 0) : detail::queue_base<T, detail::lifo_line>(max) {}
};

/// The least item first, as `Compare` has it (std::priority_queue gives the greatest); of equal ones the one pushed first. `max` zero or
/// negative: never full.
///
/// `Compare` runs under the queue's lock, on whichever thread pushes or pops: it must not use this queue or wait for a task, and others
/// wait for it. It may throw: the error comes out of the push() or pop() at hand, which has no effect then.
///
/// @par Threads       any
/// @par Lifetime      outlives its waiters; what is in it when it goes is destroyed
/// @par Cancellation  of a waiting task: nothing popped, nothing pushed; an item that comes back is sorted in again
/// @throws nothing but what a member names, and what `Compare` throws
/// @par Cost          that of queue, and a few comparisons for each push and pop, at most about twice the logarithm of the size
template <class T, class Compare = std::less<T>>
class priority_queue final : public detail::queue_base<T, detail::item_heap<T, Compare>> {
 public:
  explicit priority_queue(std::ptrdiff_t max = 0, Compare compare = {})
      : detail::queue_base<T, detail::item_heap<T, Compare>>(max, std::move(compare)) {}
};

}  // namespace sheaf
