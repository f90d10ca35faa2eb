#pragma once
/// @file
/// Everything Sheaf throws of its own accord.
///
/// For all of them: not synchronised, though one object may be rethrown on several threads at once, and then only read there; values
/// without ties to a task or runtime; thrown where the function says so; a copy costs what its text does.

#include <stdexcept>
#include <string>

namespace sheaf {

/// Thrown at the suspension point of a task that was asked to stop. Deliberately not a std::exception: a handler for ordinary
/// errors must not eat a cancel request. Catch it to clean up, then rethrow it.
class cancelled {
 public:
  cancelled() = default;
  explicit cancelled(std::string reason) : reason_(std::move(reason)) {}
  virtual ~cancelled();
  /// What the canceller said; may be empty.
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }

 private:
  std::string reason_;
};

/// Another task's cancelled outcome, met by co_await, result(), get() or run(). Uncaught in a task it ends that task cancelled.
class task_cancelled : public cancelled, public std::runtime_error {
 public:
  explicit task_cancelled(const std::string& task, std::string reason = {});
  ~task_cancelled() override;
};

/// A deadline set through Sheaf has passed. `std::rethrow_if_nested` gives the cancelled outcome it caused, where there is one.
class timeout_error : public std::runtime_error {
 public:
  explicit timeout_error(const std::string& what = "timed out") : std::runtime_error(what) {}
  ~timeout_error() override;
};

/// The call does not fit the state of its object; the text names the state.
class invalid_state : public std::logic_error {
 public:
  using std::logic_error::logic_error;
  ~invalid_state() override;
};

/// spawn() or a combinator was called where no runtime is current.
class no_runtime : public std::logic_error {
 public:
  explicit no_runtime(const std::string& caller);
  ~no_runtime() override;
};

/// The runtime is shutting down or gone.
class runtime_closed : public std::runtime_error {
 public:
  explicit runtime_closed(const std::string& caller);
  ~runtime_closed() override;
};

/// Waiting could never end; the text names who waits for what.
class would_deadlock : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  ~would_deadlock() override;
};

/// A promise was dropped without an outcome.
class broken_promise : public std::runtime_error {
 public:
  broken_promise() : std::runtime_error("promise dropped without an outcome") {}
  ~broken_promise() override;
};

/// The barrier was aborted or reset.
class broken_barrier : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  ~broken_barrier() override;
};

/// A queue was shut down: nothing can be pushed any more, and what was in it has been taken.
class queue_closed : public std::runtime_error {
 public:
  explicit queue_closed(const std::string& caller);
  ~queue_closed() override;
};

/// run() was interrupted by SIGINT and main obeyed.
class interrupted : public std::runtime_error {
 public:
  interrupted() : std::runtime_error("interrupted") {}
  ~interrupted() override;
};

}  // namespace sheaf
