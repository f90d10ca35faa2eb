#pragma once
/// @file
/// What compile-time refusals are made of. A public template is constrained to what it takes; beside it stands one overload that takes
/// `anything` and says what to write instead. Any other function of that name, POSIX's wait or a program's own spawn, ranks above it.

namespace sheaf::detail {

template <class...>
inline constexpr bool always_false = false;

/// Made from whatever there is, by a conversion that ranks below every standard one.
struct anything {
  constexpr anything() noexcept = default;
  template <class T>
  constexpr anything(T&&) noexcept {}  // NOLINT(google-explicit-constructor)
};

template <class... Work>
void refuse_spawn() {
  static_assert(always_false<Work...>,
                "sheaf: spawn takes a coro (as an rvalue: std::move(c)), a coroutine function or a callable, then the arguments "
                "it is called with");
}
template <class... Work>
void refuse_spawn_blocking() {
  static_assert(always_false<Work...>,
                "sheaf: spawn_blocking takes a plain callable and its arguments; a coroutine must not block, use spawn for it");
}

}  // namespace sheaf::detail
