#pragma once
/// @file
/// The work-stealing pool: seats (worker.hpp), the threads that serve them (crew.hpp), the queue for everybody else
/// (injection_queue.hpp) and the rule whom a push wakes (idle_set.hpp).
///
/// Items posted from one thread, by post() alone, start in order as long as no worker but one takes them; every item runs exactly
/// once, on some thread of the pool.

#include <sheaf/detail/sync.hpp>
#include <sheaf/work_item.hpp>

#include "crew.hpp"
#include "idle_set.hpp"
#include "injection_queue.hpp"
#include "this_thread.hpp"
#include "worker.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace sheaf::detail {

class pool {
 public:
  using block_result = crew::block_result;

  /// Starts the workers. @throws std::system_error, std::bad_alloc: whatever had been started is joined first
  explicit pool(pool_options options);
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;
  ~pool() { stop(); }

  /// On one of this pool's workers: behind its ready items; elsewhere: the injection queue. May still be returning on a foreign
  /// thread when the item has run and the pool is stopped: stop() waits for it. False, from a thread without a seat here: stop() came
  /// first, and the item is still the caller's, who keeps the pool alive then.
  /// @par Threads  Any.
  /// @par Cost  No allocation but for a queue's rare doubling, without which the item goes to the injection queue.
  bool post(work_item& item) noexcept {
    worker* const seat = own_seat();
    if (seat == nullptr) return inject({&item, 1});
    post_from(*seat, item);
    return true;
  }
  /// post() in `seat`.
  /// @par Threads  The one in `seat`.
  void post_from(worker& seat, work_item& item) noexcept {
    seat.push_ready(item);
    notify_others();
  }

  /// On one of this pool's workers, when there are several: the item that this worker runs next, the displaced one being posted.
  /// Else as post().
  /// @par Threads  Any.
  bool post_newest(work_item& item) noexcept {
    worker* const seat = own_seat();
    if (seat == nullptr || !shared_) return post(item);
    seat->push_newest(item);
    idle_.notify();
    return true;
  }

  /// Behind what is queued here now. Else as post().
  /// @par Threads  Any.
  bool post_last(work_item& item) noexcept { return inject({&item, 1}); }

  /// As post() for each of `count` items linked by `next`, with one publication for all of them.
  /// @par Threads  Any.
  bool post_chain(work_item* first, std::size_t count) noexcept;

  /// A child of a fork-join: the newest is popped by this worker, the oldest is stolen by others.
  /// @par Threads  The one in `seat`.
  void push_fork(worker& seat, work_item& item) noexcept {
    seat.push_fork(item);
    notify_others();
  }

  /// The newest fork of this seat that nobody has stolen, or null. Stolen are always the oldest.
  /// @par Threads  The one in `seat`.
  [[nodiscard]] work_item* pop_fork(worker& seat) noexcept { return seat.pop_fork(); }

  [[nodiscard]] bool owns(const worker* seat) const noexcept { return seat != nullptr && &seat->owner() == this; }
  [[nodiscard]] unsigned workers() const noexcept { return workers_; }

  /// Waits for `until`. The calling thread's seat, with its queues, goes to a spare; it does not come back: context().seat is
  /// null afterwards, and when the current item returns the thread becomes a spare. Without a spare the thread waits in its seat,
  /// which the next thread to become a spare adopts. would_deadlock, whatever the deadline: no other thread of the pool runs, so
  /// nothing here could end the wait; nothing has changed. With `beyond_max_spares::yes` one more thread is started instead, and
  /// would_deadlock means that none is to be had.
  /// @par Threads  Any; a thread of the pool without a seat is counted as well, a foreign one just waits.
  [[nodiscard]] block_result block(sync::parker& until, sync::nanoseconds deadline = sync::k_forever,
                                   crew::beyond_max_spares allowed = crew::beyond_max_spares::no) noexcept {
    return crew_.block(until, deadline, allowed);
  }
  /// Whether the calling thread is of this pool, seated or not.
  [[nodiscard]] bool is_member() const noexcept { return crew_.is_member(); }
  /// stop() does not wait for the calling thread any more, which goes on with nothing. False: something is queued, and it has to block()
  /// first, for another thread to take its seat.
  /// @par Threads  Of this pool.
  [[nodiscard]] bool leave_behind() noexcept { return crew_.leave_behind(has_work()); }

  /// Runs what was posted before, then joins all threads. Idempotent. From here on only threads with a seat here may post. The caller sees
  /// to it that no item is running that blocks for ever.
  /// @par Threads  One, not of this pool.
  void stop() noexcept;
  /// What was accepted when every worker had been left behind, oldest first.
  /// @par Threads  The one that has called stop().
  [[nodiscard]] work_chain left_over() noexcept { return injection_.drain(); }

  struct metrics {
    std::uint64_t steals;  ///< successful ones, batches counted once
    std::uint64_t parks;   ///< times a worker went to sleep
    std::uint64_t wakes;   ///< times a push woke one
    std::uint64_t spares;  ///< spare threads started
  };
  /// @par Threads  Any. The counters are read one after the other, not at one instant.
  [[nodiscard]] metrics read_metrics() const noexcept;

  // For the workers:
  [[nodiscard]] worker& seat(unsigned i) noexcept { return *seats_[i]; }
  [[nodiscard]] injection_queue& injection() noexcept { return injection_; }
  [[nodiscard]] idle_set& idle() noexcept { return idle_; }
  [[nodiscard]] bool has_work() const noexcept;
  [[nodiscard]] bool stopping() const noexcept {
    // order: acquire: what was posted before stop() is seen by the look that follows; peer: stop().
    return stopping_.load(sync::acquire);
  }

 private:
  [[nodiscard]] worker* own_seat() const noexcept {
    worker* const seat = this_thread.seat;
    return owns(seat) ? seat : nullptr;
  }
  /// After a push by the thread in a seat: in a pool of one worker nobody else could take it.
  void notify_others() noexcept {
    if (shared_) idle_.notify();
  }
  bool inject(work_chain chain) noexcept;

  const unsigned workers_;
  const bool shared_;  ///< more than one worker
  std::unique_ptr<std::unique_ptr<worker>[]> seats_;
  crew crew_;
  sync::atomic<bool> stopping_{false};
  alignas(k_cache_line) idle_set idle_;
  alignas(k_cache_line) injection_queue injection_;
  static constexpr std::uint32_t k_closed = std::uint32_t{1} << 31;
  alignas(k_cache_line) sync::atomic<std::uint32_t> injecting_{0};  ///< threads between the two halves of inject(); and k_closed
};

}  // namespace sheaf::detail
