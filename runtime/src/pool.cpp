/// @file
/// Start, stop and the parts of posting that are not worth inlining.

#include "pool.hpp"

#include <utility>

namespace sheaf::detail {

namespace {
/// How long stop() sleeps between two looks at a foreign thread that is still inside post().
constexpr sync::nanoseconds k_injecting_poll = 50'000;
}  // namespace

pool::pool(pool_options options)
    : workers_(options.workers != 0 ? options.workers : 1),
      shared_(workers_ > 1),
      seats_(std::make_unique<std::unique_ptr<worker>[]>(workers_)),
      crew_(options),
      idle_(workers_) {
  for (unsigned i = 0; i < workers_; ++i) seats_[i] = std::make_unique<worker>(*this, i, shared_);
  try {
    for (unsigned i = 0; i < workers_; ++i) crew_.start_worker(*seats_[i]);
  } catch (...) {
    stop();
    throw;
  }
}

bool pool::inject(work_chain chain) noexcept {
  // Once published, an item may run, the program may end and stop() may be called: the count keeps the pool alive until the look
  // at idle_ is done. The order of the changes of this one word decides whether stop() waits for this or refuses it.
  // order: acquire: who is refused sees what came before stop(); peer: release in stop().
  const bool open = (injecting_.fetch_add(1, sync::acquire) & k_closed) == 0 || own_seat() != nullptr;
  if (open) {
    injection_.push_chain(chain);
    idle_.notify();
  }
  // order: release: this thread has done with the pool; peer: acquire in stop().
  injecting_.fetch_sub(1, sync::release);
  return open;
}

bool pool::post_chain(work_item* first, std::size_t count) noexcept {
  if (count == 0) return true;
  worker* const seat = own_seat();
  if (seat == nullptr) return inject({first, count});
  seat->push_ready(work_chain{first, count});
  notify_others();
  return true;
}

bool pool::has_work() const noexcept {
  if (!injection_.empty()) return true;
  for (unsigned i = 0; i < workers_; ++i) {
    if (seats_[i]->has_work()) return true;
  }
  return false;
}

void pool::stop() noexcept {
  // order: release: peer: acquire in inject(), which refuses from here on.
  if ((injecting_.fetch_or(k_closed, sync::release) & k_closed) != 0) return;
  // order: acquire: what others have posted is queued, and they touch the pool no more; peer: release in inject().
  while (const std::uint32_t still = injecting_.load(sync::acquire) & ~k_closed)
    sync::futex_wait(injecting_, still | k_closed, sync::now() + k_injecting_poll);
  // order: release: what was posted before is seen by a worker that sees the flag; peer: acquire in stopping(). A worker that
  //        announces itself after wake_all() sees the flag by way of the idle set's lock.
  stopping_.store(true, sync::release);
  idle_.wake_all();
  crew_.stop();
}

pool::metrics pool::read_metrics() const noexcept {
  metrics sum{0, 0, idle_.wakes(), crew_.spares_started()};
  for (unsigned i = 0; i < workers_; ++i) {
    sum.steals += seats_[i]->steals();
    sum.parks += seats_[i]->parks();
  }
  return sum;
}

}  // namespace sheaf::detail
