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
/// I4  At most `workers + max_spares` threads exist.
///
/// @par Threads  Everything but the constructor, start_worker() and stop() runs on the crew's own threads; block() accepts any.

#include <sheaf/detail/sync.hpp>

#include <cstdint>

namespace sheaf::detail {

class worker;

struct pool_options {
  unsigned workers = 1;                               ///< 0 counts as 1
  unsigned max_spares = 64;                           ///< threads beyond the workers that blocking may start
  void (*on_thread_start)(void*) noexcept = nullptr;  ///< first thing on every thread, with `argument`
  void* argument = nullptr;
};

class crew {
 public:
  enum class block_result { signalled, timed_out, would_deadlock };

  explicit crew(const pool_options& options) noexcept : options_(options) {}
  crew(const crew&) = delete;
  crew& operator=(const crew&) = delete;

  /// Starts a thread in `seat`. @throws std::system_error, std::bad_alloc: nothing was started
  void start_worker(worker& seat);

  /// See pool::block().
  [[nodiscard]] block_result block(sync::parker& until, sync::nanoseconds deadline) noexcept;

  /// Joins every thread. The seats' loops must have been told to end. Role: a thread outside the crew, once.
  void stop() noexcept;

  /// Spare threads started so far.
  [[nodiscard]] std::uint64_t spares_started() const noexcept { return spares_started_.load(sync::relaxed); }

 private:
  static constexpr unsigned k_idle_spares = 4;  ///< more than these leave

  struct member {
    crew& owner;
    worker* seat;           ///< set before the thread starts, or under lock_ before `called`; null when called to leave
    sync::thread thread{};  ///< set by the starter before `started`
    sync::parker started{};
    sync::parker called{};
    member* next = nullptr;  ///< in members_
    member* next_idle = nullptr;
  };
  /// A thread inside block(); lives on its stack, listed under lock_.
  struct blocked_entry {
    sync::parker& until;
    const sync::nanoseconds deadline;
    worker* seat;  ///< the seat it blocks in; null: it has none, or somebody adopted it
    blocked_entry* next = nullptr;
  };

  void start(worker& seat);
  static void thread_main(void* argument) noexcept;
  static void join(member* gone) noexcept;
  void live(member& me) noexcept;
  [[nodiscard]] worker* next_seat(member& me) noexcept;

  [[nodiscard]] bool hand_over(blocked_entry& entry) noexcept;
  enum class in_place { blocked, spare_has_come, alone };
  [[nodiscard]] in_place block_in_place(blocked_entry& entry) noexcept;
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
