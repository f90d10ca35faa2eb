#pragma once
/// @file
/// Manual time: when it moves, and who moves it.
///
/// Time stands still while something could still happen at the present instant. `activity` counts what could: work items queued or
/// running on any runtime of this clock, and blocking calls out. When it is zero, time moves to the next deadline
///  - freely, if some thread waits in run() or get() and nobody holds the clock;
///  - otherwise up to the target of an advance() in progress.
/// All entries of an instant fire, in order, before anything that they wake goes on, and what they wake is queued in that order: one
/// worker takes an instant the same way every time. If they caused activity, the mover stops; whoever ends that activity goes on. If
/// threads wait and there is neither deadline nor target, nothing can ever move: of the waiters that are not patient the latest in a
/// task, or else the latest, is told so; if it was counted, its going on is activity again.
///
/// C1  Waiters, requests, holds, the list of queues and `moving_` are under `lock_`; now_ is written under it.
/// C2  One mover at a time (`moving_`), and it fires outside the lock. A second one leaves at once: it has made its change before it
///     took the lock, and the mover looks at everything again, under the lock, before it gives `moving_` up.
/// C3  No lost move. Every change that can permit a move (activity falls to zero, a waiter or request is registered, the last hold is
///     released) is made first, and then its maker calls move(), which takes the lock and looks. Of two such makers the one whose
///     locked section comes second sees both changes: the other's precedes its own unlock, hence our lock.
/// C4  A thread that holds a count itself sees no move: in the order of changes to `activity` there is no zero between its enter()
///     and its leave(), so what it queues (enter() for the new work, then leave() for its own) never lets time slip in between.
/// C5  A waiter is unregistered, and counted again if it was, before its parker is signalled: between a completion and the waiter's
///     going on, activity is not zero.
/// C6  While an instant fires, context().firing of the mover's thread is the clock. What is woken there on a runtime of this clock (post(),
///     post_newest()) is counted, but kept with the runtime, which enters itself in `instants_`; it is queued after the last entry has
///     fired. Cancel callbacks may wait for anything: what is kept is queued before one runs, and nothing is kept meanwhile
///     (instant_put_off).

#include <cstdint>
#include <memory>
#include <utility>

#include <sheaf/detail/context.hpp>
#include <sheaf/detail/sync.hpp>

namespace sheaf::detail {

class timer_queue;

/// A thread about to block in run() or get(). On that thread's stack; begin_wait() and end_wait() may come in either order, once each.
struct clock_waiter {
  static constexpr std::uint32_t k_stuck = 1, k_look = 2;
  sync::parker* parker = nullptr;                 ///< signalled `stuck` when nothing can ever move, `look` when it was forgotten
  std::uint32_t items = 0;                        ///< what the thread is running and has enter()ed: does not count while it waits
  const sync::atomic<bool>* forgotten = nullptr;  ///< set before forget(): the wait is none of the clock's business
  bool patient = false;                           ///< is told neither: somebody else is, or nobody
  std::uint32_t told = 0;                         ///< for the waiting thread: what the clock signals, or has

  enum class stage : std::uint8_t { fresh, waiting, ended };
  stage at = stage::fresh;       ///< the clock's
  clock_waiter* prev = nullptr;  ///< the clock's
  clock_waiter* next = nullptr;  ///< the clock's
};

/// Who keeps something until an instant has fired. Alive until then.
struct instant_end {
  explicit constexpr instant_end(void (*call)(instant_end&) noexcept) noexcept : ended(call) {}
  void (*ended)(instant_end&) noexcept;
  instant_end* next = nullptr;  ///< the clock's
};

class manual_clock_core : public std::enable_shared_from_this<manual_clock_core> {
 public:
  manual_clock_core() = default;
  manual_clock_core(const manual_clock_core&) = delete;
  manual_clock_core& operator=(const manual_clock_core&) = delete;
  ~manual_clock_core();

  /// Relaxed: whoever must see a move is reached by it through a queue's lock, an executor or a parker.
  [[nodiscard]] sync::nanoseconds now() const noexcept { return now_.load(sync::relaxed); }

  /// Work items or blocking calls more. @par Threads any
  void enter(std::uint64_t items = 1) noexcept { activity_.fetch_add(items, sync::relaxed); }
  /// So many less. The last one may move time here and fire timers. @par Threads any; outside locks that a timer's fire takes
  void leave(std::uint64_t items = 1) noexcept {
    // order: acq_rel: what the ending work did (timers armed, say) precedes the zero; peer: acquire load in may_move().
    if (activity_.fetch_sub(items, sync::acq_rel) == items) move();
  }
  void call_out() noexcept { enter(); }
  void call_back() noexcept { leave(); }

  /// The calling thread is about to block. May move time, and may end this very wait.
  void begin_wait(clock_waiter& waiter) noexcept;
  /// On behalf of the waiter, before its parker is signalled (C5). False: it was not registered (any more).
  bool end_wait(clock_waiter& waiter) noexcept;

  /// Ends, and counts again, every wait that names `flag`, which is set: their threads are left behind, and told to look.
  void forget(const sync::atomic<bool>& flag) noexcept;

  /// `who` is told, once, when the instant that fires on this thread has fired: first come, first told. It may be gone then. Role: mover,
  /// context().firing.
  void at_end_of_instant(instant_end& who) noexcept {
    who.next = nullptr;
    *std::exchange(last_instant_, &who.next) = &who;
  }
  /// Tells them now. Role: the same.
  void tell_end_of_instant() noexcept;

  void hold() noexcept;
  void release() noexcept;

  /// Moves by `by`, waiting for the activity of each instant. Goes on under hold(). @throws std::invalid_argument when negative,
  /// invalid_state on a runtime's own thread or in a task
  void advance(sync::nanoseconds by);

  void attach(timer_queue& queue) noexcept;
  /// Waits while another thread fires entries of `queue`. Not from within fire().
  void detach(timer_queue& queue) noexcept;

 private:
  struct request {
    sync::nanoseconds target = 0;
    sync::parker reached;
    request* next = nullptr;
  };

  void move() noexcept;
  bool step() noexcept;
  void fire_instant() noexcept;
  [[nodiscard]] bool report_deadlock() noexcept;
  void unlink(clock_waiter& waiter) noexcept;
  void tell(clock_waiter& waiter, std::uint32_t what) noexcept;
  [[nodiscard]] timer_queue* not_asked_in(std::uint64_t pass) const noexcept;
  [[nodiscard]] request** earliest_request() noexcept;
  [[nodiscard]] sync::nanoseconds next_deadline() noexcept;

  sync::atomic<std::uint64_t> activity_{0};
  sync::atomic<sync::nanoseconds> now_{0};
  sync::mutex lock_;
  std::uint32_t holds_ = 0;
  bool moving_ = false;
  instant_end* instants_ = nullptr;          ///< under moving_
  instant_end** last_instant_ = &instants_;  ///< under moving_
  clock_waiter* latest_waiter_ = nullptr;
  request* requests_ = nullptr;
  timer_queue* queues_ = nullptr;
  timer_queue* firing_ = nullptr;  ///< whose entries the mover fires just now
  std::uint64_t pass_ = 0;
  std::uint32_t detaching_ = 0;  ///< threads asleep on fired_
  sync::atomic<std::uint32_t> fired_{0};
};

/// While it lives nothing is kept on this thread for an instant to end: user code runs (C6).
class instant_put_off {
 public:
  explicit instant_put_off(thread_context& here) noexcept : here_(here), clock_(std::exchange(here.firing, nullptr)) {
    if (clock_ != nullptr) clock_->tell_end_of_instant();
  }
  instant_put_off(const instant_put_off&) = delete;
  instant_put_off& operator=(const instant_put_off&) = delete;
  ~instant_put_off() { here_.firing = clock_; }

 private:
  thread_context& here_;
  manual_clock_core* const clock_;
};

}  // namespace sheaf::detail
