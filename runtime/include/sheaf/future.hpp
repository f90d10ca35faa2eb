#pragma once
/// @file
/// promise and future: an outcome that whoever holds the promise decides on, awaited like a task's.

#include <coroutine>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <sheaf/detail/future_core.hpp>
#include <sheaf/detail/result.hpp>
#include <sheaf/errors.hpp>
#include <sheaf/outcome.hpp>
#include <sheaf/task.hpp>

namespace sheaf {

template <class T = void>
class promise;
template <class T = void>
class future;

namespace detail {

template <class T>
class future_state final : public future_core {
 public:
  result_slot<T> slot;

 private:
  result_header& header() noexcept override { return slot; }
};

/// What a promise<T> takes as a value.
template <class T, class... Args>
inline constexpr bool makes_value = std::is_constructible_v<T, Args...>;
template <class T, class... Args>
inline constexpr bool makes_value<T&, Args...> = false;
template <class T, class U>
inline constexpr bool makes_value<T&, U&> = std::is_convertible_v<U*, T*>;
template <class... Args>
inline constexpr bool makes_value<void, Args...> = sizeof...(Args) == 0;

template <class T>
class future_observer final : public future_wait {
 public:
  explicit future_observer(future_state<T>& awaited) noexcept : future_wait(awaited), state_(&awaited) {}
  decltype(auto) await_resume() {
    throw_if_cancelled();
    return future<T>::view(*state_, "co_await");
  }

 private:
  future_state<T>* state_;
};

template <class T>
class future_taker final : public future_wait {
 public:
  future_taker(future_state<T>& awaited, future<T>&& handle) noexcept : future_wait(awaited), handle_(std::move(handle)) {}
  T await_resume() {
    if (cancelled()) cancel_if_sole();
    throw_if_cancelled();
    return handle_.take("co_await");
  }

 private:
  future<T> handle_;
};

}  // namespace detail

/// A copyable handle of an outcome to come. A default-constructed or moved-from one is empty: every use but assignment, destruction,
/// comparison and `operator bool` throws invalid_state.
///
/// @par Threads       each handle is not synchronised; different handles of one promise may be used on different threads at once
/// @par Lifetime      of the outcome: as long as a handle or the promise. An error that nobody looked at is reported once, when the last
///                    of them goes, to the current runtime's on_unobserved_error, or on stderr
/// @par Cancellation  of an awaiting task: the outcome and its promise stay as they are, unless the only handle was moved into the await:
///                    then the outcome is cancelled. cancel() decides on the outcome, for all handles
/// @throws invalid_state for an empty handle, from every member but those named above
/// @par Cost          waiting allocates nothing; every use takes a lock for a few instructions
template <class T>
class future {
 public:
  using value_type = T;

  future() noexcept = default;
  future(const future& other) noexcept : state_(other.state_) {
    if (state_ != nullptr) state_->add_future();
  }
  future(future&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  future& operator=(future other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~future() {
    if (state_ != nullptr) state_->drop_future();
  }

  [[nodiscard]] explicit operator bool() const noexcept { return state_ != nullptr; }
  /// Of the same promise.
  [[nodiscard]] bool operator==(const future& other) const noexcept { return state_ == other.state_; }

  /// The outcome is there. What its setter did before happens before a true answer.
  [[nodiscard]] bool done() const { return state().done(); }
  /// done() and the outcome is cancelled.
  [[nodiscard]] bool cancelled() const { return status() == task_status::cancelled; }
  /// Never `running`.
  [[nodiscard]] task_status status() const { return state().status(); }
  /// True: the outcome is cancelled now, by this call, and the promise can set no other. False: there is one, or it is being set.
  bool cancel(std::string_view reason = {}) const { return state().cancel(reason); }

  /// The value, without waiting. @throws invalid_state when not done; the error, the same object each time; task_cancelled
  detail::view_t<T> result() const { return view(state(), "result()"); }
  /// The error, or the task_cancelled; null when there is a value. @throws invalid_state when not done
  [[nodiscard]] std::exception_ptr exception() const { return state().exception("exception()"); }

  /// Waits on this thread, any; under a current runtime as task::get() does. @throws what result() throws; would_deadlock; cancelled
  /// when the calling task is; runtime_closed
  detail::view_t<T> get() const& {
    state().wait_blocking();
    return view(state(), "get()");
  }
  /// The same; the value is moved out when this was the only handle, and copied otherwise.
  T get() && {
    future mine = std::move(*this);
    mine.state().wait_blocking();
    return mine.take("get()");
  }

  /// Observes: `const T&`, alive as long as a handle is.
  auto operator co_await() const& { return detail::future_observer<T>(state()); }
  /// Moves the value out when this is the only handle, and copies it otherwise; a T that cannot be copied then throws invalid_state.
  /// Cancelled while this is the only handle, it cancels the outcome: the promise learns that nobody waits.
  auto operator co_await() && {
    detail::future_state<T>& awaited = state();
    return detail::future_taker<T>(awaited, std::move(*this));
  }

 private:
  friend class promise<T>;
  friend class detail::future_observer<T>;
  friend class detail::future_taker<T>;

  explicit future(detail::future_state<T>& counted) noexcept : state_(&counted) {}

  [[nodiscard]] detail::future_state<T>& state() const {
    if (state_ == nullptr) throw invalid_state("an empty future was used");
    return *state_;
  }
  static detail::view_t<T> view(detail::future_state<T>& state, const char* call) {
    state.throw_unless_value(call);
    return detail::stored<T>::view(state.slot.value());
  }
  T take(const char* call) {
    state_->throw_unless_value(call);
    auto& value = state_->slot.value();
    if constexpr (std::is_object_v<T>) {
      if (!state_->sole_future()) {
        if constexpr (detail::is_copyable<T>) {
          return value;
        } else {
          throw invalid_state(std::string(call) +
                              ": the future has other handles and its value cannot be copied: read it through one handle, or by "
                              "const reference");
        }
      }
    }
    return detail::stored<T>::take(value);
  }

  detail::future_state<T>* state_ = nullptr;
};

/// Decides on one outcome. A moved-from promise is empty: every use but assignment, destruction and `operator bool` throws invalid_state.
///
/// Whoever waits is made runnable by the set_ functions and by the destructor; none of it runs in them.
///
/// @par Threads       the set_ functions: any, also at once, of which the first one wins; else not synchronised
/// @par Lifetime      dropped without an outcome it leaves a broken_promise to its futures
/// @par Cancellation  none of its own; a cancelled future refuses every other outcome
/// @throws invalid_state from set_ functions when there is an outcome, or one is being set; and for an empty promise
/// @par Cost          one allocation for promise and futures; setting takes a lock for a few instructions, and wakes each waiter
template <class T>
class promise {
 public:
  using value_type = T;

  /// @throws std::bad_alloc
  promise() : state_(new detail::future_state<T>) {}
  promise(promise&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  promise& operator=(promise other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~promise() {
    if (state_ != nullptr) state_->drop_promise();
  }

  [[nodiscard]] explicit operator bool() const noexcept { return state_ != nullptr; }
  /// Once; copies of the future are as good. @throws invalid_state the second time
  [[nodiscard]] future<T> get_future() {
    state().take_future();
    return future<T>(*state_);
  }
  /// There is an outcome, be it that a future was cancelled.
  [[nodiscard]] bool done() const { return state().done(); }

  /// Makes the value in place. @throws what making it throws: there is no outcome then
  template <class... Args>
    requires detail::makes_value<T, Args...>
  void set_value(Args&&... args) {
    if (!try_set_value(std::forward<Args>(args)...)) throw_set("set_value()");
  }
  /// False: there is an outcome, or one is being set; the arguments stay as they were.
  template <class... Args>
    requires detail::makes_value<T, Args...>
  bool try_set_value(Args&&... args) {
    return try_set([&](detail::future_state<T>& pending) {
      if constexpr (std::is_reference_v<T>) {
        pending.slot.emplace(std::addressof(args)...);
      } else {
        pending.slot.emplace(std::forward<Args>(args)...);
      }
    });
  }
  /// A `cancelled` makes it a cancelled outcome. @throws std::invalid_argument for null
  void set_exception(std::exception_ptr error) {
    if (!error) throw std::invalid_argument("set_exception(): null is no error");
    if (!try_set([&](detail::future_state<T>& pending) { pending.file(std::move(error)); })) throw_set("set_exception()");
  }
  /// The same for an exception object.
  template <class Error>
    requires(std::is_class_v<Error> && !std::is_same_v<Error, std::exception_ptr>)
  void set_exception(Error error) {
    set_exception(std::make_exception_ptr(std::move(error)));
  }
  /// Readers get a task_cancelled with this reason.
  void set_cancelled(std::string_view reason = {}) {
    if (!state().cancel(reason)) throw_set("set_cancelled()");
  }
  void set_outcome(outcome<T> decided) {
    const auto take_over = [&](detail::future_state<T>& pending) {
      if (!decided.has_value()) {
        pending.file(decided.error(), decided.cancelled() ? detail::outcome_kind::cancelled : detail::outcome_kind::error);
      } else if constexpr (std::is_void_v<T>) {
        pending.slot.emplace();
      } else if constexpr (std::is_reference_v<T>) {
        pending.slot.emplace(std::addressof(decided.value()));
      } else {
        pending.slot.emplace(std::move(decided).value());
      }
    };
    if (!try_set(take_over)) throw_set("set_outcome()");
  }

 private:
  [[nodiscard]] detail::future_state<T>& state() const {
    if (state_ == nullptr) throw invalid_state("an empty promise was used");
    return *state_;
  }
  [[noreturn]] static void throw_set(const char* call) {
    throw invalid_state(std::string(call) + ": the promise has an outcome, or is just being given one");
  }
  template <class Make>
  bool try_set(const Make& make) {
    detail::future_state<T>& pending = state();
    if (!pending.begin_set()) return false;
    try {
      make(pending);
    } catch (...) {
      pending.abandon_set();
      throw;
    }
    pending.publish();
    return true;
  }

  detail::future_state<T>* state_;
};

}  // namespace sheaf
