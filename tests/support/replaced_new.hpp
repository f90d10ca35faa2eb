#pragma once
/// @file
/// Replaces the global allocation functions of the program whose one source includes this: that source defines test::take_memory(). With
/// clang's ThreadSanitizer, whose runtime defines them in a way that cannot be replaced, SHEAF_TEST_FIXED_ALLOCATION is defined instead;
/// g++'s can be.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SHEAF_TEST_FIXED_ALLOCATION
#endif
#endif
#ifndef SHEAF_TEST_FIXED_ALLOCATION

#include <cstddef>
#include <cstdlib>
#include <new>

namespace sheaf::test {
enum class form { throwing, nothrow };
/// From std::malloc(), or null. Any thread; allocates nothing else.
void* take_memory(std::size_t size, form asked) noexcept;
}  // namespace sheaf::test

// Not inlined: g++ would see free() meet a pointer from new. The arrays' are here because the sanitizers' own do not come to the others.
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (void* const block = sheaf::test::take_memory(size, sheaf::test::form::throwing)) return block;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return sheaf::test::take_memory(size, sheaf::test::form::nothrow);
}
[[gnu::noinline]] void* operator new[](std::size_t size) { return operator new(size); }
[[gnu::noinline]] void* operator new[](std::size_t size, const std::nothrow_t& nothrow) noexcept {
  return operator new(size, nothrow);
}
[[gnu::noinline]] void operator delete(void* block) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete(void* block, std::size_t) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete(void* block, const std::nothrow_t&) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete[](void* block) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete[](void* block, std::size_t) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete[](void* block, const std::nothrow_t&) noexcept { std::free(block); }

#endif
