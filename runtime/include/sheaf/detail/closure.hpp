#pragma once
/// @file
/// Which types are closures of lambdas. The language does not say; compilers spell their names in a way of their own.

#include <string_view>

namespace sheaf::detail {

/// True also of what is made of a closure. `T` may be incomplete, as a closure is within its own body.
template <class T>
constexpr bool is_closure() {
  const std::string_view name = __PRETTY_FUNCTION__;
  return name.find("(lambda at") != std::string_view::npos || name.find("<lambda") != std::string_view::npos;
}

}  // namespace sheaf::detail
