#pragma once
/// @file
/// map_limited: a function over many elements, so many at a time.

#include <cstddef>
#include <exception>
#include <functional>
#include <iterator>
#include <type_traits>
#include <utility>
#include <vector>

#include <sheaf/cancel_and_join.hpp>
#include <sheaf/completion_queue.hpp>
#include <sheaf/coro.hpp>
#include <sheaf/detail/children.hpp>
#include <sheaf/detail/gcc12.hpp>
#include <sheaf/detail/gettable.hpp>
#include <sheaf/detail/refusal.hpp>
#include <sheaf/detail/task_wait.hpp>
#include <sheaf/spawn.hpp>
#include <sheaf/stream.hpp>
#include <sheaf/task.hpp>

namespace sheaf {

namespace detail {

template <class Source>
inline constexpr bool is_stream = false;
template <class T>
inline constexpr bool is_stream<stream<T>> = true;

/// What the function is called with: what a reference refers to is copied for the call, a proxy becomes the value it stands for.
template <class Source>
struct source_element {
  using found = decltype(*std::begin(std::declval<Source&>()));
  using type =
      std::conditional_t<std::is_reference_v<found>, found, std::iter_value_t<decltype(std::begin(std::declval<Source&>()))>>;
};
template <class T>
struct source_element<stream<T>> {
  using type = T;
};
template <class Source>
using source_element_t = typename source_element<Source>::type;

template <class Source, class F>
using mapped_t = work_value_t<F&, source_element_t<Source>>;

template <class Source, class F>
concept mappable = (is_stream<Source> || any_range<Source>) && spawnable<F&, source_element_t<Source>>;
template <class Source>
inline constexpr bool elements_are_copied = (!is_stream<Source> || std::is_reference_v<source_element_t<Source>>) &&
                                            !is_copyable<std::remove_cvref_t<source_element_t<Source>>>;

void check_limit(std::size_t limit);

/// Tasks in the order of their elements, at most so many of them unfinished. Left early, it leaves them running and their errors unread.
template <class R>
class limited_tasks {
 public:
  explicit limited_tasks(std::size_t limit) : limit_(limit) {}
  limited_tasks(const limited_tasks&) = delete;
  limited_tasks& operator=(const limited_tasks&) = delete;
  ~limited_tasks() {
    for (const task<R>& each : all_) {
      if (each) task_access::core(each).state.mark_observed();
    }
  }

  /// Room for one more: waits for ends, and throws if one is a failure, or was.
  coro<> make_room() {
    pass_ended();
    while (running_.size() >= limit_) co_await pass_one();
  }
  void pass_ended() {
    while (const auto ended = running_.try_next()) check(*ended);
  }
  void add(task<R> started) {
    all_.push_back(std::move(started));
    running_.add(all_.back());
  }
  coro<> finish() {
    while (!running_.empty()) co_await pass_one();
  }
  coro<> stop() { return cancel_and_join(all_); }
  std::vector<element_t<R>> take_results() {
    std::vector<element_t<R>> results;
    results.reserve(all_.size());
    for (task<R>& each : all_) {
      if constexpr (std::is_void_v<R>) {
        results.emplace_back();
      } else {
        results.push_back(take_result<R>(task_access::core(each)));
      }
      each = {};
    }
    all_.clear();
    return results;
  }

 private:
  coro<> pass_one() {
    const auto ended = co_await running_.next();
    if (ended) check(*ended);
  }
  static void check(const task<R>& ended) { throw_unless_value(task_access::core(ended)); }

  const std::size_t limit_;
  std::vector<task<R>> all_;
  completion_queue<R> running_;
};

template <class R, class Source, class F>
coro<> feed(limited_tasks<R>& tasks, Source& source, F& function) {
  if constexpr (is_stream<Source>) {
    for (;;) {
      co_await tasks.make_room();
      auto element = co_await source.next();
      tasks.pass_ended();
      if (!element) break;
      if constexpr (std::is_reference_v<typename Source::value_type>) {
        tasks.add(spawn(function, element->get()));
      } else {
        tasks.add(spawn(function, std::move(*element)));
      }
    }
  } else {
    auto each = std::begin(source);
    const auto end = std::end(source);
    for (bool more = each != end; more; more = each != end) {
      {
        source_element_t<Source> element = *each;
        tasks.pass_ended();  // reading may have taken a while
        tasks.add(spawn(function, std::forward<source_element_t<Source>>(element)));
      }
      co_await tasks.make_room();  // first: of some ranges the next element is read by the increment
      ++each;
    }
  }
  co_await tasks.finish();
}

template <class R, class Source, class F>
coro<std::vector<element_t<R>>> run_map_limited(std::size_t limit, Source source, F function) {
  const task_core* const self = co_await this_core();
  limited_tasks<R> tasks(limit);
  std::exception_ptr failure;
  try {
    co_await feed(tasks, source, function);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    if (self->state.requests() != 0) co_await tasks.stop();  // asked to stop, whatever the source makes of that
    std::rethrow_exception(std::move(failure));
  }
  co_return tasks.take_results();
}

}  // namespace detail

/// `auto results = co_await map_limited(10, ids, fetch)`: gather of `fetch(id)` for every element of a range or stream, at most `limit` at
/// a time, results in the order of the elements. The source is read as room comes free, so it may be endless until one fails, or read
/// a file line by line. Function and source are copied or moved in; each call has copies of the function and of its element (only a
/// stream's own values are moved).
///
/// The first failure ends it: what runs goes on, no more is started, other errors are dropped. While it waits for a stream, it sees a
/// failure when the stream gives its next element.
///
/// @par Threads       any thread with a current runtime; the source is read in a task
/// @par Lifetime      elements and function must own what they use: calls under way may outlive a failed map
/// @par Cancellation  cancelling the map (also by cancelling the task that awaits its only handle) cancels every call under way; it ends
///                    cancelled after the last of them
/// @throws std::invalid_argument for a limit of zero; no_runtime, runtime_closed from the call; the first failure from the await
/// @par Cost          a task for the map; per element a task, kept with its result to the end, and a registration
template <class Source, class F>
  requires detail::mappable<std::decay_t<Source>, std::decay_t<F>>
[[nodiscard]] auto map_limited(std::size_t limit, Source&& source, F&& function) {
  static_assert(!(detail::is_stream<std::decay_t<Source>> && std::is_lvalue_reference_v<Source>),
                "sheaf: a stream is consumed; write map_limited(limit, std::move(stream), function)");
  static_assert(
      !detail::elements_are_copied<std::decay_t<Source>>,
      "sheaf: map_limited copies the elements of a range, and these cannot be copied: give them by a stream, which moves");
  static_assert(std::is_copy_constructible_v<std::decay_t<F>>, "sheaf: map_limited copies its function for each call");
  detail::refuse_temporaries_of_gcc12<F>();
  detail::check_limit(limit);
  using result = detail::mapped_t<std::decay_t<Source>, std::decay_t<F>>;
  return spawn(detail::run_map_limited<result, std::decay_t<Source>, std::decay_t<F>>(limit, std::forward<Source>(source),
                                                                                      std::forward<F>(function)));
}
template <class Never = void>
auto map_limited(std::size_t, detail::anything, detail::anything) {
  static_assert(
      detail::always_false<Never>,
      "sheaf: map_limited takes a limit, a range or stream, and a function of one element (a coroutine function or a callable)");
}

}  // namespace sheaf
