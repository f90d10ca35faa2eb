#pragma once
/// @file
/// tbb_executor: tasks run on the threads of a oneTBB arena, for programs whose threads already belong to oneTBB.

#include <cstddef>
#include <memory>

#include <sheaf/executor.hpp>

namespace sheaf {

/// Runs work items in an arena of its own, each isolated, so that oneTBB's waits elsewhere never pick them up under a lock.
///
/// @par Threads       any
/// @par Lifetime      outlives the runtimes that use it
/// @par Cancellation  cancelled tasks end on the arena's threads
/// @throws what oneTBB throws from the constructor
/// @par Cost          oneTBB's enqueue per item. While it lives, a global_control bounds oneTBB's parallelism in the whole program
class tbb_executor final : public executor {
 public:
  /// `concurrency` 0: one per usable core.
  explicit tbb_executor(std::size_t concurrency = 0);
  ~tbb_executor() override;

  void post(work_item& item) noexcept override;
  [[nodiscard]] std::size_t concurrency() const noexcept override;
  /// A task that waits blocks its arena thread while another one is not blocked; the last one gets would_deadlock. Not so where the other
  /// is in a get() that was given up (see coro::get): between two of its looks it does not count as blocked. A thread that a runtime has
  /// left behind is lost to oneTBB, in this arena and in the program's limit.
  [[nodiscard]] wait_result wait(detail::sync::parker& parker, detail::sync::nanoseconds deadline,
                                 bool in_task) noexcept override;

 private:
  struct arena;
  std::unique_ptr<arena> arena_;
};

}  // namespace sheaf
