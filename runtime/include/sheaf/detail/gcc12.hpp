#pragma once
/// @file
/// g++ 12 destroys temporaries of closures with captures, and of other non-trivially destructible aggregates, twice when they stand
/// inside a co_await expression, whatever the callee does. There the public templates refuse such rvalues at compile time; define
/// SHEAF_TRUST_GCC12 to take the responsibility.

#include <type_traits>

#include <sheaf/detail/closure.hpp>

namespace sheaf::detail {

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13 && !defined(SHEAF_TRUST_GCC12)
/// `T` as deduced for a forwarding reference: not a reference means the argument was an rvalue.
template <class T>
inline constexpr bool safe_in_co_await = std::is_reference_v<T> || std::is_trivially_destructible_v<T> ||
                                         !(std::is_aggregate_v<T> || (std::is_class_v<T> && is_closure<T>()));
#else
template <class T>
inline constexpr bool safe_in_co_await = true;
#endif
template <class... T>
constexpr void refuse_temporaries_of_gcc12() {
  static_assert(
      (safe_in_co_await<T> && ...),
      "g++ 12 destroys this temporary twice inside co_await: pass the data as arguments, spawn(f, data), or name it first");
}

}  // namespace sheaf::detail
