#pragma once
/// @file
/// What ThreadSanitizer is told, where the explored sources are built with it. The explorer itself never is: that one thread moves at a
/// time, and how it is told to, orders nothing in the eyes of ThreadSanitizer.

extern "C" {
void __tsan_acquire(void*) __attribute__((weak));
void __tsan_release(void*) __attribute__((weak));
void __tsan_ignore_thread_begin() __attribute__((weak));
void __tsan_ignore_thread_end() __attribute__((weak));
}

namespace explorer::thread_sanitizer {

inline bool is_here() noexcept { return &__tsan_acquire != nullptr; }
inline void acquire(void* where) noexcept {
  if (is_here()) __tsan_acquire(where);
}
inline void release(void* where) noexcept {
  if (is_here()) __tsan_release(where);
}

/// While it lives, this thread does nothing that is looked at.
struct unseen {
  unseen() noexcept {
    if (is_here()) __tsan_ignore_thread_begin();
  }
  unseen(const unseen&) = delete;
  unseen& operator=(const unseen&) = delete;
  ~unseen() {
    if (is_here()) __tsan_ignore_thread_end();
  }
};

}  // namespace explorer::thread_sanitizer
