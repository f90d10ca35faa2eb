#pragma once
/// @file
/// A part of a coroutine that can be cancelled on its own: by a deadline, or by a task group that fails. Its request is its own
/// and is taken back exactly, delivered or not, so it never hits code after the scope.
///
///   idle --fire()--> firing --> fired --(the task sees `cancelled`)--> delivered
///     \\__close()______________\\________\\______________________________\\--> closed
///
/// S1  The stack of a task's scopes, and `delivered`, are under running of the task.
/// S2  firing lasts two stores: the request in the task's word, then `fired`. Whoever must know waits for the second.
/// S3  While any open scope is `fired`, the task's scope_requested bit is set, or a fire() between its two stores will set it.

#include <cstdint>

#include <sheaf/detail/task_core.hpp>

namespace sheaf::detail {

class cancel_scope {
 public:
  cancel_scope() = default;
  cancel_scope(const cancel_scope&) = delete;
  cancel_scope& operator=(const cancel_scope&) = delete;

  /// Role: running.
  void open(task_core& task) noexcept;
  /// Requests that the task stop, once. Any thread; the owner keeps the scope alive until fire() has returned. False: too late.
  bool fire() noexcept;
  /// Takes the request back. True: it had fired. Role: running.
  bool close() noexcept;
  [[nodiscard]] bool has_fired() const noexcept {
    // order: acquire pairs with the release in fire().
    const auto now = word_.load(sync::acquire);
    return now == state::fired || now == state::delivered;
  }
  /// The task has been asked to stop from outside this scope, and it had not seen that when the scope was opened. Role: running.
  [[nodiscard]] bool foreign_request() const noexcept { return level() > seen_at_entry_; }
  /// Requests to the task that are not this scope's: all, and those that the task has seen. Role: running.
  [[nodiscard]] unsigned level() const noexcept;
  [[nodiscard]] unsigned seen_level() const noexcept;
  /// The code under the scope saw `cancelled` and made something else of it: what came from outside is asked for again, uncounted.
  /// Role: running; before close().
  void repeat_foreign_requests() noexcept;

  /// The task is about to see `cancelled`: every fired scope's request is delivered with it. Role: running.
  static void settle(task_core& task) noexcept;

 private:
  enum class state : std::uint8_t { idle, firing, fired, delivered, closed };
  [[nodiscard]] state settled() const noexcept;

  sync::atomic<state> word_{state::idle};
  task_core* task_ = nullptr;
  cancel_scope* outer_ = nullptr;
  const cancel_scope* seen_in_ = nullptr;  ///< of a delivered request: the innermost scope, still open, under which it was seen
  unsigned seen_at_entry_ = 0;
  unsigned counted_at_entry_ = 0;
  std::uint64_t callbacks_at_entry_ = 0;
};

}  // namespace sheaf::detail
