#pragma once
/// @file
/// gate: what a test orders events with, instead of sleeping.

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <memory>
#include <utility>

#include <sheaf/coro.hpp>
#include <sheaf/detail/awaiter.hpp>
#include <sheaf/detail/sync.hpp>
#include <sheaf/detail/task_core.hpp>
#include <sheaf/errors.hpp>

namespace sheaf::test {

/// Shut until somebody opens it, then open for good. A copy is the same gate.
///
/// @par Threads  open(), is_open() and parked(): any. wait(): a plain or a blocking thread. co_await: a task, cancellable.
class gate {
  class awaiter;
  struct shared {
    detail::sync::mutex lock;
    bool open = false;         ///< under lock
    awaiter* first = nullptr;  ///< under lock
    std::size_t count = 0;     ///< under lock: awaiters linked
    detail::sync::parker threads;
  };

 public:
  gate() : shared_(std::make_shared<shared>()) {}

  void open() const noexcept;
  [[nodiscard]] bool is_open() const noexcept { return shared_->threads.signalled(); }
  void wait() const noexcept { shared_->threads.wait(); }
  /// Tasks that wait here now.
  [[nodiscard]] std::size_t parked() const noexcept {
    const detail::sync::lock_guard guard(shared_->lock);
    return shared_->count;
  }
  [[nodiscard]] awaiter operator co_await() const;

 private:
  std::shared_ptr<shared> shared_;
};

class gate::awaiter final : public detail::awaiter_base {
 public:
  explicit awaiter(std::shared_ptr<shared> gate) noexcept : gate_(std::move(gate)) {}
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    self_ = awaiting.promise().task;
    const detail::sync::lock_guard guard(gate_->lock);
    if (gate_->open) return false;
    detail::begin_wait(*self_, *this, awaiting);
    next_ = gate_->first;
    if (next_ != nullptr) next_->previous_ = this;
    gate_->first = this;
    ++gate_->count;
    return true;
  }
  void await_resume() const {
    if (cancelled()) detail::throw_cancelled(*self_);
  }
  detail::cancel_answer on_cancel(detail::task_core&) noexcept override {
    const detail::sync::lock_guard guard(gate_->lock);
    if (gate_->open) return detail::cancel_answer::stay;
    if (next_ != nullptr) next_->previous_ = previous_;
    (previous_ != nullptr ? previous_->next_ : gate_->first) = next_;
    --gate_->count;
    return detail::cancel_answer::give_up;
  }
  detail::wait_reason reason() const noexcept override { return {"a gate", nullptr}; }

 private:
  friend class gate;
  std::shared_ptr<shared> gate_;
  detail::task_core* self_ = nullptr;
  awaiter* next_ = nullptr;
  awaiter* previous_ = nullptr;
};

inline gate::awaiter gate::operator co_await() const { return awaiter(shared_); }

inline void gate::open() const noexcept {
  const std::shared_ptr<shared> keep = shared_;  // who is let through may drop the last gate
  awaiter* waiting = nullptr;
  {
    const detail::sync::lock_guard guard(keep->lock);
    keep->open = true;
    waiting = std::exchange(keep->first, nullptr);
    keep->count = 0;
  }
  keep->threads.signal();
  while (waiting != nullptr) {
    awaiter* const next = waiting->next_;
    detail::wake(*waiting->self_);  // the awaiter may be gone now
    waiting = next;
  }
}

/// Waits at `gate`, however often it is asked to stop. Returns how often it was; `heard` shows it meanwhile. That the task waits at the
/// gate does not tell that a request has reached it.
inline coro<int> pass_stubbornly(gate gate, std::atomic<int>* heard = nullptr) {
  for (int asked = 0;;) {
    try {
      co_await gate;
      co_return asked;
    } catch (const cancelled&) {
      ++asked;
      if (heard != nullptr) heard->store(asked);
    }
  }
}

/// Waits to be asked to stop, in the caller's task. True: it was.
inline coro<bool> until_asked_to_stop() {
  const gate never;
  try {
    co_await never;
  } catch (const cancelled&) {
    co_return true;
  }
  co_return false;
}

}  // namespace sheaf::test
