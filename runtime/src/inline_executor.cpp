#include <sheaf/inline_executor.hpp>

#include <algorithm>
#include <utility>

#include <sheaf/detail/context.hpp>
#include <sheaf/errors.hpp>

namespace sheaf {

namespace {
/// On the parker of a waiting host: work has come. Waits use the low bits.
constexpr std::uint32_t k_work = std::uint32_t{1} << 31;
}  // namespace

inline_executor::inline_executor(std::function<void()> on_work) : host_(&detail::context()), on_work_(std::move(on_work)) {}
inline_executor::~inline_executor() = default;

void inline_executor::post(work_item& item) noexcept {
  bool was_empty = false;
  {
    const detail::sync::lock_guard guard(lock_);
    item.next = nullptr;
    was_empty = first_ == nullptr;
    (last_ != nullptr ? last_->next : first_) = &item;
    last_ = &item;
    ++count_;
    if (waiting_ != nullptr) waiting_->signal(k_work);
  }
  if (was_empty && on_work_) on_work_();
}

work_item* inline_executor::take(std::size_t* budget) noexcept {
  const detail::sync::lock_guard guard(lock_);
  if (first_ == nullptr || *budget == 0) return nullptr;
  --*budget;
  work_item* const item = first_;
  first_ = item->next;
  if (first_ == nullptr) last_ = nullptr;
  --count_;
  return item;
}

std::size_t inline_executor::poll(std::size_t limit) {
  if (&detail::context() != host_)
    throw invalid_state("inline_executor::poll: only the thread that made the executor runs its work");
  if (detail::context().step != detail::inside::nothing) throw invalid_state("inline_executor::poll was called in a task");
  std::size_t budget = 0;
  {
    const detail::sync::lock_guard guard(lock_);
    budget = std::min(limit, count_);
  }
  std::size_t ran = 0;
  while (work_item* const item = take(&budget)) {
    item->run();
    ++ran;
  }
  return ran;
}

executor::wait_result inline_executor::wait(detail::sync::parker& parker, detail::sync::nanoseconds deadline,
                                            bool in_task) noexcept {
  if (in_task) return wait_result::would_deadlock;
  if (&detail::context() != host_) return executor::wait(parker, deadline, in_task);
  for (;;) {
    if ((parker.signals() & ~k_work) != 0) return wait_result::signalled;
    std::size_t one = 1;
    work_item* const item = take(&one);
    if (item != nullptr) item->run();
    if (deadline != detail::sync::k_forever && detail::sync::now() >= deadline)
      return (parker.signals() & ~k_work) != 0 ? wait_result::signalled : wait_result::timed_out;
    if (item != nullptr) continue;
    {
      const detail::sync::lock_guard guard(lock_);
      if (first_ != nullptr) continue;
      waiting_ = &parker;
    }
    parker.wait(deadline);
    {
      const detail::sync::lock_guard guard(lock_);
      waiting_ = nullptr;
    }
    parker.reset(k_work);
  }
}

executor::~executor() = default;

executor::wait_result executor::wait(detail::sync::parker& parker, detail::sync::nanoseconds deadline, bool) noexcept {
  return parker.wait(deadline) ? wait_result::signalled : wait_result::timed_out;
}

}  // namespace sheaf
