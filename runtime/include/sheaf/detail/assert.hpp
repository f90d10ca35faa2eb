#pragma once
/// @file
/// Checks of the library's own invariants: on in Debug and sanitizer builds, free in Release.

namespace sheaf::detail {
[[noreturn, gnu::cold]] void assertion_failed(const char* expression, const char* file, int line) noexcept;
}

#if !defined(NDEBUG) || defined(SHEAF_CHECKED)
#define SHEAF_ASSERT(expression) \
  ((expression) ? static_cast<void>(0) : ::sheaf::detail::assertion_failed(#expression, __FILE__, __LINE__))
#else
#define SHEAF_ASSERT(expression) static_cast<void>(0)
#endif
