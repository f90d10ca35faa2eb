#pragma once
/// @file
/// outcome<T>: value, exception or cancelled, as a value of its own.

#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include <sheaf/detail/result.hpp>
#include <sheaf/errors.hpp>

namespace sheaf {

/// How a task ended.
///
/// @par Threads       not synchronised
/// @par Lifetime      a value of its own, without ties to the task
/// @par Cancellation  a cancelled outcome is a value like the others; value() throws its task_cancelled
/// @throws nothing but what value() names, and what T's copy or move throws
/// @par Cost          no allocation beyond what T's move or copy makes
template <class T>
class outcome {
  using kept = detail::stored_t<T>;

 public:
  /// A value made in place.
  template <class... Args>
  explicit outcome(std::in_place_t, Args&&... args) : kind_(detail::outcome_kind::value) {
    value_.emplace(std::forward<Args>(args)...);
  }
  /// An error; must not be null.
  explicit outcome(std::exception_ptr error) noexcept : kind_(detail::outcome_kind::error), error_(std::move(error)) {}
  /// Cancelled; `cause` is what error() gives, usually a task_cancelled.
  [[nodiscard]] static outcome make_cancelled(std::exception_ptr cause) noexcept {
    outcome made(std::move(cause));
    made.kind_ = detail::outcome_kind::cancelled;
    return made;
  }

  [[nodiscard]] bool has_value() const noexcept { return kind_ == detail::outcome_kind::value; }
  [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }
  [[nodiscard]] bool cancelled() const noexcept { return kind_ == detail::outcome_kind::cancelled; }

  /// The value. @throws the error; task_cancelled when cancelled.
  detail::view_t<T> value() const& {
    throw_unless_value();
    return detail::stored<T>::view(*value_);
  }
  T value() && {
    throw_unless_value();
    return detail::stored<T>::take(*value_);
  }
  /// The error, or the task_cancelled of a cancelled outcome; null when there is a value.
  [[nodiscard]] std::exception_ptr error() const noexcept { return error_; }

 private:
  void throw_unless_value() const {
    if (!has_value()) std::rethrow_exception(error_);
  }

  detail::outcome_kind kind_;
  std::optional<kept> value_;
  std::exception_ptr error_;
};

namespace detail {
template <class T>
inline constexpr bool is_copyable<outcome<T>> = is_copyable<stored_t<T>>;
}

}  // namespace sheaf
