#pragma once
/// @file
/// The threads behind spawn_blocking: an elastic set that runs work items first in, first out.
///
/// Calls may be tiny and many (a cached file takes 5 us) or may block for hours, even on each other. More threads than cores only slow
/// the first kind down; the second kind needs a thread each. So threads are admitted by what the calls turn out to do:
///
///   admitted = stuck + ramp      stuck: threads asleep in a call that has lasted a whole period (1 ms), or computing for sixteen
///                                ramp:  how many others may run calls; base_threads at least
///
/// While calls wait and as many threads are active as are admitted, one more thread watches: each period it counts who is stuck, and
/// doubles `ramp` if none but those ended no call, or if calls mostly slept (voluntary context switches, sampled), else halves it.
/// Whether a thread sleeps the kernel says: one that merely waits for a core must not bring in another. Calls that wait for each other
/// reach the bound in about log2(bound) periods; twenty thousand cached reads stay on base_threads. Nobody watches an empty queue for
/// long, and an idle pool does not tick.
///
///                     submit(), watcher                 queue empty, or more active than admitted
///   idle  ----------------------------------> active  ------------------------------------------> idle
///    |  ^---- queue empty for k_linger periods -- watching <---- calls wait and nobody watches ----'|
///    '---- keep_alive over, or closed --> left (joined by the next to leave, the last by shutdown())
///
/// B1  All fields are under `lock_`; calls run and threads are created outside it.
/// B2  active + idle + watching (0 or 1) + starting as the latter = threads <= max_threads.
/// B3  `waking` active threads have not looked at the queue yet; nobody is woken unless more calls wait than they will take.
/// B4  When calls wait beyond B3, then fewer than `admitted` being active is impossible while a thread can be had, and otherwise
///     somebody watches, unless all max_threads are active. plan() restores this after every change that could break it.
/// B5  The state outlives the pool object until the last thread has left it (abandon()).

#include <cstddef>
#include <cstdint>

#include <sheaf/detail/sync.hpp>
#include <sheaf/work_item.hpp>

namespace sheaf::detail {

class blocking_threads;

class blocking_pool {
 public:
  struct options {
    std::size_t max_threads = 512;                      ///< at least 1
    std::size_t base_threads = 0;                       ///< how many run calls whatever they do; 0: one per core, two at least
    sync::nanoseconds keep_alive = 10'000'000'000;      ///< how long a thread stays without a call; real time
    void (*on_thread_start)(void*) noexcept = nullptr;  ///< on each new thread, before its first call
    void* argument = nullptr;
  };

  explicit blocking_pool(const options& chosen);
  blocking_pool(const blocking_pool&) = delete;
  blocking_pool& operator=(const blocking_pool&) = delete;
  /// After shutdown() returned true, or abandon(); does the former without limit if neither came.
  ~blocking_pool();

  /// Queues `item`. Not after shutdown().
  ///
  /// @par Threads  any
  /// @par Cost     one lock; one futex wake if an idle thread is wanted, or the start of a thread
  /// @throws std::system_error  there is no thread, and the system gives none; `item` is not queued then
  void submit(work_item& item);

  /// Lets queued calls run, idle threads leave, and joins all. False: `deadline` (steady clock) came first; may be called again.
  [[nodiscard]] bool shutdown(sync::nanoseconds deadline) noexcept;
  /// After shutdown() returned false: runs on the calling thread what is still queued, and lets go of the threads still in calls.
  void abandon() noexcept;

  [[nodiscard]] std::size_t threads() const noexcept;
  [[nodiscard]] std::size_t queued() const noexcept;
  [[nodiscard]] std::size_t idle() const noexcept;

 private:
  blocking_threads* state_;
  bool abandoned_ = false;
};

}  // namespace sheaf::detail
