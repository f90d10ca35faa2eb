#include <sheaf/detail/future_core.hpp>

#include <utility>

#include <sheaf/coro.hpp>
#include <sheaf/detail/context.hpp>
#include <sheaf/errors.hpp>
#include <sheaf/spawn.hpp>
#include <sheaf/task.hpp>

namespace sheaf::detail {

using sync::lock_guard;

namespace {

/// How a promise stands in the text of a task_cancelled.
constexpr const char* k_name = "behind a promise";

std::exception_ptr make_cancelled_error(std::string reason) {
  return std::make_exception_ptr(task_cancelled(k_name, std::move(reason)));
}

}  // namespace

// ---- waiting -----------------------------------------------------------------------------------------------------------------

bool future_core::link(future_waiter& waiter) noexcept {
  if (stage_ == stage::complete) return false;
  waiter.previous = last_;
  (last_ != nullptr ? last_->next : first_) = &waiter;
  last_ = &waiter;
  return true;
}

void future_core::unlink(future_waiter& waiter) noexcept {
  (waiter.previous != nullptr ? waiter.previous->next : first_) = waiter.next;
  (waiter.next != nullptr ? waiter.next->previous : last_) = waiter.previous;
}

bool future_wait::suspend(task_core& self, std::coroutine_handle<> handle) noexcept {
  node_.task = &self;
  {
    const lock_guard guard(awaited_->lock_);
    if (awaited_->stage_ != future_core::stage::complete) {
      begin_wait(self, *this, handle);
      return awaited_->link(node_);
    }
  }
  if (may_skip_suspension(self)) return false;
  yield_in(self, *this, handle);
  return true;
}

cancel_answer future_wait::on_cancel(task_core&) noexcept {
  const lock_guard guard(awaited_->lock_);
  if (awaited_->stage_ == future_core::stage::complete) return cancel_answer::stay;  // F2: the wake is on its way
  awaited_->unlink(node_);
  return cancel_answer::give_up;
}

void future_wait::cancel_if_sole() noexcept {
  if (!awaited_->sole_future()) return;
  try {
    awaited_->cancel(cancel_reason_of(*node_.task));
  } catch (...) {  // no memory to tell the promise
  }
}

namespace {

class plain_wait final : public future_wait {
 public:
  explicit plain_wait(future_core& awaited) noexcept : future_wait(awaited) {}
  void await_resume() const { throw_if_cancelled(); }
};

coro<> wait_in_task(future_core& awaited) { co_await plain_wait(awaited); }

}  // namespace

void future_core::wait_blocking() {
  if (done()) return;
  if (context().runtime != nullptr) {
    // As any wait of that runtime: its workers are kept busy, manual time moves, what can never end is told.
    coro<> waiting = wait_in_task(*this);
    return std::move(waiting).get();
  }
  sync::parker thread;
  future_waiter node{.thread = &thread};
  {
    const lock_guard guard(lock_);
    if (!link(node)) return;
  }
  thread.wait();
}

// ---- the outcome -------------------------------------------------------------------------------------------------------------

bool future_core::begin_set() noexcept {
  const lock_guard guard(lock_);
  if (stage_ != stage::pending) return false;
  stage_ = stage::setting;
  return true;
}

void future_core::abandon_set() noexcept {
  const lock_guard guard(lock_);
  stage_ = stage::pending;
}

void future_core::publish() noexcept {
  future_waiter* waiter = nullptr;
  {
    const lock_guard guard(lock_);
    stage_ = stage::complete;
    unobserved_ = header().failed();
    waiter = std::exchange(first_, nullptr);
    last_ = nullptr;
  }
  for (auto* wake_one = &wake; waiter != nullptr;) {
    future_waiter* const next = waiter->next;
    if (waiter->task != nullptr) {
      wake_one(*waiter->task);  // the waiter may be gone now
      wake_one = &wake_behind;
    } else {
      waiter->thread->signal();
    }
    waiter = next;
  }
}

void future_core::file(std::exception_ptr error, outcome_kind as) {
  if (!error) error = make_cancelled_error({});  // an outcome without a cause
  // A bare `cancelled` is what a task sees of a request to itself: readers get what another's cancelled outcome is told by.
  try {
    std::rethrow_exception(error);
  } catch (const task_cancelled&) {
    as = outcome_kind::cancelled;
  } catch (const cancelled& caught) {
    as = outcome_kind::cancelled;
    error = make_cancelled_error(caught.reason());
  } catch (...) {
  }
  header().set_error(as, std::move(error));
}

bool future_core::cancel(std::string_view reason) {
  std::exception_ptr error = make_cancelled_error(std::string(reason));
  if (!begin_set()) return false;
  header().set_error(outcome_kind::cancelled, std::move(error));
  publish();
  return true;
}

// ---- claims ------------------------------------------------------------------------------------------------------------------

void future_core::take_future() {
  const lock_guard guard(lock_);
  if (taken_) throw invalid_state("get_future() was called before: copy the future it gave");
  taken_ = true;
  ++futures_;
}

void future_core::add_future() noexcept {
  const lock_guard guard(lock_);
  ++futures_;
}

void future_core::drop_future() noexcept {
  lock_guard guard(lock_);
  --futures_;
  end_claim(guard);
}

void future_core::drop_promise() noexcept {
  if (begin_set()) {
    header().set_error(outcome_kind::error, std::make_exception_ptr(broken_promise()));
    publish();
    mark_observed();  // nobody made this error: there is nothing to report
  }
  lock_guard guard(lock_);
  promised_ = false;
  end_claim(guard);
}

void future_core::end_claim(lock_guard<sync::mutex>& guard) noexcept {
  const bool last = !promised_ && futures_ == 0;
  guard.unlock();
  if (!last) return;
  if (unobserved_) report_unobserved(header().error());
  delete this;
}

bool future_core::sole_future() const noexcept {
  const lock_guard guard(lock_);
  return futures_ == 1;
}

// ---- what a future shows -----------------------------------------------------------------------------------------------------

bool future_core::done() const noexcept {
  const lock_guard guard(lock_);
  return stage_ == stage::complete;
}

void future_core::mark_observed() noexcept {
  const lock_guard guard(lock_);
  unobserved_ = false;
}

task_status future_core::status() const noexcept {
  if (!done()) return task_status::pending;
  switch (const_cast<future_core*>(this)->header().kind) {
    case outcome_kind::value:
      return task_status::succeeded;
    case outcome_kind::error:
      return task_status::failed;
    default:
      return task_status::cancelled;
  }
}

std::exception_ptr future_core::exception(const char* call) {
  if (!done()) throw invalid_state(std::string(call) + ": the promise has no outcome yet");
  if (header().kind == outcome_kind::value) return nullptr;
  mark_observed();
  return header().error();
}

void future_core::throw_unless_value(const char* call) {
  if (std::exception_ptr error = exception(call)) std::rethrow_exception(std::move(error));
}

}  // namespace sheaf::detail
