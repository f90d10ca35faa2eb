#pragma once
/// @file
/// What an executor runs: an intrusive node that is its own queue entry, so posting allocates nothing.

namespace sheaf {

/// A unit of work in at most one queue at a time.
///
/// @par Threads       owned by whoever queued it until run() is called
/// @par Lifetime      run() may free it
/// @par Cancellation  none: it runs once, whatever has been asked of its task
/// @throws nothing: run() is noexcept
/// @par Cost          two words; queueing allocates nothing
class work_item {
 public:
  using function = void (*)(work_item&) noexcept;
  explicit work_item(function entry) noexcept : run_(entry) {}
  work_item(const work_item&) = delete;
  work_item& operator=(const work_item&) = delete;

  /// Runs the work once. The item may be gone, or queued again elsewhere, when this returns.
  void run() noexcept { run_(*this); }

  work_item* next = nullptr;  ///< The queue's link, free for the executor to use between post() and run().

 protected:
  ~work_item() = default;
  void set_run(function entry) noexcept { run_ = entry; }

 private:
  function run_;
};

}  // namespace sheaf
