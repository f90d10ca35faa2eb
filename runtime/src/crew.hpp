#pragma once
/// @file
/// The pool's threads, and who sits in which seat.
///
/// Threads are interchangeable: one starts as a worker or as a spare, and a wait in block() turns the first into the second.
///
///                   handed a seat, or adopts one
///        IDLE SPARE ---------------------------> SEATED ----> (stop: exits)
///          |   ^                                 |  ^  |
///          |   |                  spare found:   |  |  | no spare, but another thread runs:
///     too many |                  hands over     |  |  | waits in its seat
///     or stop: |                                 v  |  v
///       exits  +--- item ends --- UNSEATED <-- BLOCKED (its seat may be adopted meanwhile)
///
/// I1  running_ counts the threads that are SEATED or UNSEATED, not BLOCKED, not IDLE. A seated worker asleep for want of work
///     runs: a push will wake it.
/// I2  While a thread is an idle spare, no seat has a blocked thread in it: block() prefers the spare, and a thread about to
///     become a spare adopts such a seat first.
/// I3  A seat has at most one thread. It changes hands under lock_, or by the start of a thread, so the queues' owner-only state
///     goes with it.
/// I4  At most `workers + max_spares` threads exist, and one more for each block() that may not be refused: such a thread starts
///     UNSEATED, adopts the seat of one that is blocked, and does not stay as a spare. Until it leaves it runs, as any thread does: a
///     later block() is not refused.
/// I5  stop() joins every thread but those that were left behind: one that stays where it is, for ever, says so itself. While
///     something is queued, it first gives its seat away in block(). The crew is then never destroyed.
///
/// @par Threads  Everything but the constructor, start_worker() and stop() runs on the crew's own threads; block() accepts any.

#include <sheaf/detail/sync.hpp>

#include <cstdint>

namespace sheaf::detail {

class crew;
class worker;

struct pool_options {
  unsigned workers = 1;                               ///< 0 counts as 1
  unsigned max_spares = 64;                           ///< threads beyond the workers that blocking may start
  void (*on_thread_start)(void*) noexcept = nullptr;  ///< first thing on every thread, with `argument`
  void* argument = nullptr;
};

/// One of the threads.
struct crew_member {
  crew& owner;
  worker* seat;           ///< set before the thread starts, or under lock_ before `called`; null when called to leave
  sync::thread thread{};  ///< set by the starter before `started`
  sync::parker started{};
  sync::parker called{};
  sync::parker ended{};         ///< the thread's life, or its belonging to the crew:
  bool left_behind = false;     ///< set before `ended`; nobody deletes it then
  crew_member* next = nullptr;  ///< in members_
  crew_member* next_idle = nullptr;
};

class crew {
 public:
  enum class block_result { signalled, timed_out, would_deadlock };
  enum class beyond_max_spares : bool { no, yes };

  explicit crew(const pool_options& options) noexcept : options_(options) {}
  crew(const crew&) = delete;
  crew& operator=(const crew&) = delete;

  /// Starts a thread in `seat`. @throws std::system_error, std::bad_alloc: nothing was started
  void start_worker(worker& seat);

  /// See pool::block().
  [[nodiscard]] block_result block(sync::parker& until, sync::nanoseconds deadline, beyond_max_spares allowed) noexcept;

  /// See pool::is_member(), pool::leave_behind().
  [[nodiscard]] bool is_member() const noexcept;
  [[nodiscard]] bool leave_behind(bool work_is_queued) noexcept;

  /// Joins every thread. The seats' loops must have been told to end. Role: a thread outside the crew, once.
  void stop() noexcept;

  /// Spare threads started so far.
  [[nodiscard]] std::uint64_t spares_started() const noexcept { return spares_started_.load(sync::relaxed); }

 private:
  static constexpr unsigned k_idle_spares = 4;  ///< more than these leave

  using member = crew_member;
  /// A thread inside block(); lives on its stack, listed under lock_.
  struct blocked_entry {
    sync::parker& until;
    const sync::nanoseconds deadline;
    worker* seat;  ///< the seat it blocks in; null: it has none, or somebody adopted it
    blocked_entry* next = nullptr;
  };

  void start(worker* seat);
  static void thread_main(void* argument) noexcept;
  static void join(member* gone) noexcept;
  void live(member& me) noexcept;
  [[nodiscard]] worker* next_seat(member& me) noexcept;

  [[nodiscard]] bool hand_over(blocked_entry& entry) noexcept;
  enum class in_place { blocked, spare_has_come, alone, listed_alone };
  [[nodiscard]] in_place block_in_place(blocked_entry& entry, beyond_max_spares allowed) noexcept;
  [[nodiscard]] bool start_relief(blocked_entry& entry) noexcept;
  [[nodiscard]] bool others_run() const noexcept;

  const pool_options options_;
  sync::atomic<std::uint64_t> spares_started_{0};
  sync::mutex lock_;
  // Under lock_:
  bool stopping_ = false;
  unsigned running_ = 0;
  unsigned spares_ = 0;  ///< threads beyond the workers
  unsigned idle_count_ = 0;
  member* idle_ = nullptr;     ///< last in, first out
  member* members_ = nullptr;  ///< every thread that has not left
  member* left_ = nullptr;     ///< the last one that left, not joined yet; it joins the one before it
  blocked_entry* blocked_ = nullptr;
};

}  // namespace sheaf::detail
