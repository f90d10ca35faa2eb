#pragma once
/// @file
/// What this thread is doing for Sheaf. One thread-local, reached only through a function that is never inlined: a coroutine that
/// changes threads across a suspension must not keep the address of the old thread's variable.

#include <coroutine>
#include <cstdint>

namespace sheaf::detail {

struct crew_member;
class manual_clock_core;
class runtime_core;
class task_core;
class worker;
struct stack_item;

/// What the innermost step on a thread's stack is of.
enum class inside : std::uint8_t { nothing, task, call };

/// Fields are touched by their own thread only.
struct thread_context {
  runtime_core* runtime = nullptr;  ///< where spawn() goes: set on the runtime's own threads, by enter(), and for each step
  runtime_core* owner = nullptr;    ///< the runtime this thread belongs to (worker, spare, timer, blocking thread); else null
  task_core* task = nullptr;        ///< the task whose step runs here; null between steps, and once it has ended
  inside step = inside::nothing;    ///< kept while what has ended is told of and destroyed
  unsigned claims = 0;              ///< tasks run in place on this stack by blocked get() calls
  stack_item* in_place = nullptr;   ///< the innermost item run in place: src/this_stack.hpp
  crew_member* member = nullptr;    ///< which thread of a pool this is, seated or not; else null
  worker* seat = nullptr;           ///< the worker this thread occupies; null elsewhere and after a blocked get() gave it away

  std::coroutine_handle<> transfer_to;  ///< with step_end::transfer: what the loop resumes next

  bool catches = false;           ///< the first task of this runtime that is woken here is not posted:
  bool caught_cancelled = false;  ///< (it has a request to see)
  task_core* caught = nullptr;    ///< the loop goes on with it; this thread holds its running

  manual_clock_core* firing = nullptr;  ///< the clock whose instant fires here

  std::uint64_t id = 0;  ///< the next task's id: unique, increasing per thread
  std::uint64_t ids_end = 0;
  std::uint64_t next_id() noexcept {
    if (id == ids_end) id = start_id_block();
    return id++;
  }
  std::uint32_t time = 0;       ///< milliseconds since the runtime began, read at most a step or some spawns ago,
  std::uint32_t time_uses = 0;  ///< and how often it may be used before it is read again

  /// A small number, consecutive over threads: spreads them over the shards of what they share.
  unsigned shard() noexcept {
    if (shard_ == 0) shard_ = next_shard();
    return shard_;
  }

 private:
  std::uint64_t start_id_block() noexcept;
  [[nodiscard]] static std::uint8_t next_shard() noexcept;

  std::uint8_t shard_ = 0;  ///< 0: not chosen yet
};

[[nodiscard, gnu::noinline]] thread_context& context() noexcept;

}  // namespace sheaf::detail
