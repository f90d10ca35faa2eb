#include <sheaf/detail/children.hpp>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>
#include <new>

namespace sheaf::detail {

namespace {

/// Moves the first of each to the front, drops the handles of the others. `seen_before(i)` answers for handles[i].
template <class Seen>
void keep_first(core_list& handles, Seen seen_before) noexcept {
  std::size_t kept = 0;
  for (task_core* const handle : handles) {
    if (seen_before(handle, kept)) {
      drop_handle(*handle);
    } else {
      handles[kept++] = handle;
    }
  }
  handles.truncate(kept);
}

}  // namespace

void core_list::grow(std::size_t room) {
  auto larger = std::make_unique_for_overwrite<task_core*[]>(room);
  std::copy_n(data(), size_, larger.get());
  heap_ = std::move(larger);
  room_ = room;
}

std::span<task_core* const> core_list::all() const noexcept { return {data(), size_}; }

std::span<task_core* const> few_at_a_time::iterator::operator*() const noexcept {
  return rest_.first(std::min(k_few, rest_.size()));
}
few_at_a_time::iterator& few_at_a_time::iterator::operator++() noexcept {
  rest_ = rest_.subspan(std::min(k_few, rest_.size()));
  return *this;
}

child_list::~child_list() {
  for (task_core* const each : cores_.all()) {
    if (each->is_started()) {
      drop_handle(*each);
    } else {
      discard_unstarted(*each);
    }
  }
}

void child_list::remove_duplicates() noexcept {
  if (std::ranges::none_of(cores_.all(), [](const task_core* each) { return each->is_started(); })) return;
  constexpr std::size_t k_few = 16;
  const auto scan = [this](task_core* handle, std::size_t kept) noexcept {
    const auto before = cores_.all().first(kept);
    return std::ranges::find(before, handle) != before.end();
  };
  if (cores_.size() <= k_few) return keep_first(cores_, scan);
  // Open addressing over twice the room; blocks are 16 bytes apart at least.
  const std::size_t room = std::bit_ceil(cores_.size() * 2);
  const std::unique_ptr<task_core*[]> table(new (std::nothrow) task_core*[room]());
  if (table == nullptr) return keep_first(cores_, scan);
  keep_first(cores_, [&table, room](task_core* handle, std::size_t) noexcept {
    std::size_t slot = (reinterpret_cast<std::uintptr_t>(handle) >> 4) * 0x9E3779B97F4A7C15U >> 20 & (room - 1);
    for (; table[slot] != nullptr; slot = (slot + 1) & (room - 1)) {
      if (table[slot] == handle) return true;
    }
    table[slot] = handle;
    return false;
  });
}

}  // namespace sheaf::detail
