#pragma once
/// @file
/// The machine (machine.hpp) and what is made of its parts, which stays when the machine is replaced: lock_guard, parker.

#include <cstddef>
#include <cstdint>

#include <sheaf/detail/machine.hpp>

namespace sheaf::detail {
/// What a core fetches, and takes from another, at once.
inline constexpr std::size_t k_cache_line = 64;
}  // namespace sheaf::detail

namespace sheaf::detail::sync {

/// Holds a lock for a scope; `unlock()` ends the section early.
template <class Lock>
class lock_guard {
 public:
  explicit lock_guard(Lock& held) noexcept : lock_(&held) { held.lock(); }
  lock_guard(const lock_guard&) = delete;
  lock_guard& operator=(const lock_guard&) = delete;
  ~lock_guard() {
    if (lock_ != nullptr) lock_->unlock();
  }
  void unlock() noexcept {
    lock_->unlock();
    lock_ = nullptr;
  }

 private:
  Lock* lock_;
};

/// One thread waits, others signal, each with bits of its own. The waiter may free the parker once it has seen the bits of every
/// signaller: a late futex wake on its address is harmless.
class parker {
 public:
  /// Any thread. After the store the parker may be gone.
  void signal(std::uint32_t bits = 1) noexcept {
    auto& word = word_;
    // order: release publishes what the signaller did before; peer: acquire in signals().
    word.fetch_or(bits, release);
    futex_wake_all(word);
  }
  [[nodiscard]] std::uint32_t signals() const noexcept {
    // order: acquire sees what the signallers did; peer: release in signal().
    return word_.load(acquire);
  }
  [[nodiscard]] bool signalled() const noexcept { return signals() != 0; }
  /// Waiting thread only: until any bit is set. False: `deadline` passed first.
  bool wait(nanoseconds deadline = k_forever) noexcept {
    while (!signalled()) {
      if (deadline != k_forever && now() >= deadline) return signalled();
      futex_wait(word_, 0, deadline);
    }
    return true;
  }
  /// Waiting thread only: until one of these bits is set.
  void wait_for(std::uint32_t bits) noexcept {
    for (std::uint32_t seen = signals(); (seen & bits) == 0; seen = signals()) futex_wait(word_, seen);
  }
  void reset(std::uint32_t bits = ~std::uint32_t{0}) noexcept {
    word_.fetch_and(~bits, acquire);  // order: acquire: a consumed signal is seen with what came before it; peer: signal()
  }

 private:
  atomic<std::uint32_t> word_{0};
};

}  // namespace sheaf::detail::sync
