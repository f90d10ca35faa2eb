/// @file
/// Starting threads, handing seats over, and ending. The states are drawn in crew.hpp.

#include "crew.hpp"

#include <sheaf/detail/assert.hpp>
#include <sheaf/detail/context.hpp>

#include "worker.hpp"

#include <exception>
#include <memory>
#include <utility>

namespace sheaf::detail {

namespace {

/// Removes `node` from a list linked by `next`. False: it is not in it.
template <class Node>
bool unlink(Node*& first, Node& node) noexcept {
  Node** link = &first;
  while (*link != nullptr && *link != &node) link = &(*link)->next;
  if (*link == nullptr) return false;
  *link = node.next;
  return true;
}

}  // namespace

void crew::start_worker(worker& seat) {
  {
    const sync::lock_guard guard(lock_);
    ++running_;
  }
  try {
    start(&seat);
  } catch (...) {
    const sync::lock_guard guard(lock_);
    --running_;
    throw;
  }
}

/// Starts a thread in `seat`, null: UNSEATED; the caller has counted it in running_.
void crew::start(worker* seat) {
  auto fresh = std::make_unique<member>(*this, seat);
  member& m = *fresh;
  {
    // Listed first: from its first instruction on, the thread may do whatever a member does.
    const sync::lock_guard guard(lock_);
    m.next = std::exchange(members_, &m);
  }
  try {
    m.thread = sync::thread("sheaf worker", &thread_main, &m);
  } catch (...) {
    const sync::lock_guard guard(lock_);
    if (!unlink(members_, m)) {  // stop() has taken it, and waits for a thread that there never was
      fresh.release();
      m.started.signal();
      m.ended.signal();
    }
    throw;
  }
  fresh.release();
  m.started.signal();
}

void crew::thread_main(void* argument) noexcept {
  member& me = *static_cast<member*>(argument);
  me.owner.live(me);
  me.ended.signal();
}

void crew::live(member& me) noexcept {
  thread_context& here = context();
  here.member = &me;
  if (options_.on_thread_start != nullptr) options_.on_thread_start(options_.argument);
  worker* const first = std::exchange(me.seat, nullptr);
  for (worker* seat = first != nullptr ? first : next_seat(me); seat != nullptr; seat = next_seat(me)) {
    here.seat = seat;
    seat->serve();
    if (std::exchange(here.seat, nullptr) != nullptr) {  // still seated: the loop ended because the pool stops
      const sync::lock_guard guard(lock_);
      --running_;
      return;
    }
  }
}

/// UNSEATED -> SEATED, by way of IDLE SPARE unless a seat can be adopted. Null: this thread leaves.
worker* crew::next_seat(member& me) noexcept {
  sync::lock_guard guard(lock_);
  for (blocked_entry* entry = blocked_; entry != nullptr; entry = entry->next) {
    if (entry->seat != nullptr) return std::exchange(entry->seat, nullptr);  // I2
  }
  --running_;
  if (stopping_) return nullptr;
  if (idle_count_ == k_idle_spares || spares_ > options_.max_spares) {
    --spares_;
    unlink(members_, me);
    // A thread that leaves joins the one that left before it, so at most one is waiting to be joined.
    member* const before = std::exchange(left_, &me);
    guard.unlock();
    join(before);
    return nullptr;
  }
  me.called.reset();
  me.next_idle = std::exchange(idle_, &me);
  ++idle_count_;
  guard.unlock();
  me.called.wait();
  return std::exchange(me.seat, nullptr);
}

void crew::join(member* gone) noexcept {
  if (gone == nullptr) return;
  gone->started.wait();
  if (gone->thread.joinable()) gone->thread.join();
  delete gone;
}

crew::block_result crew::block(sync::parker& until, sync::nanoseconds deadline, beyond_max_spares allowed) noexcept {
  if (until.signalled()) return block_result::signalled;
  if (deadline != sync::k_forever && sync::now() >= deadline) return block_result::timed_out;
  const auto wait = [&] { return until.wait(deadline) ? block_result::signalled : block_result::timed_out; };
  if (!is_member()) return wait();  // a foreign thread: no seat is at stake

  thread_context& here = context();
  blocked_entry entry{until, deadline, here.seat};
  while (entry.seat == nullptr || !hand_over(entry)) {
    const in_place result = block_in_place(entry, allowed);
    if (result == in_place::blocked) break;
    if (result == in_place::listed_alone) {
      if (start_relief(entry)) break;
      return block_result::would_deadlock;
    }
    // The second look at `until`: the last other thread may have signalled it before it blocked itself.
    if (result == in_place::alone) return until.signalled() ? block_result::signalled : block_result::would_deadlock;
  }

  const block_result result = wait();
  const sync::lock_guard guard(lock_);
  unlink(blocked_, entry);
  ++running_;
  if (entry.seat == nullptr) here.seat = nullptr;
  return result;
}

/// SEATED -> BLOCKED, the seat going to a spare, idle or new. False: there is none, and nothing has changed.
bool crew::hand_over(blocked_entry& entry) noexcept {
  thread_context& here = context();
  worker* const seat = std::exchange(here.seat, nullptr);  // first: the other thread sits down as soon as it may
  {
    sync::lock_guard guard(lock_);
    member* const spare = idle_;
    if (spare == nullptr && spares_ >= options_.max_spares) {  // I4
      here.seat = seat;
      return false;
    }
    // I1: running_ stays as it is. In this one step the spare takes the caller's place in it; between two, a third thread could
    // rely on the caller and block, though the caller is about to.
    entry.seat = nullptr;
    entry.next = std::exchange(blocked_, &entry);
    if (spare != nullptr) {
      idle_ = spare->next_idle;
      --idle_count_;
      spare->seat = seat;  // I3
      guard.unlock();
      spare->called.signal();
      return true;
    }
    ++spares_;
  }
  try {
    start(seat);
  } catch (const std::exception&) {  // no thread or no memory to be had: as good as no spare
    const sync::lock_guard guard(lock_);
    --spares_;
    unlink(blocked_, entry);
    entry.seat = here.seat = seat;
    return false;
  }
  spares_started_.fetch_add(1, sync::relaxed);
  return true;
}

/// SEATED or UNSEATED -> BLOCKED, keeping the seat, if any, until it is adopted. Else nothing has changed: there is a spare for the
/// seat by now, which hand_over() did not see; or nobody else runs. Unless that may be: then the caller is BLOCKED, and start_relief()
/// follows.
crew::in_place crew::block_in_place(blocked_entry& entry, beyond_max_spares allowed) noexcept {
  const sync::lock_guard guard(lock_);
  if (entry.seat != nullptr && idle_ != nullptr) return in_place::spare_has_come;  // I2
  const bool alone = !others_run();
  if (alone && (allowed == beyond_max_spares::no || entry.until.signalled())) return in_place::alone;
  entry.next = std::exchange(blocked_, &entry);
  if (alone) {
    ++spares_;  // I4; running_ stays as it is: the relief takes the caller's place in it
    return in_place::listed_alone;
  }
  --running_;
  return in_place::blocked;
}

/// False: there is no thread to be had, and the caller runs again, perhaps without its seat.
bool crew::start_relief(blocked_entry& entry) noexcept {
  try {
    start(nullptr);
  } catch (const std::exception&) {
    const sync::lock_guard guard(lock_);
    --spares_;
    unlink(blocked_, entry);
    if (entry.seat == nullptr) context().seat = nullptr;
    return false;
  }
  spares_started_.fetch_add(1, sync::relaxed);
  return true;
}

/// Under lock_. Whether some thread other than the caller runs or is about to: signalled or timed out, but not awake yet.
bool crew::others_run() const noexcept {
  if (running_ > 1) return true;
  const auto about_to = [](const blocked_entry& e) {
    return e.until.signalled() || (e.deadline != sync::k_forever && sync::now() >= e.deadline);
  };
  for (const blocked_entry* entry = blocked_; entry != nullptr; entry = entry->next) {
    if (about_to(*entry)) return true;
  }
  return false;
}

bool crew::is_member() const noexcept { return context().member != nullptr && &context().member->owner == this; }

bool crew::leave_behind(bool work_is_queued) noexcept {
  SHEAF_ASSERT(is_member());
  member& me = *context().member;
  {
    const sync::lock_guard guard(lock_);
    if (work_is_queued && context().seat != nullptr) return false;
    --running_;
  }
  me.left_behind = true;
  me.ended.signal();
  return true;
}

void crew::stop() noexcept {
  SHEAF_ASSERT(!is_member());
  {
    const sync::lock_guard guard(lock_);
    stopping_ = true;
    idle_count_ = 0;
    for (member* spare = std::exchange(idle_, nullptr); spare != nullptr;) {
      member* const next = spare->next_idle;  // read first: once signalled, it may become anything
      spare->called.signal();
      spare = next;
    }
  }
  for (;;) {
    member* gone = nullptr;
    {
      const sync::lock_guard guard(lock_);
      gone = left_ != nullptr ? std::exchange(left_, nullptr) : members_;
      if (gone != nullptr && gone == members_) members_ = gone->next;
    }
    if (gone == nullptr) return;
    gone->ended.wait();
    if (gone->left_behind) {
      gone->started.wait();
      gone->thread.detach();
    } else {
      join(gone);
    }
  }
}

}  // namespace sheaf::detail
