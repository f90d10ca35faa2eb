#pragma once
/// @file
/// as_completed: tasks in the order in which they complete.

#include <coroutine>
#include <cstddef>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include <sheaf/detail/children.hpp>
#include <sheaf/detail/completion_core.hpp>
#include <sheaf/detail/gettable.hpp>
#include <sheaf/errors.hpp>
#include <sheaf/time_limit.hpp>

namespace sheaf {

namespace detail {

/// Takes the handle of a popped node.
template <class T>
task<T> take_handle(completion_node& node) noexcept {
  task<T> handle = task_access::adopt<T>(*std::exchange(node.task, nullptr));
  completion_core::recycle(node);
  return handle;
}

/// A deadline from a limit, counted from now on the current runtime's clock.
[[nodiscard]] sync::nanoseconds deadline_from_now(runtime_core& runtime, const time_limit& limit) noexcept;

template <class T>
class next_awaiter {
 public:
  next_awaiter(completion_core& core, sync::nanoseconds deadline) noexcept
      : wait_(core, completion_want::one), deadline_(deadline) {}
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    return wait_.suspend(*awaiting.promise().task, awaiting, deadline_);
  }
  std::optional<task<T>> await_resume() {
    wait_.finish();
    if (wait_.timed_out()) throw timeout_error("as_completed: the time is over and tasks are unfinished");
    if (wait_.item() == nullptr) return std::nullopt;
    return take_handle<T>(*wait_.item());
  }

 private:
  completion_wait wait_;
  sync::nanoseconds deadline_;
};

template <class T>
class [[nodiscard("co_await it, or nothing is taken")]] next_operation : public gettable<next_operation<T>> {
 public:
  next_operation(completion_core* core, sync::nanoseconds deadline) noexcept : core_(core), deadline_(deadline) {}
  auto operator co_await() && noexcept { return next_awaiter<T>(*core_, deadline_); }

 private:
  completion_core* core_;
  sync::nanoseconds deadline_;
};

}  // namespace detail

/// The tasks given to as_completed, in completion order.
///
/// @par Threads       any; concurrent calls of next() share the stream safely, first come first served
/// @par Lifetime      destroying it leaves the tasks running and keeps no trace of the stream on them; not while a next() waits
/// @par Cancellation  of an awaiting task: the stream and the tasks stay as they are
/// @throws from next(): timeout_error once; never a child's error
/// @par Cost          next() takes a lock and allocates nothing; unfinished() copies the handles
template <class T>
class [[nodiscard]] completion_stream {
 public:
  completion_stream(completion_stream&&) noexcept = default;
  completion_stream& operator=(completion_stream&&) noexcept = default;

  /// `while (auto t = co_await stream.next())`: the next task to complete, as the handle that was passed in, finished; nullopt when
  /// all have been given. Its error appears when its result is read.
  /// @throws timeout_error in one consumer, once, when the stream's limit passes first (the next one, if that is cancelled at that
  ///         moment); the stream is at its end then, and unfinished() lists the rest
  [[nodiscard]] auto next() { return detail::next_operation<T>(core_.get(), deadline_); }
  /// The tasks not given out at this moment, in input order.
  [[nodiscard]] std::vector<task<T>> unfinished() const {
    std::vector<task<T>> left;
    const auto list = [&left](detail::task_core& task) noexcept { left.push_back(detail::task_access::share<T>(task)); };
    do left.reserve(core_->outstanding());
    while (!core_->visit_outstanding(left.capacity(), list));
    return left;
  }

  /// Range-for on a plain thread: each step is next().get().
  class iterator {
   public:
    using value_type = task<T>;
    using difference_type = std::ptrdiff_t;
    explicit iterator(completion_stream& stream) : stream_(&stream) { ++*this; }
    [[nodiscard]] const task<T>& operator*() const noexcept { return *current_; }
    iterator& operator++() {
      current_ = stream_->next().get();
      return *this;
    }
    void operator++(int) { ++*this; }
    [[nodiscard]] bool operator==(std::default_sentinel_t) const noexcept { return !current_.has_value(); }

   private:
    completion_stream* stream_;
    std::optional<task<T>> current_;
  };
  [[nodiscard]] iterator begin() { return iterator(*this); }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  template <class Range>
    requires detail::child_range<Range>
  friend auto as_completed(Range&& range, time_limit timeout);

  completion_stream(detail::completion_owner core, detail::sync::nanoseconds deadline)
      : core_(std::move(core)), deadline_(deadline) {}

  detail::completion_owner core_;
  detail::sync::nanoseconds deadline_;
};

/// Starts what is not started (coros, callables) and gives the tasks as they complete; duplicates collapse, an empty range ends at
/// once, tasks already done come first.
///
/// @param timeout one deadline for the whole stream, counted from this call; zero or negative polls
/// @par Threads       any thread with a current runtime
/// @par Lifetime      children must own what they use: they may outlive the stream
/// @par Cancellation  of the calling task: leaves children and stream alone; a deadline cancels nothing either
/// @throws no_runtime, runtime_closed, std::bad_alloc; invalid_state for an empty handle
/// @par Cost          one block for all registrations; a completion is one push, allocates nothing, and wakes only a waiting consumer
template <class Range>
  requires detail::child_range<Range>
auto as_completed(Range&& range, time_limit timeout = {}) {
  detail::refuse_range_of_gcc12<Range>();
  using child = detail::range_child_t<Range>;
  detail::runtime_core& runtime = detail::current_runtime("as_completed");
  const auto deadline = detail::deadline_from_now(runtime, timeout);
  detail::child_list children(std::forward<Range>(range));
  if constexpr (detail::task_range<Range>) children.remove_duplicates();
  detail::completion_owner core(detail::completion_core::make(children.all().size()));
  detail::start_batch batch(children.all(), runtime, "as_completed");
  for (const auto some : children.by_few()) {
    core->add_all(some);
    batch.start(some);
  }
  children.release();
  return completion_stream<child>(std::move(core), deadline);
}
template <class Never = void>
auto as_completed(detail::anything, detail::anything = {}) {
  static_assert(detail::always_false<Never>,
                "sheaf: as_completed takes a range of tasks, coros or callables; for one task, co_await it");
}

}  // namespace sheaf
