#include <sheaf/tbb_executor.hpp>

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <vector>

namespace sheaf {

namespace tbb = oneapi::tbb;

namespace {

/// What oneTBB carries to its thread. Copied member by member, in this file: ThreadSanitizer sees the copy and not what orders it.
class isolated_run {
 public:
  explicit isolated_run(work_item& item) noexcept : item_(&item) {}
  isolated_run(const isolated_run& other) noexcept : item_(other.item_) {}
  isolated_run& operator=(const isolated_run&) = delete;
  ~isolated_run() = default;
  void operator()() const {
    work_item* const item = item_;
    detail::sync::received(item);
    tbb::this_task_arena::isolate([item] { item->run(); });
  }

 private:
  work_item* item_;
};

}  // namespace

struct tbb_executor::arena {
  explicit arena(std::size_t concurrency)
      : threads(tbb::global_control::max_allowed_parallelism, concurrency + 1),
        tasks(static_cast<int>(concurrency), /*reserved_for_masters=*/0),
        size(concurrency) {
    blocked.reserve(concurrency);
    tasks.initialize();
  }

  tbb::global_control threads;  ///< oneTBB counts the program's main thread among the allowed
  tbb::task_arena tasks;
  const std::size_t size;
  detail::sync::mutex lock;
  std::vector<detail::sync::parker*> blocked;  ///< under lock: of the tasks that wait; room for all is reserved
};

tbb_executor::tbb_executor(std::size_t concurrency)
    : arena_(std::make_unique<arena>(concurrency != 0 ? concurrency : detail::sync::usable_cores())) {}
tbb_executor::~tbb_executor() = default;

void tbb_executor::post(work_item& item) noexcept {
  detail::sync::published(&item);
  arena_->tasks.enqueue(isolated_run(item));
}

std::size_t tbb_executor::concurrency() const noexcept { return arena_->size; }

executor::wait_result tbb_executor::wait(detail::sync::parker& parker, detail::sync::nanoseconds deadline,
                                         bool in_task) noexcept {
  if (!in_task) return executor::wait(parker, deadline, in_task);
  {
    const detail::sync::lock_guard guard(arena_->lock);
    // A waiter that has been signalled is about to run again.
    const auto asleep = std::ranges::count_if(arena_->blocked, [](const auto* each) { return !each->signalled(); });
    if (static_cast<std::size_t>(asleep) + 1 >= arena_->size && deadline == detail::sync::k_forever)
      return wait_result::would_deadlock;
    arena_->blocked.push_back(&parker);
  }
  const wait_result ended = executor::wait(parker, deadline, in_task);
  const detail::sync::lock_guard guard(arena_->lock);
  std::erase(arena_->blocked, &parker);
  return ended;
}

}  // namespace sheaf
