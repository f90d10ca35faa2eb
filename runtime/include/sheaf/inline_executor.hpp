#pragma once
/// @file
/// inline_executor: a host loop (a game, a GUI, a reactor) runs the tasks itself.

#include <cstddef>
#include <functional>

#include <sheaf/executor.hpp>

namespace sheaf {

/// Queues work until the host thread polls. The host is the thread that made the executor.
///
/// @par Threads       poll() and waiting in run() or get(): the host; posting: any
/// @par Lifetime      outlives the runtimes that use it. A runtime that ends on the host's thread polls meanwhile; elsewhere the host must
/// @par Cancellation  cancelled tasks end when they are polled
/// @throws nothing but what poll() names; get() in a task throws would_deadlock unless its target can be run in place
/// @par Cost          no allocation; a lock per item posted and per item taken
class inline_executor final : public executor {
 public:
  /// `on_work` is called, on any thread, when the queue stops being empty: to wake a host that sleeps elsewhere. Must not throw.
  explicit inline_executor(std::function<void()> on_work = {});
  ~inline_executor() override;

  /// Runs at most `limit` of the items queued when it was called, first in, first out. Returns how many ran.
  /// @throws invalid_state on another thread, or in a task
  std::size_t poll(std::size_t limit = static_cast<std::size_t>(-1));

  void post(work_item& item) noexcept override;
  [[nodiscard]] std::size_t concurrency() const noexcept override { return 1; }
  /// On the host it runs what is queued, and looks at the deadline after each item.
  /// A get() that was given up in a task (see coro::get) runs here, on its own stack, what is queued, however deep that leads: what it
  /// then waits for must not need the frame beneath. Left behind there, the host does not come back.
  [[nodiscard]] wait_result wait(detail::sync::parker& parker, detail::sync::nanoseconds deadline,
                                 bool in_task) noexcept override;

 private:
  work_item* take(std::size_t* budget) noexcept;

  const void* host_;
  std::function<void()> on_work_;
  detail::sync::mutex lock_;
  work_item* first_ = nullptr;
  work_item* last_ = nullptr;
  std::size_t count_ = 0;
  detail::sync::parker* waiting_ = nullptr;  ///< under lock_: the host, when it waits for work or for its own wait's end
};

}  // namespace sheaf
