#pragma once
/// @file
/// A queue without its item type: who waits for an item, who waits for room, who waits for the end of all work.
///
///   getter   waiting --an item is handed to it--> granted --resumes--> has it
///               |                                     \--resumes cancelled--> the item goes to the next getter, or back
///               \--shutdown, nothing can come any more--> refused
///   putter   waiting --room is given to it--> admitted --resumes--> its item is in
///               |                                 \--resumes cancelled--> the room goes to the next putter, the item stays with it
///               \--shutdown--> refused <--shutdown--/
///   joiner   waiting --all items are done--> granted
///   all three: waiting --on_cancel()--> gone
///
/// P1  Everything here is under `lock_`, but for what a waiter of its own task reads after its wake. Of user code only the comparison
///     of a heap runs under it, called from take(), put_in() and put_back().
/// P2  used_ = items in the store + putters admitted + try_push() calls between admit() and enter() or withdraw(). A putter waits only
///     while used_ >= max_. An item that comes back may exceed max_.
/// P3  A getter waits only while no item may be taken: the store is empty, or its oldest item was admitted after that of a putter which
///     has yet to resume (first in, first out among putters). So a heap that hands an item to a getter has no other to compare it with.
/// P4  unfinished_ counts items from their entry until task_done(), or until the queue itself has destroyed them.
/// P5  After shutdown nothing enters. A getter is refused once the store is empty and no granted getter could still give an item back.
/// P6  Joiners wait only while unfinished_ is not zero; those who waited when it was go, whatever is pushed before they resume.
/// P7  Waiters are woken outside the lock; who was granted, admitted or refused stays alive until its wake.
/// All but P1 hold whenever the lock is free: the end of a section restores them.

#include <coroutine>
#include <cstddef>
#include <cstdint>

#include <sheaf/detail/awaiter.hpp>
#include <sheaf/detail/queue_store.hpp>
#include <sheaf/detail/sync.hpp>
#include <sheaf/detail/task_core.hpp>

namespace sheaf::detail {

class queue_core;
class queue_wait;

/// Waiters, linked by the pointers in them.
class queue_waiters {
 public:
  [[nodiscard]] queue_wait* first() const noexcept { return first_; }
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  void push_back(queue_wait& waiter) noexcept;
  void remove(queue_wait& waiter) noexcept;
  queue_wait* pop_front() noexcept;

 private:
  queue_wait* first_ = nullptr;
  queue_wait* last_ = nullptr;
};

/// One operation of one task on a queue: base of the three awaiters.
class queue_wait : public awaiter_base {
 public:
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  cancel_answer on_cancel(task_core& self) noexcept final;
  wait_reason reason() const noexcept final { return {what_, nullptr}; }

 protected:
  queue_wait(queue_core& queue, const char* what) noexcept : queue_(&queue), what_(what) {}
  ~queue_wait() = default;

  queue_core* queue_;

 private:
  friend class queue_core;
  friend class queue_waiters;
  enum class stage : std::uint8_t { waiting, granted, admitted, entered, refused, gone };

  void suspend(std::coroutine_handle<> handle) noexcept;
  void wait_in(queue_waiters& waiters, std::coroutine_handle<> handle) noexcept;

  const char* what_;
  task_core* self_ = nullptr;
  queue_wait* previous_ = nullptr;
  queue_wait* next_ = nullptr;
  queue_wait* woken_next_ = nullptr;  ///< of whoever is about to wake it
  queue_waiters* in_ = nullptr;       ///< where it waits
  queue_node* item_ = nullptr;        ///< a putter's own; granted to a getter
  stage stage_ = stage::gone;
  bool suspended_ = false;  ///< its own task's
};

class queue_core {
 public:
  using destroy_function = void (*)(queue_node&) noexcept;

  /// `max` zero or negative: unbounded.
  queue_core(queue_store& store, std::ptrdiff_t max, destroy_function destroy) noexcept;
  queue_core(const queue_core&) = delete;
  queue_core& operator=(const queue_core&) = delete;
  /// Destroys what is left.
  ~queue_core();

  // ---- awaiters: the first of each pair is await_suspend(), the second comes first in await_resume() ----
  bool get(queue_wait& getter, task_core& self, std::coroutine_handle<> handle);
  /// The item. @throws cancelled, queue_closed
  queue_node& finish_get(queue_wait& getter);
  bool put(queue_wait& putter, queue_node& item, task_core& self, std::coroutine_handle<> handle);
  /// The item belongs to the queue when this returns, and to the caller when it throws: cancelled, queue_closed, a comparison.
  void finish_put(queue_wait& putter);
  bool join(queue_wait& joiner, task_core& self, std::coroutine_handle<> handle);
  /// @throws cancelled
  static void finish_join(const queue_wait& joiner);

  // ---- without waiting ----
  /// True: room is kept for one item, to be followed by enter() or withdraw(). @throws queue_closed
  bool admit();
  /// @throws queue_closed, a comparison: the room has been given up, and the item is the caller's
  void enter(queue_node& item);
  void withdraw() noexcept;
  /// Null: there is none to be had at once. @throws queue_closed, a comparison
  queue_node* try_get();

  /// @throws invalid_state when no item is unfinished
  void task_done();
  /// `count` items that nobody will see.
  void count_done(std::size_t count) noexcept;
  void shutdown(bool immediate) noexcept;

  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] bool full() const noexcept;

 private:
  friend class queue_wait;
  class section;

  [[nodiscard]] bool room() const noexcept { return max_ == 0 || used_ < max_; }
  [[nodiscard]] bool exhausted() const noexcept { return closed_ && size_ == 0 && (dropping_ || handed_ == 0); }
  queue_node* take();
  /// The number of the first item that was admitted and is not in yet.
  [[nodiscard]] std::uint64_t first_admitted() const noexcept;
  void put_in(queue_node& item);
  void keep_room(queue_wait& putter) noexcept;
  void destroy_all(queue_node* items) noexcept;

  mutable sync::mutex lock_;
  bool closed_ = false;
  bool dropping_ = false;  ///< closed, and what comes back is dropped
  queue_store& store_;
  const std::size_t max_;  ///< 0: unbounded
  const destroy_function destroy_;
  std::size_t size_ = 0;  ///< in the store
  std::size_t used_ = 0;
  std::size_t handed_ = 0;  ///< getters granted that have yet to resume
  std::size_t unfinished_ = 0;
  std::uint64_t next_number_ = 0;
  queue_waiters getters_;
  queue_waiters putters_;
  queue_waiters admitted_;  ///< putters, by the numbers of their items
  queue_waiters joiners_;
};

}  // namespace sheaf::detail
