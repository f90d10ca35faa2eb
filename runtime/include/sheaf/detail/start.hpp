#pragma once
/// @file
/// How templates hand finished blocks to a runtime.

#include <source_location>
#include <span>
#include <string_view>

#include <sheaf/detail/task_core.hpp>
#include <sheaf/stop_token.hpp>

namespace sheaf::detail {

class runtime_core;

/// The current runtime of this thread. @throws no_runtime naming `caller`
[[nodiscard, gnu::noinline]] runtime_core& current_runtime(const char* caller);

/// How a task enters its runtime.
struct start_options {
  std::string_view name = {};
  stop_ref stop = {};
  std::source_location where = {};
  bool eager = false;       ///< run the first step here and now
  bool structured = false;  ///< a child that a live task awaits: admitted during shutdown too
  bool passive = false;     ///< starts parked: somebody will wake it
};

/// Keeps name, stop and where with a task that nobody else knows. @throws std::bad_alloc
void describe(task_core& core, const start_options& options);

/// Links, numbers and posts the task made in `core`. On failure the work is destroyed, the block freed and the error thrown:
/// runtime_closed, std::bad_alloc (name, stop, where).
[[gnu::noinline]] void start_task(task_core& core, runtime_core& runtime, const start_options& options, const char* caller);

/// start_task() for one made with task_state::initial_posted, without options.
[[gnu::noinline]] void start_posted(task_core& core, runtime_core& runtime, const char* caller);

/// The same for a call that runs on the runtime's blocking pool.
[[gnu::noinline]] void start_blocking(task_core& core, runtime_core& runtime, const start_options& options, const char* caller);

/// What start_task() needs of memory is had beforehand, on the thread that will call it: a structured child without a name then
/// starts without an error. @throws std::bad_alloc
void reserve_start(task_core& core, runtime_core& runtime);

/// Starts several tasks made with task_state::initial_posted or initial_parked; those that have started already are passed over. From
/// its construction on, nothing but reserve() can fail, and the runtime does not stop before its end.
class start_batch {
 public:
  /// @throws runtime_closed, std::bad_alloc: nothing has happened
  start_batch(std::span<task_core* const> cores, runtime_core& runtime, const char* caller);
  start_batch(const start_batch&) = delete;
  start_batch& operator=(const start_batch&) = delete;
  ~start_batch();

  /// One more. @throws std::bad_alloc
  void reserve(task_core& core);
  /// Starts tasks that are reserved, in order, published together.
  void start(std::span<task_core* const> cores) noexcept;

 private:
  runtime_core& runtime_;
  const char* const caller_;
  const bool visiting_;
};

/// Destroys a task that was made and not started.
void discard_unstarted(task_core& core) noexcept;

/// Posts an item that is not a task; its run function ends with posted_done(). Any thread that keeps the runtime alive.
void post_to(runtime_core& runtime, work_item& item) noexcept;
void posted_done(runtime_core& runtime) noexcept;

/// The outcome of a task that was never started is there: its creator has written it, and the runtime, and destroyed the work.
void complete_unlisted(task_core& core) noexcept;

/// The queue entry of every task.
[[gnu::noinline]] void run_task(work_item& item) noexcept;
/// The queue entry of a when_all child that has not started.
[[gnu::noinline]] void run_forked(work_item& item) noexcept;

/// Frees what a core holds beyond its block. Called by every destroy_block before the core is destroyed.
void release_extras(task_core& core) noexcept;

}  // namespace sheaf::detail
