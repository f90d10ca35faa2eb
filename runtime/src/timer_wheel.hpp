#pragma once
/// @file
/// A hierarchical timing wheel of nanosecond resolution (Varghese and Lauck, scheme 6): insertion and removal in constant time, expiry
/// in exact (deadline, sequence) order; equal deadlines keep theirs while less than 2^31 insertions lie between them.
///
/// Eleven levels of 64 slots. With `reached` the time the wheel has been turned to, a deadline lies at the level of the highest of its
/// six-bit digits that differs from `reached`, in the slot that digit names. So:
///
/// W1  reached <= every deadline in a slot; deadlines <= reached are in the due list, which is sorted.
/// W2  Everything at a level comes before everything at a higher level, and slots of a level are in time order: the first occupied
///     slot of the lowest occupied level holds the earliest entry. Its slot starts after `reached`.
/// W3  Turning to `t` changes no entry's level or slot, provided the first occupied slot starts after `t`. A slot that starts before is
///     emptied: what is due joins the due list, the rest moves to lower levels. An entry moves ten times at most.
/// W4  Each slot keeps a lower bound of its deadlines. It is exact until the earliest entry is removed (`stale`).
///
/// @par Threads  not synchronised

#include <array>
#include <cstddef>
#include <cstdint>

#include <sheaf/detail/timer.hpp>

namespace sheaf::detail {

class timer_wheel {
 public:
  /// Entries are counted from `sequence`.
  explicit timer_wheel(sync::nanoseconds start, std::uint32_t sequence = 0) noexcept : reached_(start), sequence_(sequence) {}

  void insert(timer& entry, sync::nanoseconds deadline) noexcept;
  /// False: the entry was idle.
  bool remove(timer& entry) noexcept;

  /// Turns to `now` and gives the first entry due by then, still linked; null: there is none.
  [[nodiscard]] timer* first_due(sync::nanoseconds now) noexcept;
  /// No entry is earlier than this; k_forever: there is none. Exact unless the earliest has been removed and more than `patience`
  /// entries would have to be asked.
  [[nodiscard]] sync::nanoseconds earliest(std::size_t patience) noexcept;

 private:
  static constexpr int k_digit = 6;
  static constexpr std::size_t k_slots = std::size_t{1} << k_digit;
  static constexpr std::size_t k_levels = 11;

  struct slot {
    timer* first = nullptr;
    sync::nanoseconds bound = 0;
  };
  struct position {
    unsigned level;
    unsigned digit;
    std::uint64_t start;
  };

  [[nodiscard]] position first_slot() const noexcept;
  void place_in_slot(timer& entry) noexcept;
  void place_in_due(timer& entry) noexcept;
  void append_due(timer* sorted) noexcept;
  void empty_slot(position where, sync::nanoseconds now) noexcept;

  sync::nanoseconds reached_;
  std::uint32_t sequence_;  ///< begins anew after its last value: see timer::sequence
  timer* due_first_ = nullptr;
  timer* due_last_ = nullptr;
  std::uint32_t occupied_levels_ = 0;
  std::array<std::uint64_t, k_levels> occupied_{};
  std::array<std::uint64_t, k_levels> stale_{};
  std::array<slot, k_levels * k_slots> slots_{};
};

}  // namespace sheaf::detail
