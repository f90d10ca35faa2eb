#pragma once
/// @file
/// The second door of every awaitable: `.get()` on a plain thread.

#include <type_traits>
#include <utility>

#include <sheaf/coro.hpp>
#include <sheaf/spawn.hpp>

namespace sheaf::detail {

/// What `co_await std::declval<Operation>()` yields.
template <class Operation>
using awaited_t = decltype(std::declval<Operation>().operator co_await().await_resume());

template <class Operation>
coro<awaited_t<Operation>> await_in_coroutine(Operation operation) {
  co_return co_await std::move(operation);
}

/// For awaiters, which do not move: one made of `parts` lies in the coroutine's own frame, as a get() that is given up may leave it there.
template <class Awaiter, class... Parts>
auto await_in_task(Parts... parts) -> coro<decltype(std::declval<Awaiter&>().await_resume())> {
  co_return co_await Awaiter(std::move(parts)...);
}

/// Base of the movable operations that public functions return; each has `operator co_await() &&`.
template <class Operation>
class gettable {
 public:
  /// Runs the operation on the current runtime and waits on this thread. @throws what the operation throws; no_runtime
  auto get() && {
    // deduced, so that Operation is complete
    using result = awaited_t<Operation>;
    coro<result> work = await_in_coroutine<Operation>(std::move(static_cast<Operation&>(*this)));
    return std::move(work).get();
  }

 protected:
  ~gettable() = default;
  gettable() = default;
  gettable(gettable&&) noexcept = default;
  gettable& operator=(gettable&&) noexcept = default;
};

/// How a T stands in a tuple: void is std::monostate, references stay.
template <class T>
using tuple_slot_t = std::conditional_t<std::is_void_v<T>, std::monostate, T>;
/// How a T stands in a vector or optional: references become std::reference_wrapper.
template <class T>
struct element {
  using type = T;
};
template <class T>
struct element<T&> {
  using type = std::reference_wrapper<T>;
};
template <>
struct element<void> {
  using type = std::monostate;
};
template <class T>
using element_t = typename element<T>::type;

}  // namespace sheaf::detail
