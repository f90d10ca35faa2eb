#pragma once
/// @file
/// drop_counter: payloads that must be destroyed exactly once, and on the right thread.

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <utility>

namespace sheaf::test {

/// Makes payloads and keeps their accounts; outlives them. Its destructor fails the test if one is left or was destroyed twice.
///
/// @par Threads  any
class drop_counter {
 public:
  class payload;
  class copyable;

  drop_counter() = default;
  drop_counter(const drop_counter&) = delete;
  drop_counter& operator=(const drop_counter&) = delete;
  ~drop_counter() {
    EXPECT_EQ(constructed_.load(), destroyed_.load()) << "objects made and destroyed, moved-from ones included";
    EXPECT_EQ(destroyed_twice_.load(), 0);
  }

  /// A move-only payload.
  [[nodiscard]] payload make(int value = 0);
  /// One that may be copied; each copy is a payload of its own.
  [[nodiscard]] copyable make_copyable(int value = 0);

  /// Payloads alive; a moved-from object carries none.
  [[nodiscard]] int alive() const noexcept { return alive_.load(); }
  /// Payloads destroyed.
  [[nodiscard]] int drops() const noexcept { return drops_.load(); }
  /// Where the latest payload was destroyed.
  [[nodiscard]] std::thread::id dropped_on() const noexcept { return dropped_on_.load(); }

 private:
  std::atomic<int> constructed_{0};
  std::atomic<int> destroyed_{0};
  std::atomic<int> destroyed_twice_{0};
  std::atomic<int> alive_{0};
  std::atomic<int> drops_{0};
  std::atomic<std::thread::id> dropped_on_{};
};

class drop_counter::payload {
 public:
  payload(payload&& other) noexcept
      : counter_(other.counter_), value_(other.value_), carries_(std::exchange(other.carries_, false)) {
    counter_->constructed_.fetch_add(1);
  }
  payload& operator=(payload&& other) noexcept {
    std::swap(counter_, other.counter_);
    std::swap(value_, other.value_);
    std::swap(carries_, other.carries_);
    return *this;
  }
  ~payload() {
    if (std::exchange(mark_, k_destroyed) != k_alive) {
      counter_->destroyed_twice_.fetch_add(1);
      return;
    }
    counter_->destroyed_.fetch_add(1);
    if (!carries_) return;
    counter_->dropped_on_.store(std::this_thread::get_id());
    counter_->drops_.fetch_add(1);
    counter_->alive_.fetch_sub(1);  // last: whoever waits for it may end the counter
  }

  [[nodiscard]] int value() const noexcept { return value_; }
  /// False when moved from.
  [[nodiscard]] explicit operator bool() const noexcept { return carries_; }

 protected:
  payload(drop_counter& counter, int value) noexcept : counter_(&counter), value_(value) {
    counter.constructed_.fetch_add(1);
    counter.alive_.fetch_add(1);
  }
  payload(const payload& other) noexcept : payload(*other.counter_, other.value_) {}

 private:
  friend class drop_counter;
  static constexpr unsigned k_alive = 0xA11FE, k_destroyed = 0xDEAD;

  drop_counter* counter_;
  int value_;
  bool carries_ = true;
  volatile unsigned mark_ = k_alive;
};

class drop_counter::copyable : public payload {
 public:
  copyable(const copyable& other) noexcept : payload(other) {}
  copyable(copyable&&) noexcept = default;
  copyable& operator=(copyable&&) noexcept = default;

 private:
  friend class drop_counter;
  using payload::payload;
};

inline drop_counter::payload drop_counter::make(int value) { return payload(*this, value); }
inline drop_counter::copyable drop_counter::make_copyable(int value) { return copyable(*this, value); }

}  // namespace sheaf::test
