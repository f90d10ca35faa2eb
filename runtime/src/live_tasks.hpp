#pragma once
/// @file
/// The tasks of a runtime that have not completed: a table per worker, and some shared by all other threads.
///
/// Linking and unlinking are plain stores on the task's way; what makes them safe is paid by whoever walks or closes:
///
///   linker:    fill the place;             light barrier;  read attention
///   unlinker:  count the end, empty the place;  light barrier;  read attention
///   walker:    set `walking` in attention; heavy barrier;  read the places
///   closer:    set `closed` in attention;  heavy barrier;  read places and counters
///
/// L1  A task is linked before it can run and unlinked before its outcome is published.
/// L2  A filled place that a walker reads names a task that lives while `walking` is set: its unlinker has not yet read attention, or
///     it would have emptied the place before the heavy barrier; it will read `walking`, and waits for the walk to pause, or what the
///     end of the walk has stored, and with it the references that were taken.
/// L3  After close() a linker either refuses, or is seen by every later walk, or sees `closed` itself and asks its task to stop.
/// L4  linked() is read after ended(), so size() is never too small; and whoever unlinks after close() counts itself with a
///     read-modify-write first, so the last of them sees zero.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include <sheaf/detail/context.hpp>
#include <sheaf/detail/task_core.hpp>

#include "live_table.hpp"
#include "worker.hpp"

namespace sheaf::detail {

class live_tasks {
 public:
  /// `workers`: the seats whose threads have tables of their own.
  explicit live_tasks(unsigned workers);

  enum class linked { refused, yes, yes_and_closed };
  /// Not for structured children: refused once closed. `yes_and_closed`: the caller asks the task to stop. Any thread; `here` is its
  /// context, with a seat of this runtime or none. @throws std::bad_alloc
  [[nodiscard]] linked link(task_core& task, bool structured, thread_context& here, worker* seat) {
    if (!structured && (attention_.load(sync::relaxed) & k_closed) != 0) return linked::refused;
    if (task.place == nullptr) {
      if (seat != nullptr) {
        task.place = &seats_[seat->number()].places.take();
      } else {
        reserve(task, here, nullptr);
      }
    }
    const linked done = link_reserved(task, here, seat);
    return structured ? linked::yes : done;
  }
  /// Never refused. Role: as link().
  [[nodiscard]] linked link_reserved(task_core& task, thread_context& here, worker* seat) noexcept {
    count_link(here, seat);
    // order: release shows the walker a whole task; peer: live_table::walk().
    task.place->store(&task, sync::release);
    sync::light_barrier();
    return (attention_.load(sync::relaxed) & k_closed) == 0 ? linked::yes : linked::yes_and_closed;
  }
  /// Takes a task's place beforehand: then link() does not throw. The task is linked, or its reservation dropped.
  [[gnu::noinline]] void reserve(task_core& task, thread_context& here, worker* seat) {
    task.place = seat != nullptr ? &seats_[seat->number()].places.take() : &shards_[shard_of(here)].take();
  }
  static void drop_reservation(task_core& task) noexcept {
    if (task.place != nullptr) task.place->store(nullptr, sync::relaxed);
  }

  /// Role: running. True: closed and this was the last one.
  [[nodiscard]] bool unlink(task_core& task, thread_context& here, worker* seat) noexcept {
    if (seat != nullptr) {
      seats_[seat->number()].count_end();
    } else {
      shards_[shard_of(here)].count_end();
    }
    // order: release: the end is counted before the place is seen empty; peer: live_table::walk().
    task.place->store(nullptr, sync::release);
    sync::light_barrier();
    // order: acquire sees the references that a walk has taken which is over (L2); peer: release in walk().
    return attention_.load(sync::acquire) != 0 && unlink_slowly();
  }

  void close() noexcept;
  [[nodiscard]] std::size_t size() const noexcept;
  /// One reference to each task that is linked now. May throw std::bad_alloc.
  [[nodiscard]] std::vector<task_core*> snapshot() const;
  /// Asks each task that is linked now to stop, once, outside locks. Never throws.
  void cancel_each(std::string_view reason) noexcept;

 private:
  static constexpr std::uint32_t k_closed = 1, k_walking = 2;
  static constexpr std::size_t k_shards = 16;
  static constexpr std::size_t k_places_in_one_go = 512;

  /// Of one seat: its thread is the only one that takes places and counts.
  struct alignas(k_cache_line) seat_table {
    live_table places;
    sync::atomic<std::size_t> linked{0};
    sync::atomic<std::size_t> ended{0};
    void count_link() noexcept { linked.store(linked.load(sync::relaxed) + 1, sync::relaxed); }
    void count_end() noexcept {
      // order: release: who sees this end counted sees its link counted; peer: size().
      ended.store(ended.load(sync::relaxed) + 1, sync::release);
    }
  };
  /// Of some other threads.
  struct alignas(k_cache_line) shard {
    sync::spin_lock lock;
    live_table places;  ///< taken under lock
    sync::atomic<std::size_t> linked{0};
    sync::atomic<std::size_t> ended{0};
    live_place& take() {
      const sync::lock_guard guard(lock);
      return places.take();
    }
    void count_link() noexcept { linked.fetch_add(1, sync::relaxed); }
    void count_end() noexcept { ended.fetch_add(1, sync::release); }  // order: as seat_table::count_end()
  };

  void count_link(thread_context& here, worker* seat) noexcept {
    if (seat != nullptr) {
      seats_[seat->number()].count_link();
    } else {
      shards_[shard_of(here)].count_link();
    }
  }
  [[nodiscard]] static std::size_t shard_of(thread_context& here) noexcept { return here.shard() % k_shards; }
  [[gnu::noinline]] bool unlink_slowly() noexcept;

  /// Calls `visit` for the tasks of some places; between two calls tasks may end.
  struct position {
    std::size_t table = 0;
    std::size_t place = 0;
  };
  template <class Visit>
  bool walk(position& at, Visit visit) const;
  [[nodiscard]] const live_table* table(std::size_t index) const noexcept;

  const std::size_t seat_count_;
  std::unique_ptr<seat_table[]> seats_;
  std::array<shard, k_shards> shards_;
  mutable sync::mutex walk_lock_;
  alignas(k_cache_line) mutable sync::atomic<std::uint32_t> attention_{0};  ///< changed under walk_lock_
  sync::atomic<std::size_t> late_ends_{0};                                  ///< L4
};

}  // namespace sheaf::detail
