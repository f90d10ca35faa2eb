#pragma once
/// @file
/// completion_queue: tasks are added at any time and come out as they complete.

#include <cstddef>
#include <optional>

#include <sheaf/as_completed.hpp>

namespace sheaf {

/// An open-ended as_completed.
///
/// @par Threads       add(): one thread at a time; next(), try_next(): any, concurrent next() calls are served first come first served
/// @par Lifetime      destroying it leaves the tasks running; not while a next() waits
/// @par Cancellation  of an awaiting task: an item it was granted at the same moment goes to the next one
/// @throws nothing but what add() names; never a child's error
/// @par Cost          add() allocates one registration; a completion is one push, however many are outstanding
template <class T = void>
class completion_queue {
 public:
  completion_queue() : core_(detail::completion_core::make(0)) {}

  /// The task may be in several queues, sets and waits at once, and stays usable. @throws std::bad_alloc, invalid_state (empty handle)
  void add(task<T> added) {
    core_->add(detail::task_access::core(added));
    static_cast<void>(detail::task_access::release(std::move(added)));
  }
  /// `while (auto t = co_await queue.next())`: the next finished task; nullopt as soon as nothing is outstanding.
  [[nodiscard]] auto next() { return detail::next_operation<T>(core_.get(), detail::sync::k_forever); }
  /// A finished task if there is one and nobody waits for it. One that finishes at this moment may come with the next call.
  [[nodiscard]] std::optional<task<T>> try_next() {
    detail::completion_node* const node = core_->try_pop();
    if (node == nullptr) return std::nullopt;
    return detail::take_handle<T>(*node);
  }
  /// Added and not yet given out.
  [[nodiscard]] std::size_t size() const noexcept { return core_->outstanding(); }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }

 private:
  detail::completion_owner core_;
};

}  // namespace sheaf
