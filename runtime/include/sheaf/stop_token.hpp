#pragma once
/// @file
/// Tasks and std::stop_token, both ways: spawn_options::stop takes one in, linked_stop_source gives one out.

#include <stop_token>

#include <sheaf/cancel_token.hpp>

namespace sheaf {

namespace detail {
class stop_link;
}

/// Names a token without owning it: the call that takes the stop_ref registers with the token's task or stop state. Empty by default.
class stop_ref {
 public:
  stop_ref() noexcept = default;
  stop_ref(const cancel_token& token) noexcept : task_(token.task_) {}
  stop_ref(const std::stop_token& token) noexcept : stop_(token.stop_possible() ? &token : nullptr) {}

  /// Names a token that can be asked to stop.
  [[nodiscard]] explicit operator bool() const noexcept { return task_ != nullptr || stop_ != nullptr; }

 private:
  friend class detail::stop_link;
  detail::task_core* task_ = nullptr;
  const std::stop_token* stop_ = nullptr;
};

/// A std::stop_token for a call that knows nothing of Sheaf: requested when the token's task is asked to stop.
///
///     int lookup(cancel_token token) { return library::lookup(linked_stop_source(token).get_token()); }
///
/// @par Threads       made and destroyed on any thread; get_token() on any
/// @par Lifetime      keeps the task's block alive. The tokens may outlive it; after its end they are not requested any more
/// @par Cancellation  stop callbacks run on the cancelling thread. As of any cancel callback, the request of a scope that it was made
///                    in counts too: of a deadline, of a failing group. A request that is taken back stays requested here
/// @throws std::bad_alloc
/// @par Cost          one allocation for the stop state; a registration on the token
class linked_stop_source {
 public:
  explicit linked_stop_source(const cancel_token& token) : registration_(token.on_cancel(request{source_})) {}

  [[nodiscard]] std::stop_token get_token() const noexcept { return source_.get_token(); }

 private:
  struct request {
    std::stop_source source;
    void operator()() noexcept { source.request_stop(); }
  };
  std::stop_source source_;
  cancel_registration<request> registration_;
};

}  // namespace sheaf
