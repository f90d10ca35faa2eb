#pragma once
/// @file
/// with_task_group: children that are added as they come, and never outlive the call.

#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <sheaf/coro.hpp>
#include <sheaf/detail/cancel_scope.hpp>
#include <sheaf/detail/gcc12.hpp>
#include <sheaf/detail/group_core.hpp>
#include <sheaf/detail/refusal.hpp>
#include <sheaf/errors.hpp>
#include <sheaf/exception_group.hpp>
#include <sheaf/spawn.hpp>
#include <sheaf/task.hpp>

namespace sheaf {

class task_group;

namespace detail {
template <class R>
coro<R> run_group(auto body);
}

/// Given to the body of with_task_group, which may hand references to its children.
///
/// @par Threads       any
/// @par Lifetime      the with_task_group call
/// @par Cancellation  cancel() stops the group; a child that fails does so, too
/// @throws nothing but what spawn() names
/// @par Cost          spawn() adds a registration and a short lock to sheaf::spawn; no handle needs to be kept
class task_group {
 public:
  task_group(const task_group&) = delete;
  task_group& operator=(const task_group&) = delete;

  /// sheaf::spawn as a child: also from children, also after the body has ended, while children run.
  /// @throws invalid_state when the group is aborting or over, the work being destroyed unrun; what spawn throws
  template <class... Work>
    requires detail::spawnable<Work...>
  auto spawn(Work&&... work) {
    core_->check_open();
    return detail::spawn_in_group(*core_, std::forward<Work>(work)...);
  }
  template <class... Work>
  auto spawn(Work&&...) {
    detail::refuse_spawn<Work...>();
  }
  /// Asks body and children to stop; the group then ends without an error if none of them fails. Any thread, any number of times.
  void cancel() { core_->abort(); }
  /// Children that have not ended.
  [[nodiscard]] std::size_t size() const noexcept { return core_->size(); }

 private:
  template <class R>
  friend coro<R> detail::run_group(auto body);
  explicit task_group(detail::group_core& core) noexcept : core_(&core) {}
  detail::group_core* core_;
};

namespace detail {

template <class R>
struct group_result {
  std::optional<stored_t<R>> value;
};
template <>
struct group_result<void> {};

/// 1. The body runs in the caller's task, under a scope that a failing child fires.
/// 2. The join waits for every child, whatever happens; the caller's cancel goes on to them.
/// 3. The scope takes its request back, and what is left to say is said: failures first, then the caller's own cancel, then the value.
///    Where failures are said instead of the caller's cancel, that one is asked for again, so that it is not lost; where `cancelled` is
///    said, it stands for what is still undelivered too, so that nothing is delivered twice.
template <class R>
coro<R> run_group(auto body) {
  task_core* const self = co_await this_core();
  group_owner owner(*self);
  group_core& core = *owner;
  task_group group(core);
  group_result<R> result;
  std::exception_ptr body_error;
  std::exception_ptr body_cancel;
  bool asked_by_group = false;
  bool delivered = false;
  try {
    if constexpr (std::is_void_v<R>) {
      co_await body(group);
    } else if constexpr (std::is_lvalue_reference_v<R>) {
      result.value.emplace(std::addressof(co_await body(group)));
    } else {
      result.value.emplace(co_await body(group));
    }
  } catch (const cancelled& caught) {  // also a task_cancelled, which a cancelled child may have handed to it
    delivered = dynamic_cast<const task_cancelled*>(&caught) == nullptr;
    asked_by_group = core.aborting();
    body_cancel = std::current_exception();
  } catch (...) {
    body_error = std::current_exception();
  }
  if (body_cancel || body_error) core.abort_children();
  const bool join_cancelled = co_await group_join(core);
  const bool foreign = core.scope().foreign_request();
  const bool failed = body_error != nullptr || core.any_failed();
  if (failed) core.scope().repeat_foreign_requests();
  owner.close();
  if (failed) core.throw_failures(std::move(body_error));
  if (foreign && (join_cancelled || delivered)) cancel_scope::settle(*self);
  if (foreign && join_cancelled) throw_cancelled(*self);
  if (body_cancel && (foreign || !asked_by_group)) std::rethrow_exception(body_cancel);
  if constexpr (!std::is_void_v<R>) {
    if (!result.value) throw_group_without_value();
    co_return stored<R>::take(*result.value);
  }
}

template <class Body>
struct group_body_result {
  using type = typename std::invoke_result_t<Body&, task_group&>::value_type;
};

}  // namespace detail

/// `co_await with_task_group(body)` with a coroutine function `body(task_group&)`: waits for the body and for every child it or they
/// spawn, then gives the body's value. The first failure cancels the others and the body; all failures come in one exception_group.
/// A child that ends cancelled by itself is ignored.
///
/// @par Threads       the body runs in the awaiting task
/// @par Lifetime      no child outlives the call; children may use what outlives it, never the body's locals
/// @par Cancellation  of the awaiting task: body and children are cancelled; it ends cancelled after the last of them, or with the
///                    exception_group if one failed, and its next suspension is then cancelled
/// @throws exception_group; task_cancelled when group.cancel() interrupted a body that was to give a value
/// @par Cost          a block for the group and a registration per child; finished children are forgotten at once
template <class Body>
  requires detail::is_coro<std::invoke_result_t<std::decay_t<Body>&, task_group&>>
[[nodiscard]] auto with_task_group(Body&& body) {
  detail::refuse_temporaries_of_gcc12<Body>();
  return detail::run_group<typename detail::group_body_result<std::decay_t<Body>>::type>(
      std::decay_t<Body>(std::forward<Body>(body)));
}
template <class Never = void>
auto with_task_group(detail::anything) {
  static_assert(detail::always_false<Never>, "sheaf: with_task_group takes a coroutine function body(task_group&)");
}

}  // namespace sheaf
