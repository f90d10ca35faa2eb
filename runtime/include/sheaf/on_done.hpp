#pragma once
/// @file
/// task::on_done and task::remove_done: callbacks at the end of a task.

#include <utility>

#include <sheaf/detail/done_callback.hpp>
#include <sheaf/detail/gcc12.hpp>
#include <sheaf/task.hpp>

namespace sheaf {

class callback_id {
 public:
  /// Of no registration.
  callback_id() noexcept = default;
  [[nodiscard]] bool operator==(const callback_id&) const noexcept = default;

 private:
  template <class T>
  friend class task;
  callback_id(any_task callback, const detail::task_core& target) noexcept : callback_(std::move(callback)), target_(&target) {}

  any_task callback_;
  const detail::task_core* target_ = nullptr;
};

template <class T>
template <class F>
callback_id task<T>::on_done(F function) const {
  static_assert(std::is_invocable_v<F, const task&> || std::is_invocable_v<F>,
                "sheaf: on_done takes a function that is called with the task, or with nothing");
  return {detail::make_done_callback<T, F>(*this, std::move(function)), core()};
}

template <class T>
bool task<T>::remove_done(const callback_id& registration) const noexcept {
  if (core_ == nullptr || registration.target_ != core_) return false;
  return detail::remove_done_callback(*core_, detail::task_access::core(registration.callback_));
}

}  // namespace sheaf
