#pragma once
/// @file
/// The state of one timeout scope: a deadline that asks the task that opened it to stop.
///
///   active --(the deadline passes)--> expiring --end()--> expired
///      \\__end()__> finished
///
/// O1  phase and deadline are under lock_. Whoever moves active to expiring fires the scope, once, outside the lock.
/// O2  An armed timer keeps the core alive; it is armed only while active, under lock_, so never after end().
/// O3  end() closes the cancel_scope: a deadline that passes at that moment either is its error or is nothing at all.

#include <cstdint>
#include <memory>
#include <string>

#include <sheaf/detail/cancel_scope.hpp>
#include <sheaf/detail/sync.hpp>
#include <sheaf/detail/timer.hpp>

namespace sheaf::detail {

class timeout_core : public std::enable_shared_from_this<timeout_core> {
 public:
  enum class phase : std::uint8_t { active, expiring, expired, finished };

  timeout_core() noexcept : timer_(*this) {}
  timeout_core(const timeout_core&) = delete;
  timeout_core& operator=(const timeout_core&) = delete;

  /// Once. Role: running of `self`.
  void open(task_core& self, sync::nanoseconds deadline) noexcept;
  /// Once, after open(). True: the task had been asked to stop; the request is taken back. Role: running.
  bool end() noexcept;
  /// Between open() and end(). Role: running.
  [[nodiscard]] cancel_scope& scope() noexcept { return scope_; }

  // Any thread:
  /// A new deadline, on the clock of the task's runtime, or so long from now. @throws invalid_state unless active
  void reschedule(sync::nanoseconds when, bool from_now);
  [[nodiscard]] sync::nanoseconds deadline() const noexcept;
  [[nodiscard]] phase now() const noexcept;

 private:
  struct expiry final : timer {
    explicit expiry(timeout_core& owner) noexcept : timer(&fired), core(&owner) {}
    static void fired(timer& base) noexcept;
    timeout_core* core;
  };

  /// Under lock_, active, not armed. True: it has passed already, and the caller fires the scope.
  [[nodiscard]] bool arm() noexcept;

  mutable sync::mutex lock_;
  phase phase_ = phase::active;                     ///< under lock_
  sync::nanoseconds deadline_ = sync::k_forever;    ///< under lock_
  std::shared_ptr<timeout_core> kept_while_armed_;  ///< under lock_
  task_core* task_ = nullptr;                       ///< alive while active or firing
  cancel_scope scope_;
  expiry timer_;
};

/// Opens and ends a core's scope with its own life, in the coroutine that runs the body.
class timeout_owner {
 public:
  /// @throws std::bad_alloc
  timeout_owner(task_core& self, sync::nanoseconds deadline);
  timeout_owner(const timeout_owner&) = delete;
  timeout_owner& operator=(const timeout_owner&) = delete;
  ~timeout_owner() {
    if (!ended_) core_->end();
  }
  /// See timeout_core::end().
  bool end() noexcept {
    ended_ = true;
    return core_->end();
  }
  [[nodiscard]] const std::shared_ptr<timeout_core>& core() const noexcept { return core_; }

 private:
  std::shared_ptr<timeout_core> core_;
  bool ended_ = false;
};

/// Within a handler of `cancelled`.
[[noreturn]] void throw_timeout_from_cancelled();

}  // namespace sheaf::detail
