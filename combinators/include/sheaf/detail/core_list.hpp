#pragma once
/// @file
/// Some tasks, by pointer: few of them without an allocation.

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include <sheaf/detail/task_core.hpp>

namespace sheaf::detail {

/// Owns nothing but its memory.
class core_list {
 public:
  core_list() = default;
  core_list(core_list&& other) noexcept
      : heap_(std::move(other.heap_)), size_(std::exchange(other.size_, 0)), room_(std::exchange(other.room_, k_few)) {
    if (heap_ == nullptr) std::copy_n(other.few_.begin(), size_, few_.begin());
  }
  core_list& operator=(core_list&&) = delete;
  ~core_list() = default;

  /// @throws std::bad_alloc
  void reserve(std::size_t room) {
    if (room > room_) grow(room);
  }
  /// For one more. @throws std::bad_alloc
  void make_room() {
    if (size_ == room_) [[unlikely]]
      grow(2 * room_);
  }
  /// There is room.
  void push_back(task_core* core) noexcept { data()[size_++] = core; }
  void truncate(std::size_t size) noexcept { size_ = size; }

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] task_core** data() noexcept { return heap_ != nullptr ? heap_.get() : few_.data(); }
  [[nodiscard]] task_core* const* data() const noexcept { return heap_ != nullptr ? heap_.get() : few_.data(); }
  [[nodiscard]] task_core** begin() noexcept { return data(); }
  [[nodiscard]] task_core** end() noexcept { return data() + size_; }
  [[nodiscard]] task_core*& operator[](std::size_t i) noexcept { return data()[i]; }
  [[nodiscard]] std::span<task_core* const> all() const noexcept;

 private:
  void grow(std::size_t room);

  static constexpr std::size_t k_few = 10;
  std::array<task_core*, k_few> few_;  // not initialised
  std::unique_ptr<task_core*[]> heap_;
  std::size_t size_ = 0;
  std::size_t room_ = k_few;
};

}  // namespace sheaf::detail
