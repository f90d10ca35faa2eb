#pragma once
/// @file
/// A growing array of places for live tasks. One thread takes places, any thread empties one, and a walker reads all.
///
/// P1  Only the table's owner turns an empty place into a taken one and fills it; only who ends the task empties it.
/// P2  Places are searched in a circle. A lap that finds less than a quarter of them empty doubles the table: finding one looks at four
///     places in the mean, and a table has at most three per task of its fullest moment, or k_first.
/// P3  Chunks are freed with the table.

#include <array>
#include <cstddef>
#include <memory>

#include <sheaf/detail/sync.hpp>

namespace sheaf::detail {

class task_core;
/// Empty (null), taken, or a task.
using live_place = sync::atomic<task_core*>;

class live_table {
 public:
  /// Role: owner. An empty place is taken. @throws std::bad_alloc
  [[nodiscard]] live_place& take() {
    for (;;) {
      while (cursor_ != end_) {
        live_place& place = *cursor_++;
        if (place.load(sync::relaxed) != nullptr) continue;
        ++found_;
        place.store(taken(), sync::relaxed);  // P1: nobody else writes an empty place
        return place;
      }
      next_chunk();
    }
  }

  /// Role: walker, who sees to it that a task whose place is filled stays alive. Calls `visit` for the tasks of at most `limit` places
  /// from `at` on, which moves behind them; `limit` becomes what is left of it. False: there are no more places.
  template <class Visit>
  bool walk(std::size_t& at, std::size_t& limit, Visit& visit) const {
    for (; limit != 0; --limit, ++at) {
      const live_place* const place = find(at);
      if (place == nullptr) return false;
      // order: acquire sees the task as it was when the place was filled; peer: live_tasks::fill().
      task_core* const task = place->load(sync::acquire);
      if (task != nullptr && task != taken()) visit(*task);
    }
    return true;
  }

 private:
  static constexpr std::size_t k_first = 256;  ///< places of chunk 0; each later chunk has as many as all before it
  static constexpr std::size_t k_chunks = 40;

  static task_core* taken() noexcept { return reinterpret_cast<task_core*>(1); }
  static constexpr std::size_t size_of(std::size_t chunk) noexcept { return chunk == 0 ? k_first : k_first << (chunk - 1); }
  [[nodiscard]] const live_place* find(std::size_t index) const noexcept;
  /// The cursor moves to the next chunk; at the end of a lap to a new one or to the first.
  void next_chunk();

  live_place* cursor_ = nullptr;
  live_place* end_ = nullptr;
  std::size_t chunk_ = 0;   ///< of the cursor
  std::size_t chunks_ = 0;  ///< made so far
  std::size_t found_ = 0;   ///< empty places of this lap
  std::array<sync::atomic<live_place*>, k_chunks> starts_{};
  std::array<std::unique_ptr<live_place[]>, k_chunks> owned_;
};

}  // namespace sheaf::detail
