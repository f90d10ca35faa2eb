#include "live_tasks.hpp"

namespace sheaf::detail {

live_tasks::live_tasks(unsigned workers)
    : seat_count_(workers), seats_(workers != 0 ? std::make_unique<seat_table[]>(workers) : nullptr) {}

bool live_tasks::unlink_slowly() noexcept {
  // A walk may be looking at this task: it ends no sooner than that (L2).
  const sync::lock_guard pause(walk_lock_);
  if ((attention_.load(sync::relaxed) & k_closed) == 0) return false;
  // order: acq_rel: each late end sees all counted before it (L4); peers: the other late ends.
  late_ends_.fetch_add(1, sync::acq_rel);
  return size() == 0;
}

void live_tasks::close() noexcept {
  const sync::lock_guard guard(walk_lock_);
  attention_.store(attention_.load(sync::relaxed) | k_closed, sync::relaxed);
  sync::heavy_barrier();
}

std::size_t live_tasks::size() const noexcept {
  std::size_t ended = 0, linked = 0;
  // order: acquire: an end is counted after its link, so linked is read last (L4); peer: count_end().
  for (std::size_t i = 0; i < seat_count_; ++i) ended += seats_[i].ended.load(sync::acquire);
  for (const shard& each : shards_) ended += each.ended.load(sync::acquire);  // order: likewise
  for (std::size_t i = 0; i < seat_count_; ++i) linked += seats_[i].linked.load(sync::relaxed);
  for (const shard& each : shards_) linked += each.linked.load(sync::relaxed);
  return linked - ended;
}

const live_table* live_tasks::table(std::size_t index) const noexcept {
  if (index < seat_count_) return &seats_[index].places;
  index -= seat_count_;
  return index < k_shards ? &shards_[index].places : nullptr;
}

template <class Visit>
bool live_tasks::walk(position& at, Visit visit) const {
  const sync::lock_guard guard(walk_lock_);
  const std::uint32_t before = attention_.load(sync::relaxed);
  attention_.store(before | k_walking, sync::relaxed);
  sync::heavy_barrier();
  std::size_t left = k_places_in_one_go;
  const live_table* places = table(at.table);
  for (; places != nullptr && left != 0; places = table(at.table)) {
    if (!places->walk(at.place, left, visit)) at = {at.table + 1, 0};
  }
  // Whoever still reads `walking` waits for the lock. order: release: who does not sees the references that were taken (L2); peer:
  // acquire in unlink().
  attention_.store(before, sync::release);
  return places != nullptr;
}

std::vector<task_core*> live_tasks::snapshot() const {
  std::vector<task_core*> found;
  try {
    position at;
    for (bool more = true; more;) {
      // Outside the walk.
      if (found.capacity() - found.size() < k_places_in_one_go) found.reserve(2 * found.capacity() + k_places_in_one_go);
      more = walk(at, [&found](task_core& task) {
        task.state.add_reference();
        found.push_back(&task);
      });
    }
  } catch (...) {
    for (task_core* const task : found) drop_reference(*task);
    throw;
  }
  return found;
}

void live_tasks::cancel_each(std::string_view reason) noexcept {
  position at;
  for (bool more = true; more;) {
    std::array<task_core*, k_places_in_one_go> batch;
    std::size_t filled = 0;
    more = walk(at, [&](task_core& task) {
      task.state.add_reference();
      batch[filled++] = &task;
    });
    for (std::size_t i = 0; i < filled; ++i) {
      request_cancel(*batch[i], reason);
      drop_reference(*batch[i]);
    }
  }
}

}  // namespace sheaf::detail
