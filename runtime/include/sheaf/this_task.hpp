#pragma once
/// @file
/// What a task can say of itself.

#include <string>

#include <sheaf/cancel_token.hpp>
#include <sheaf/coro.hpp>
#include <sheaf/task.hpp>

namespace sheaf {

namespace detail {

/// Goes behind every other runnable task once. Cancellable: a request pending then is delivered.
class yield_awaiter final : public awaiter_base {
 public:
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    self_ = awaiting.promise().task;
    yield_in(*self_, *this, awaiting);
  }
  void await_resume() const {
    if (cancelled()) throw_cancelled(*self_);
  }
  cancel_answer on_cancel(task_core&) noexcept final { return cancel_answer::stay; }
  wait_reason reason() const noexcept final { return {"its turn", nullptr}; }

 private:
  task_core* self_ = nullptr;
};

/// The task whose step runs on this thread. @throws invalid_state outside a task
[[nodiscard]] task_core& running_task(const char* call);

}  // namespace detail

/// Called inside a task (a coroutine, a callable or a blocking call).
///
/// @par Threads       the thread that runs the task's step
/// @par Lifetime      handle() and token() keep the task's block alive
/// @par Cancellation  yield() and check_cancelled() deliver a pending request
/// @throws invalid_state outside a task, from anything but yield(), which is awaited; std::bad_alloc from name()
/// @par Cost          a look at a thread-local; yield() a trip through the queue
namespace this_task {

/// `co_await this_task::yield()`: lets every other runnable task go first.
[[nodiscard]] inline detail::yield_awaiter yield() noexcept { return {}; }
[[nodiscard]] inline any_task handle() {
  return detail::task_access::share<any_result>(detail::running_task("this_task::handle"));
}
[[nodiscard]] inline cancel_token token() { return cancel_token(detail::running_task("this_task::token")); }
/// @throws cancelled when a request is pending, which is thereby delivered
void check_cancelled();
[[nodiscard]] inline std::string name() { return detail::name_of(detail::running_task("this_task::name")); }
[[nodiscard]] inline std::uint64_t id() { return detail::id_of(detail::running_task("this_task::id")); }
/// Cancel requests that have not been taken back.
[[nodiscard]] inline unsigned cancelling() { return detail::running_task("this_task::cancelling").state.requests(); }
/// Takes one request back, after its `cancelled` was caught. Returns how many are left.
inline unsigned uncancel() { return detail::running_task("this_task::uncancel").state.uncancel(); }

}  // namespace this_task
}  // namespace sheaf
