#pragma once
/// @file
/// The machine of runtime/include/sheaf/detail/machine.hpp, in the hands of the explorer: one thread moves at a time, and every operation
/// below is a point where another one may go first. Sources compiled with this directory in front are the shipped ones.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <type_traits>
#include <utility>

#include "explorer/hooks.hpp"

namespace sheaf::detail::sync {

inline constexpr auto relaxed = std::memory_order_relaxed;
inline constexpr auto acquire = std::memory_order_acquire;
inline constexpr auto release = std::memory_order_release;
inline constexpr auto acq_rel = std::memory_order_acq_rel;
inline constexpr auto seq_cst = std::memory_order_seq_cst;

/// Where an operation is written.
using site = std::source_location;

/// Each operation is made in its order, or in the weaker one that is tried at its site; ThreadSanitizer sees these orders and nothing of
/// the explorer.
template <class T>
class atomic {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);

 public:
  static constexpr bool is_always_lock_free = true;

  constexpr atomic() noexcept : atomic(T()) {}
  constexpr atomic(T value) noexcept : value_(value) {
    if (!std::is_constant_evaluated()) explorer::born(this);
  }
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;
  constexpr ~atomic() {
    if (!std::is_constant_evaluated()) explorer::gone(this);
  }

  T load(std::memory_order order, site here = site::current()) const noexcept {
    order = explorer::order_at(here, explorer::operation::load, order);
    explorer::uses(const_cast<atomic*>(this), sizeof *this);
    explorer::point(explorer::operation::load, this);
    T value = value_.load(order);
    if (!explorer::read_own_store(this, &value, sizeof value)) explorer::has_read(this);
    return value;
  }
  void store(T value, std::memory_order order, site here = site::current()) noexcept {
    order = explorer::order_at(here, explorer::operation::store, order);
    explorer::uses(this, sizeof *this);
    explorer::point(explorer::operation::store, this);
    if (order != seq_cst && explorer::buffer_store(this, &value, sizeof value, order)) return;
    explorer::drain_before(this, order);
    value_.store(value, order);
    explorer::has_written(this);
  }
  T exchange(T value, std::memory_order order, site here = site::current()) noexcept {
    return update([value](T) { return value; }, order, here);
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order success, std::memory_order failure = relaxed,
                               site here = site::current()) noexcept {
    success = begin_update(success, here);
    failure = explorer::order_at(here, explorer::operation::failed_update, failure);
    if (value_.load(relaxed) == expected && explorer::buffer_update(this, &desired, sizeof desired, success)) return true;
    const bool changed = value_.compare_exchange_strong(expected, desired, success, failure);
    changed ? explorer::has_written(this) : explorer::has_read(this);
    return changed;
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order success, std::memory_order failure = relaxed,
                             site here = site::current()) noexcept {
    return compare_exchange_strong(expected, desired, success, failure, here);
  }
  T fetch_add(auto operand, std::memory_order order, site here = site::current()) noexcept {
    return update([operand](T value) { return static_cast<T>(value + operand); }, order, here);
  }
  T fetch_sub(auto operand, std::memory_order order, site here = site::current()) noexcept {
    return update([operand](T value) { return static_cast<T>(value - operand); }, order, here);
  }
  T fetch_or(T operand, std::memory_order order, site here = site::current()) noexcept {
    return update([operand](T value) { return static_cast<T>(value | operand); }, order, here);
  }
  T fetch_and(T operand, std::memory_order order, site here = site::current()) noexcept {
    return update([operand](T value) { return static_cast<T>(value & operand); }, order, here);
  }

  /// For the futex: the word itself.
  [[nodiscard]] const T* address() const noexcept { return reinterpret_cast<const T*>(&value_); }

 private:
  std::memory_order begin_update(std::memory_order order, const site& here) noexcept {
    order = explorer::order_at(here, explorer::operation::update, order);
    explorer::uses(this, sizeof *this);
    explorer::point(explorer::operation::update, this);
    explorer::drain();
    return order;
  }
  template <class Change>
  T update(Change change, std::memory_order order, const site& here) noexcept {
    order = begin_update(order, here);
    T before = value_.load(relaxed);
    T after = change(before);
    if (explorer::buffer_update(this, &after, sizeof after, order)) return before;
    value_.compare_exchange_strong(before, after, order, relaxed);
    explorer::has_written(this);
    return before;
  }

  std::atomic<T> value_;
};

using nanoseconds = std::int64_t;
inline constexpr nanoseconds k_forever = INT64_MAX;
[[nodiscard]] inline nanoseconds now() noexcept { return explorer::now(); }
[[nodiscard]] inline nanoseconds coarse_now() noexcept { return explorer::now(); }

inline void futex_wait(const atomic<std::uint32_t>& word, std::uint32_t expected, nanoseconds deadline = k_forever) noexcept {
  explorer::futex_wait(&word, word.address(), expected, deadline);
}
/// The word may be gone.
inline void futex_wake_one(const atomic<std::uint32_t>& word) noexcept { explorer::futex_wake(&word, 1); }
inline void futex_wake_all(const atomic<std::uint32_t>& word) noexcept { explorer::futex_wake(&word, ~0U); }

inline void published(void*) noexcept {}
inline void received(void*) noexcept {}

inline void prepare_barriers() noexcept {}
/// Keeps the compiler in order, which there is none of here.
inline void light_barrier() noexcept {}
inline void heavy_barrier() noexcept {
  explorer::point(explorer::operation::barrier, nullptr);
  explorer::drain_all();
}

/// Of loops that end by themselves: a while of no time. Who has waited long enough is not known to be waiting for anybody.
inline void spin_pause() noexcept {}
inline void yield_thread() noexcept {}
/// Of loops that another thread ends.
inline void spin_wait(unsigned) noexcept { explorer::pause(); }

/// One operation each: how a lock is made is not what is explored here.
class mutex {
 public:
  constexpr mutex() noexcept {
    if (!std::is_constant_evaluated()) explorer::born(&word_);
  }
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;
  constexpr ~mutex() {
    if (!std::is_constant_evaluated()) explorer::gone(&word_);
  }

  void lock() noexcept {
    explorer::uses(&word_, sizeof word_);
    explorer::lock(&word_);
  }
  void unlock() noexcept { explorer::unlock(&word_); }

 private:
  std::uint32_t word_ = 0;
};
using spin_lock = mutex;

class thread {
 public:
  using entry = void (*)(void*) noexcept;
  thread() = default;
  thread(const char*, entry run, void* argument) : id_(explorer::start_thread(run, argument)), joinable_(true) {}
  thread(thread&& other) noexcept : id_(other.id_), joinable_(std::exchange(other.joinable_, false)) {}
  thread& operator=(thread&& other) noexcept {
    id_ = other.id_;
    joinable_ = std::exchange(other.joinable_, false);
    return *this;
  }
  [[nodiscard]] bool joinable() const noexcept { return joinable_; }
  void join() noexcept {
    joinable_ = false;
    explorer::join_thread(id_);
  }
  void detach() noexcept { joinable_ = false; }

 private:
  unsigned id_ = 0;
  bool joinable_ = false;
};

[[nodiscard]] inline unsigned usable_cores() noexcept { return 2; }

}  // namespace sheaf::detail::sync
