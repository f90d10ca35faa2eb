#pragma once
/// @file
/// The seam under a runtime: who runs its work items.

#include <cstddef>

#include <sheaf/detail/sync.hpp>
#include <sheaf/work_item.hpp>

namespace sheaf {

/// Runs work items on threads of its own choosing. The built-in pool is used unless runtime_options::executor names another one.
///
/// @par Threads       post(), post_last() and concurrency(): any; wait(): the thread that waits
/// @par Lifetime      outlives every runtime that uses it
/// @par Cancellation  knows none: a cancelled task is posted like any other
/// @throws nothing: an item that is accepted runs
/// @par Cost          a virtual call per item beside the implementation's own
class executor {
 public:
  enum class wait_result { signalled, timed_out, would_deadlock };

  executor() = default;
  executor(const executor&) = delete;
  executor& operator=(const executor&) = delete;
  virtual ~executor();

  /// Makes `item` run once, soon, never on this stack. Any thread. Must not allocate in a way that can fail.
  virtual void post(work_item& item) noexcept = 0;
  /// The same, behind everything queued now.
  virtual void post_last(work_item& item) noexcept { post(item); }
  /// How many items may run at once; at least 1.
  [[nodiscard]] virtual std::size_t concurrency() const noexcept = 0;

  /// Blocks the calling thread until `parker` is signalled or `deadline` (steady nanoseconds) passes. `in_task`: the thread is
  /// inside a work item of this executor, which keeps a place that other work may need.
  [[nodiscard]] virtual wait_result wait(detail::sync::parker& parker, detail::sync::nanoseconds deadline, bool in_task) noexcept;
};

}  // namespace sheaf
