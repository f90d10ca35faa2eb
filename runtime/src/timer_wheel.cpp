#include "timer_wheel.hpp"

#include <algorithm>
#include <bit>

#include <sheaf/detail/assert.hpp>

namespace sheaf::detail {

namespace {

bool before(const timer& a, const timer& b) noexcept {
  return a.deadline != b.deadline ? a.deadline < b.deadline : static_cast<std::int32_t>(a.sequence - b.sequence) < 0;
}

/// Merges two sorted lists linked by `next`.
timer* merge(timer* a, timer* b) noexcept {
  timer* head = nullptr;
  timer** end = &head;
  while (a != nullptr && b != nullptr) {
    timer*& earlier = before(*b, *a) ? b : a;
    *end = earlier;
    end = &earlier->next;
    earlier = earlier->next;
  }
  *end = a != nullptr ? a : b;
  return head;
}

/// Bottom-up merge sort of a list linked by `next`: piles[i] holds 2^i ascending runs.
timer* sorted(timer* list) noexcept {
  std::array<timer*, 48> piles{};
  while (list != nullptr) {
    timer* run = list;
    timer* last = run;
    while (last->next != nullptr && before(*last, *last->next)) last = last->next;
    list = last->next;
    last->next = nullptr;
    std::size_t pile = 0;
    for (; piles[pile] != nullptr; ++pile) {
      run = merge(piles[pile], run);
      piles[pile] = nullptr;
    }
    piles[pile] = run;
  }
  timer* whole = nullptr;
  for (timer* pile : piles) whole = merge(pile, whole);
  return whole;
}

}  // namespace

void timer_wheel::insert(timer& entry, sync::nanoseconds deadline) noexcept {
  SHEAF_ASSERT(entry.linked == timer::place::idle);
  entry.deadline = deadline;
  entry.sequence = ++sequence_;
  if (deadline == sync::k_forever) {
    entry.linked = timer::place::never;
  } else if (deadline <= reached_) {
    place_in_due(entry);
  } else {
    place_in_slot(entry);
  }
}

bool timer_wheel::remove(timer& entry) noexcept {
  const auto linked = entry.linked;
  entry.linked = timer::place::idle;
  switch (linked) {
    case timer::place::idle:
      return false;
    case timer::place::never:
      return true;
    case timer::place::due:
      (entry.prev != nullptr ? entry.prev->next : due_first_) = entry.next;
      (entry.next != nullptr ? entry.next->prev : due_last_) = entry.prev;
      return true;
    case timer::place::slot:
      break;
  }
  slot& home = slots_[entry.slot];
  (entry.prev != nullptr ? entry.prev->next : home.first) = entry.next;
  if (entry.next != nullptr) entry.next->prev = entry.prev;
  const auto level = static_cast<unsigned>(entry.slot / k_slots);
  const std::uint64_t bit = std::uint64_t{1} << (entry.slot % k_slots);
  if (home.first == nullptr) {
    occupied_[level] &= ~bit;
    if (occupied_[level] == 0) occupied_levels_ &= ~(1U << level);
  } else if (entry.deadline == home.bound) {
    stale_[level] |= bit;  // W4
  }
  return true;
}

timer* timer_wheel::first_due(sync::nanoseconds now) noexcept {
  if (due_first_ != nullptr) return due_first_->deadline <= now ? due_first_ : nullptr;
  while (occupied_levels_ != 0) {
    const position where = first_slot();
    if (where.start > static_cast<std::uint64_t>(now)) break;
    empty_slot(where, now);
    if (due_first_ != nullptr) return due_first_;
  }
  reached_ = std::max(reached_, now);  // W3
  return nullptr;
}

sync::nanoseconds timer_wheel::earliest(std::size_t patience) noexcept {
  if (due_first_ != nullptr) return due_first_->deadline;
  if (occupied_levels_ == 0) return sync::k_forever;
  const position where = first_slot();
  slot& first = slots_[where.level * k_slots + where.digit];
  const std::uint64_t bit = std::uint64_t{1} << where.digit;
  if ((stale_[where.level] & bit) != 0) {
    sync::nanoseconds exact = sync::k_forever;
    const timer* entry = first.first;
    for (; entry != nullptr && patience != 0; entry = entry->next, --patience) exact = std::min(exact, entry->deadline);
    if (entry != nullptr) return first.bound;
    first.bound = exact;
    stale_[where.level] &= ~bit;
  }
  return first.bound;
}

timer_wheel::position timer_wheel::first_slot() const noexcept {
  const auto level = static_cast<unsigned>(std::countr_zero(occupied_levels_));
  const auto digit = static_cast<unsigned>(std::countr_zero(occupied_[level]));
  const unsigned shift = level * k_digit;
  const std::uint64_t higher_digits = level + 1 == k_levels ? 0 : ~std::uint64_t{0} << (shift + k_digit);
  return {level, digit, (static_cast<std::uint64_t>(reached_) & higher_digits) | std::uint64_t{digit} << shift};  // W2
}

void timer_wheel::place_in_slot(timer& entry) noexcept {
  const auto deadline = static_cast<std::uint64_t>(entry.deadline);
  const auto differing = deadline ^ static_cast<std::uint64_t>(reached_);
  const unsigned level = (63U - static_cast<unsigned>(std::countl_zero(differing))) / k_digit;
  const auto digit = static_cast<unsigned>((deadline >> (level * k_digit)) % k_slots);
  const std::uint64_t bit = std::uint64_t{1} << digit;
  entry.slot = static_cast<std::uint16_t>(level * k_slots + digit);
  entry.linked = timer::place::slot;
  slot& home = slots_[entry.slot];
  entry.prev = nullptr;
  entry.next = home.first;
  if (home.first != nullptr) {
    home.first->prev = &entry;
    home.bound = std::min(home.bound, entry.deadline);
  } else {
    home.bound = entry.deadline;
    occupied_[level] |= bit;
    stale_[level] &= ~bit;
    occupied_levels_ |= 1U << level;
  }
  home.first = &entry;
}

void timer_wheel::place_in_due(timer& entry) noexcept {
  timer* earlier = due_last_;
  while (earlier != nullptr && before(entry, *earlier)) earlier = earlier->prev;
  entry.linked = timer::place::due;
  entry.prev = earlier;
  entry.next = earlier != nullptr ? earlier->next : due_first_;
  (earlier != nullptr ? earlier->next : due_first_) = &entry;
  (entry.next != nullptr ? entry.next->prev : due_last_) = &entry;
}

void timer_wheel::append_due(timer* sorted_list) noexcept {
  for (timer* entry = sorted_list; entry != nullptr; entry = entry->next) {
    entry->linked = timer::place::due;
    entry->prev = due_last_;
    (due_last_ != nullptr ? due_last_->next : due_first_) = entry;
    due_last_ = entry;
  }
}

void timer_wheel::empty_slot(position where, sync::nanoseconds now) noexcept {
  slot& home = slots_[where.level * k_slots + where.digit];
  timer* entry = home.first;
  home.first = nullptr;
  occupied_[where.level] &= ~(std::uint64_t{1} << where.digit);
  if (occupied_[where.level] == 0) occupied_levels_ &= ~(1U << where.level);

  const std::uint64_t last = where.start + ((std::uint64_t{1} << (where.level * k_digit)) - 1);
  reached_ = static_cast<sync::nanoseconds>(std::min(last, static_cast<std::uint64_t>(now)));  // W1, W3
  timer* due = nullptr;
  while (entry != nullptr) {
    timer* const next = entry->next;
    if (entry->deadline <= reached_) {
      entry->next = due;  // slots are newest first: this gives equal deadlines back their order
      due = entry;
    } else {
      place_in_slot(*entry);
    }
    entry = next;
  }
  append_due(sorted(due));
}

}  // namespace sheaf::detail
