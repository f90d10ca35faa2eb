#pragma once
/// @file
/// Whether AddressSanitizer or ThreadSanitizer watches: SHEAF_TEST_SANITIZED is 1 or 0. Both are slow, keep freed memory for a while, and
/// need address space of their own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SHEAF_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SHEAF_TEST_SANITIZED 1
#endif
#endif
#ifndef SHEAF_TEST_SANITIZED
#define SHEAF_TEST_SANITIZED 0
#endif

namespace sheaf::test {

inline constexpr bool k_sanitized = SHEAF_TEST_SANITIZED != 0;

}  // namespace sheaf::test
