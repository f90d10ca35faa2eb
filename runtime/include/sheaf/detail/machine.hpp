#pragma once
/// @file
/// The one place that names the machine: atomics, futexes, locks, threads and the steady clock. Included by sync.hpp only.
///
/// Everything else in Sheaf says `sync::atomic`, `sync::mutex`, `sync::futex_wait`, `sync::thread`, `sync::now`. Replacing this
/// header replaces the machine, so a schedule explorer can run the shipped sources.
///
/// Rules kept by every user of sync.hpp:
///  - every atomic operation names its order; one stronger than relaxed has an `// order:` line naming its peer;
///  - no fences: ThreadSanitizer does not see them.

#include <atomic>
#include <cstddef>
#include <cstdint>

#if defined(__SANITIZE_THREAD__)
#define SHEAF_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SHEAF_THREAD_SANITIZER 1
#endif
#endif
#if defined(SHEAF_THREAD_SANITIZER)
extern "C" void __tsan_release(void* address);
extern "C" void __tsan_acquire(void* address);
#endif

namespace sheaf::detail::sync {

template <class T>
using atomic = std::atomic<T>;

inline constexpr auto relaxed = std::memory_order_relaxed;
inline constexpr auto acquire = std::memory_order_acquire;
inline constexpr auto release = std::memory_order_release;
inline constexpr auto acq_rel = std::memory_order_acq_rel;
inline constexpr auto seq_cst = std::memory_order_seq_cst;

/// Nanoseconds on the steady clock.
using nanoseconds = std::int64_t;
inline constexpr nanoseconds k_forever = INT64_MAX;
[[nodiscard]] nanoseconds now() noexcept;
/// The same clock read cheaply, some milliseconds behind.
[[nodiscard]] nanoseconds coarse_now() noexcept;

/// Sleeps while `word == expected`, until woken or until the steady clock reaches `deadline`. May return early: callers loop.
void futex_wait(const atomic<std::uint32_t>& word, std::uint32_t expected, nanoseconds deadline = k_forever) noexcept;
void futex_wake_one(const atomic<std::uint32_t>& word) noexcept;
void futex_wake_all(const atomic<std::uint32_t>& word) noexcept;

/// Two ends of an order that a library keeps which ThreadSanitizer does not see into: what came before published(x) on one thread comes
/// before received(x) on another. Nothing but a note to that sanitizer.
inline void published(void* address) noexcept {
#if defined(SHEAF_THREAD_SANITIZER)
  __tsan_release(address);
#else
  static_cast<void>(address);
#endif
}
inline void received(void* address) noexcept {
#if defined(SHEAF_THREAD_SANITIZER)
  __tsan_acquire(address);
#else
  static_cast<void>(address);
#endif
}

/// Two barriers that order like one: what a thread stored before its light barrier is seen after another thread's heavy one, or what
/// that thread stored before is seen after the light one. The light one keeps the compiler in order and costs no more than a load where
/// the kernel has expedited membarrier(); the heavy one interrupts every running thread of the process: microseconds.
namespace membarrier {
extern atomic<bool> registered;
void symmetric() noexcept;
}  // namespace membarrier
/// Before the first barrier of either kind. Any thread, any number of times.
void prepare_barriers() noexcept;
inline void light_barrier() noexcept {
  if (membarrier::registered.load(relaxed)) [[likely]] {
    asm volatile("" ::: "memory");
  } else {
    membarrier::symmetric();
  }
}
void heavy_barrier() noexcept;

/// One turn of a spin loop: tells the core, not the kernel.
inline void spin_pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// The `spins`-th turn of waiting for another thread's few pointer writes: pauses, and lets others run once that takes long.
void yield_thread() noexcept;
inline void spin_wait(unsigned spins) noexcept {
  if (spins < 64) {
    spin_pause();
  } else {
    yield_thread();
  }
}

/// A four-byte lock for sections of a few pointer writes. Not recursive, not fair. Never held while user code runs, but for the
/// comparison of a priority_queue, which is told so.
class mutex {
 public:
  mutex() = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

  [[nodiscard]] bool try_lock() noexcept {
    std::uint32_t free = k_free;
    // order: acquire sees what the last holder wrote; peer: release in unlock().
    return word_.compare_exchange_strong(free, k_held, acquire, relaxed);
  }
  void lock() noexcept {
    if (!try_lock()) lock_slow();
  }
  void unlock() noexcept {
    // order: release publishes the section to the next holder; peer: acquire in try_lock() and lock_slow().
    if (word_.exchange(k_free, release) == k_contended) futex_wake_one(word_);
  }

 private:
  static constexpr std::uint32_t k_free = 0, k_held = 1, k_contended = 2;
  void lock_slow() noexcept;

  atomic<std::uint32_t> word_{k_free};
};

/// A lock for sections of a few pointer writes that threads rarely meet in: half the price of a mutex, and waiters spin.
class spin_lock {
 public:
  spin_lock() = default;
  spin_lock(const spin_lock&) = delete;
  spin_lock& operator=(const spin_lock&) = delete;

  void lock() noexcept {
    // order: acquire sees what the last holder wrote; peer: release in unlock().
    for (unsigned spins = 0; held_.exchange(true, acquire); ++spins) spin_wait(spins);
  }
  void unlock() noexcept {
    // order: release publishes the section to the next holder; peer: acquire in lock().
    held_.store(false, release);
  }

 private:
  atomic<bool> held_{false};
};

/// A joinable thread running `entry(argument)`. Must be joined or detached before it is destroyed.
class thread {
 public:
  using entry = void (*)(void*) noexcept;
  thread() = default;
  /// Throws std::system_error when the system has no thread to give. `name`: at most 15 characters are kept.
  thread(const char* name, entry run, void* argument);
  thread(thread&& other) noexcept : handle_(other.handle_), joinable_(other.joinable_) { other.joinable_ = false; }
  thread& operator=(thread&& other) noexcept;
  ~thread();
  [[nodiscard]] bool joinable() const noexcept { return joinable_; }
  void join() noexcept;
  void detach() noexcept;

 private:
  unsigned long handle_ = 0;
  bool joinable_ = false;
};

/// Usable cores: the affinity mask and the cgroup's quota respected; at least 1.
[[nodiscard]] unsigned usable_cores() noexcept;

}  // namespace sheaf::detail::sync
