#pragma once
/// @file
/// Completions in the order they were published: the core of as_completed, wait and completion_queue.
///
///   node:  registered --(its task completes)--> inbox --(drained)--> ready --(popped)--> done
///              \___________(a poll finds its task done)______________^        and its push is passed over when it comes
///
///   inbox word:  null; or the newest pushed node, the others linked behind it; or k_consumers: consumers wait, and whoever pushes next
///                has the duty to match them; or k_closed: the owner has left
///
///   limit of a stream:  ahead --(its time is over)--> due --(granted to a consumer)--> granted --(that one resumes)--> raised
///                                                      ^--------(it was cancelled)--------'
///
/// Q1  A completion is one exchange of the inbox word: nothing allocated, no lock, and nothing touched afterwards, unless it met
///     k_consumers or k_closed.
/// Q2  Everything else is under lock_. A consumer waits only after it has found the inbox empty in the same exchange that writes
///     k_consumers, so a push either comes before it and is seen, or after it and has the duty: no completion is slept through.
/// Q3  The block is counted: one for its owner, one for each registration in flight, one for the duty. Of registrations, one that was
///     pushed is given back by whoever drains it, one that was removed by close(), one that meets k_closed by its completing thread; the
///     duty's by whoever has it.
/// Q4  A grant and a timeout are decided under lock_, by whichever comes first. A stream whose time is over gives no more items: one
///     consumer is granted the timeout, the others get the end.
/// Q5  What was given to a consumer that has not resumed yet, an item or the timeout, may come back (it is cancelled); until then
///     nobody is told the end. Items that come back stand in completion order again.
/// Q6  A task is complete before its node is pushed, so a poll looks at the outstanding tasks themselves. It makes nodes ready that
///     are still on their way, but only such as lie in the core's own array, which outlives their push.

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include <sheaf/detail/awaiter.hpp>
#include <sheaf/detail/task_core.hpp>
#include <sheaf/detail/timer.hpp>
#include <sheaf/detail/waiter_list.hpp>

namespace sheaf::detail {

class completion_core;

/// One registration with one task. Holds a counted handle of it, until recycle(). Once notified, waiter_node::next links the inbox.
struct completion_node final : waiter_node {
  completion_node() noexcept : waiter_node(&completed) {}
  completion_node(const completion_node&) = delete;
  completion_node& operator=(const completion_node&) = delete;
  static void completed(waiter_node& node, outcome_kind) noexcept;

  completion_core* core = nullptr;
  task_core* task = nullptr;          ///< null once popped
  completion_node* link = nullptr;    ///< ready list, under lock_; then the popper's
  completion_node* before = nullptr;  ///< the not yet popped nodes in input order; under lock_
  completion_node* after = nullptr;
  std::uint64_t rank = 0;  ///< place in completion order, once ready; under lock_
  bool ready = false;      ///< is, or has been, in the ready list; under lock_
  bool in_array = false;   ///< of the core's own array, which is in input order
};

static_assert(std::is_trivially_destructible_v<completion_node>);

/// What a consumer waits for.
enum class completion_want : std::uint8_t { one, first_completed, first_exception, all };

/// A waiting consumer, in the waiting coroutine's frame.
class completion_wait final : public awaiter_base {
 public:
  enum class result : std::uint8_t { none, granted, timed_out, left };

  completion_wait(completion_core& core, completion_want want) noexcept : core_(&core), timer_(*this), want_(want) {}
  ~completion_wait() = default;

  /// True: suspended. `deadline`: on the runtime's clock. Role: running.
  bool suspend(task_core& self, std::coroutine_handle<> handle, sync::nanoseconds deadline) noexcept;
  /// From await_resume. Ends the timer; throws the task's own cancel, what was granted having been given back.
  void finish();
  [[nodiscard]] bool timed_out() const noexcept { return result_ == result::timed_out; }
  /// For completion_want::one: the granted node, null at the end of the stream.
  [[nodiscard]] completion_node* item() const noexcept { return item_; }

  cancel_answer on_cancel(task_core& self) noexcept override;
  wait_reason reason() const noexcept override;
  void add_targets(std::vector<const task_core*>& all) const override;

 private:
  friend class completion_core;
  struct expiry final : timer {
    explicit expiry(completion_wait& owner) noexcept : timer(&fired), wait(&owner) {}
    static void fired(timer& base) noexcept;
    completion_wait* wait;
  };

  /// This wait is the last in the queue, so among the granted it is the last too. True: it was, and is taken out.
  bool leaves(completion_wait*& granted) noexcept;

  completion_core* core_;
  task_core* self_ = nullptr;
  completion_wait* next_ = nullptr;      ///< under the core's lock
  completion_wait* previous_ = nullptr;  ///< under the core's lock
  completion_node* item_ = nullptr;      ///< under the core's lock until woken
  expiry timer_;
  completion_want want_;
  result result_ = result::none;  ///< under the core's lock until woken
  bool armed_ = false;            ///< under running
  bool at_once_ = false;          ///< under running: granted without a suspension
  bool timer_done_ = false;       ///< under the core's lock: fired() will not touch this any more
};

class completion_core {
 public:
  /// One reference, the owner's. `reserve`: the size of the array.
  [[nodiscard]] static completion_core* make(std::size_t reserve);
  /// The owner leaves: what is still registered is unregistered, handles are dropped.
  void close() noexcept;

  /// Registers tasks, taking over one counted handle of each: as many in all as were reserved, or fewer, before anybody waits.
  void add_all(std::span<task_core* const> tasks) noexcept;
  /// Registers one more, in a node of its own. @throws std::bad_alloc, and the handle is the caller's still
  void add(task_core& task);

  [[nodiscard]] std::size_t outstanding() const noexcept;  ///< registered and not popped
  [[nodiscard]] std::size_t ready() noexcept;              ///< of those, complete
  /// The oldest ready node, or null. The caller takes the handle out and gives the node back with recycle().
  [[nodiscard]] completion_node* try_pop() noexcept;
  /// The oldest ready nodes, at most so many, linked by `link`: in input order if they are of the array. @throws std::bad_alloc
  [[nodiscard]] completion_node* pop_ready(std::size_t most);
  static void recycle(completion_node& node) noexcept;
  /// Calls `visit(task_core&)`, which may not throw, with the not popped tasks in input order. False, without any call: there are more
  /// than `room`.
  template <class Visit>
  [[nodiscard]] bool visit_outstanding(std::size_t room, Visit visit) const noexcept {
    const sync::lock_guard guard(lock_);
    if (outstanding_ > room) return false;
    for (completion_node* node = first_; node != nullptr; node = node->after) visit(*node->task);
    return true;
  }
  /// The not popped nodes in input order. Not while another thread pops.
  [[nodiscard]] completion_node* first() const noexcept { return first_; }

 private:
  friend struct completion_node;
  friend class completion_wait;
  enum class limit : std::uint8_t { ahead, due, granted, raised };

  completion_core() = default;
  ~completion_core() = default;
  void drop() noexcept;
  void push(completion_node& node) noexcept;
  static void enroll(completion_node& node) noexcept;
  /// A resumed consumer has taken what it was granted, or (`comes_back`) was cancelled.
  void settle(completion_wait& wait, bool comes_back) noexcept;
  // All below under lock_.
  void drain() noexcept;
  /// What was in the inbox becomes ready.
  void file(std::uintptr_t pushed) noexcept;
  /// drain() for a poll (Q6).
  void look(completion_want want) noexcept;
  void make_ready(completion_node& node, std::uint64_t rank) noexcept;
  void append_ready(completion_node& first, completion_node& last) noexcept;
  /// Nobody waits, and whoever asks next gets an item.
  [[nodiscard]] bool has_item_for_first() noexcept {
    if (wait_first_ != nullptr || limit_ != limit::ahead) return false;
    if (ready_first_ == nullptr) drain();
    return ready_first_ != nullptr;
  }
  [[nodiscard]] bool satisfied(completion_want want) const noexcept;
  completion_node* take_ready() noexcept;
  void link_last(completion_node& node, task_core& task) noexcept;
  void unlink(completion_node& node) noexcept;
  void put_back(completion_node& node) noexcept;
  void enqueue(completion_wait& wait) noexcept;
  void dequeue(completion_wait& wait) noexcept;
  /// Grants what can be granted; returns the granted, linked by next_. While consumers are left, the duty is set.
  [[nodiscard]] completion_wait* match() noexcept;
  void grant(completion_wait& wait) noexcept;
  /// The time of a waiting consumer is over; returns whom that grants.
  [[nodiscard]] completion_wait* expire(completion_wait& wait) noexcept;
  void taken(completion_wait& wait, bool comes_back) noexcept;
  static void wake_all(completion_wait* granted) noexcept;

  static constexpr std::uintptr_t k_consumers = 1, k_closed = 2;

  sync::atomic<std::uintptr_t> inbox_{0};
  [[maybe_unused]] std::byte apart_[k_cache_line];  ///< who completes does not take the line of who consumes
  sync::atomic<std::uint32_t> references_{1};
  mutable sync::mutex lock_;
  limit limit_ = limit::ahead;
  std::size_t outstanding_ = 0;
  std::size_t ready_count_ = 0;
  std::size_t ready_failed_ = 0;
  std::size_t in_hand_ = 0;  ///< items granted to consumers that have not resumed
  completion_node* ready_first_ = nullptr;
  completion_node* ready_last_ = nullptr;
  completion_node* first_ = nullptr;
  completion_node* last_ = nullptr;
  completion_wait* wait_first_ = nullptr;
  completion_wait* wait_last_ = nullptr;
  std::uint64_t next_rank_ = 0;
  struct node_room {
    alignas(completion_node) std::byte bytes[sizeof(completion_node)];
  };
  std::unique_ptr<node_room[]> rooms_;  ///< of nodes that are made as they are added, and need no destruction
  std::size_t rooms_used_ = 0;
};

/// Owns a core's owner reference.
struct completion_closer {
  void operator()(completion_core* core) const noexcept { core->close(); }
};
using completion_owner = std::unique_ptr<completion_core, completion_closer>;

}  // namespace sheaf::detail
