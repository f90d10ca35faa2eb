#pragma once
/// @file
/// What ties a task to the token that it was given as spawn_options::stop. Part of the task's extras.
///
/// T1  The first of `arm` and `fire` leaves a mark, the second finds it and makes the request: the task is not asked before it can be.
/// T2  The registration goes with the task's work, and waits there for a fire() on its way; the object stays until the block goes, so an
///     arm() that the end of the task overtakes touches what is there.

#include <optional>

#include <sheaf/cancel_token.hpp>
#include <sheaf/detail/sync.hpp>
#include <sheaf/stop_token.hpp>

namespace sheaf::detail {

class stop_link {
 public:
  /// Registers with the token; nothing is asked of `task` yet. @throws std::bad_alloc
  stop_link(task_core& task, stop_ref token);
  stop_link(const stop_link&) = delete;
  stop_link& operator=(const stop_link&) = delete;

  /// From now on requests reach the task, one that has come already at once. Role: the task's creator, with a handle, once.
  void arm() noexcept;
  /// Role: running, when the work is destroyed.
  void unregister() noexcept;

 private:
  struct request {
    stop_link& link;
    void operator()() const noexcept { link.fire(); }
  };
  void fire() noexcept;

  task_core& task_;
  sync::atomic<bool> marked_{false};
  std::optional<cancel_registration<request>> cancel_;
  std::optional<std::stop_callback<request>> stop_;
};

}  // namespace sheaf::detail
