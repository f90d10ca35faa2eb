#pragma once
/// @file
/// What a promise and its futures share, without its value type.
///
///   pending --begin_set()--> setting --publish()--> complete
///      ^                        |           ^
///      +----abandon_set()-------+           |
///      +--cancel()--------------------------+
///
/// F1  Under `lock_`: the stage, the counts, the waiters. The outcome is not: in `setting` it is the setter's, made without the lock,
///     because making it runs the user's code; from `complete` on it is read by anybody.
/// F2  A waiter is linked only while the outcome is not there. publish() takes all of them out and wakes them outside the lock; who has
///     been taken out stays alive until its wake. Waking runs none of the user's code.
/// F3  Whoever drops the last claim, the promise's or a future's, destroys the state, and reports an error that nobody has looked at.

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

#include <sheaf/detail/awaiter.hpp>
#include <sheaf/detail/result.hpp>
#include <sheaf/detail/sync.hpp>
#include <sheaf/detail/task_core.hpp>

namespace sheaf {
enum class task_status;
}

namespace sheaf::detail {

class future_core;

/// Who waits: a task, or a thread.
struct future_waiter {
  future_waiter* previous = nullptr;
  future_waiter* next = nullptr;
  task_core* task = nullptr;  ///< null: a thread
  sync::parker* thread = nullptr;
};

/// Waits for the outcome without looking at it.
class future_wait : public awaiter_base {
 public:
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    return suspend(*awaiting.promise().task, awaiting);
  }
  cancel_answer on_cancel(task_core& self) noexcept final;
  wait_reason reason() const noexcept final { return {"a promise", nullptr}; }

 protected:
  explicit future_wait(future_core& awaited) noexcept : awaited_(&awaited) {}
  ~future_wait() = default;
  void throw_if_cancelled() const {
    if (cancelled()) throw_cancelled(*node_.task);
  }
  /// Cancelled, and nobody but the waiting handle can look at the outcome: it is not wanted any more.
  void cancel_if_sole() noexcept;

 private:
  bool suspend(task_core& self, std::coroutine_handle<> handle) noexcept;

  future_core* awaited_;
  future_waiter node_;
};

class future_core {
 public:
  future_core(const future_core&) = delete;
  future_core& operator=(const future_core&) = delete;

  // ---- the promise ----
  /// A second time: invalid_state.
  void take_future();
  /// True: the outcome is the caller's to make, then publish() or abandon_set(). False: there is one, or somebody makes one.
  [[nodiscard]] bool begin_set() noexcept;
  void publish() noexcept;
  void abandon_set() noexcept;
  /// In `setting`: files an error, or a cancelled outcome if it is a `cancelled`.
  void file(std::exception_ptr error, outcome_kind as = outcome_kind::error);
  /// The promise goes: broken_promise, unless there is an outcome.
  void drop_promise() noexcept;

  // ---- the futures ----
  void add_future() noexcept;
  void drop_future() noexcept;
  [[nodiscard]] bool sole_future() const noexcept;
  /// True: this call made the outcome, cancelled.
  bool cancel(std::string_view reason);
  [[nodiscard]] bool done() const noexcept;
  [[nodiscard]] task_status status() const noexcept;
  [[nodiscard]] std::exception_ptr exception(const char* call);
  /// Throws what the outcome says unless it is a value; invalid_state when there is none.
  void throw_unless_value(const char* call);
  /// Blocks this thread; a task's as one that waits for a task.
  void wait_blocking();

 protected:
  future_core() = default;
  virtual ~future_core() = default;
  [[nodiscard]] virtual result_header& header() noexcept = 0;

 private:
  friend class future_wait;
  enum class stage : std::uint8_t { pending, setting, complete };

  void unlink(future_waiter& waiter) noexcept;
  /// True: it has been linked. False: the outcome is there.
  [[nodiscard]] bool link(future_waiter& waiter) noexcept;
  void mark_observed() noexcept;
  void end_claim(sync::lock_guard<sync::mutex>& guard) noexcept;

  mutable sync::mutex lock_;
  stage stage_ = stage::pending;
  bool promised_ = true;     ///< the promise exists
  bool taken_ = false;       ///< get_future() was called
  bool unobserved_ = false;  ///< an error that nobody has looked at
  std::size_t futures_ = 0;
  future_waiter* first_ = nullptr;
  future_waiter* last_ = nullptr;
};

/// `error`, of a promise: said once, to the current runtime's hook or on stderr.
void report_unobserved(const std::exception_ptr& error) noexcept;

}  // namespace sheaf::detail
