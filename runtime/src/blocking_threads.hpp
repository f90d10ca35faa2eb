#pragma once
/// @file
/// The shared state of a blocking_pool and its threads. States and invariants: blocking_pool.hpp.

#include <cstddef>
#include <cstdint>
#include <span>

#include <sheaf/detail/sync.hpp>
#include <sheaf/work_item.hpp>

#include "blocking_pool.hpp"
#include "thread_activity.hpp"

namespace sheaf::detail {

/// One thread of the pool. All but `thread` and the parkers is under the pool's lock.
///
/// Whoever changes the duty of a thread that sleeps signals its `parker` once, after the lock. The thread, awake for any reason, finds
/// its duty changed and takes that signal in before it goes on: so no signal reaches a thread that has left.
struct blocking_thread {
  enum class duty : std::uint8_t { idle, call, watch, leave };

  blocking_threads* pool = nullptr;
  duty on = duty::idle;
  bool stuck = false;
  std::uint32_t calls = 0;       ///< how many it has taken
  std::uint32_t calls_seen = 0;  ///< as the watcher found it a period ago
  std::uint32_t periods = 0;     ///< for how many periods it has been in the same call
  kernel_thread_id id = 0;
  long sleeps_before = 0;           ///< its voluntary context switches when sampled last
  bool sampling = false;            ///< sleeps_before is from this stretch of calls
  blocking_thread* prev = nullptr;  ///< in the list of idle or of running threads
  blocking_thread* next = nullptr;
  sync::parker parker;
  sync::parker started;  ///< `thread` is set
  sync::thread thread;
};

/// A doubly linked list of threads, newest first.
struct blocking_thread_list {
  blocking_thread* first = nullptr;
  std::size_t size = 0;
  void push(blocking_thread& thread) noexcept;
  void remove(blocking_thread& thread) noexcept;
};

class blocking_threads {
 public:
  explicit blocking_threads(const blocking_pool::options& chosen) noexcept;

  void submit(work_item& item);
  bool shutdown(sync::nanoseconds deadline) noexcept;
  void abandon() noexcept;
  void drop_reference() noexcept;

  struct counts {
    std::size_t threads, queued, idle;
  };
  [[nodiscard]] counts count() noexcept;

 private:
  using duty = blocking_thread::duty;
  struct action {
    enum class kind : std::uint8_t { nothing, wake, create } what = kind::nothing;
    duty as = duty::idle;
    blocking_thread* thread = nullptr;
  };

  /// A thread that has been in one call for a period; the kernel is asked whether it sleeps.
  struct suspect {
    kernel_thread_id thread = 0;
    std::uint32_t calls = 0;
  };
  /// How many are asked about in one period at most.
  static constexpr std::size_t k_suspects = 64;

  static void run_thread(void* self) noexcept;
  void run(blocking_thread& self) noexcept;
  void make_calls(blocking_thread& self) noexcept;
  void watch(blocking_thread& self) noexcept;
  bool rest(blocking_thread& self) noexcept;
  void take_signal(blocking_thread& self) noexcept;
  void leave(blocking_thread& self) noexcept;

  [[nodiscard]] std::size_t admitted() const noexcept;
  [[nodiscard]] action plan() noexcept;
  bool perform(const action& chosen) noexcept;
  bool create(duty as) noexcept;
  void end_start() noexcept;
  void start_period(bool fresh) noexcept;
  void mark_stuck(blocking_thread& thread) noexcept;
  std::size_t mark_stuck(std::span<const suspect> asleep) noexcept;
  void count_sleeps(blocking_thread& self, long sleeps) noexcept;
  work_item* pop() noexcept;
  void take_back(work_item& item) noexcept;
  void run_leftovers() noexcept;

  const blocking_pool::options options_;
  const std::size_t base_;
  sync::atomic<std::size_t> references_{1};

  sync::mutex lock_;
  work_item* queue_first_ = nullptr;
  work_item* queue_last_ = nullptr;
  std::size_t queued_ = 0;

  std::size_t threads_ = 0;
  std::size_t active_ = 0;
  std::size_t waking_ = 0;
  std::size_t stuck_ = 0;
  std::size_t ramp_;
  blocking_thread_list idle_;
  blocking_thread_list running_;        ///< in a call and not stuck
  bool watched_ = false;                ///< a thread watches or has been told to
  blocking_thread* watcher_ = nullptr;  ///< once it does

  std::uint64_t finished_ = 0;       ///< calls, ever
  std::uint64_t finished_seen_ = 0;  ///< as the watcher found it a period ago
  std::uint64_t sampled_calls_ = 0;  ///< in this period
  std::uint64_t sampled_sleeps_ = 0;

  bool closed_ = false;
  bool abandoned_ = false;
  std::size_t starting_ = 0;  ///< threads that may still call on_thread_start
  blocking_thread* last_left_ = nullptr;
  sync::parker all_left_;     ///< closed, and no thread is left
  sync::parker all_started_;  ///< abandoned, and none is starting
};

}  // namespace sheaf::detail
