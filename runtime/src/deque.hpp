#pragma once
/// @file
/// A work-stealing deque of work items: Chase and Lev's, in the C11 form of Le, Pop, Cohen and Zappa Nardelli, "Correct and
/// Efficient Work-Stealing for Weak Memory Models" (PPoPP 2013).
///
///        top_ -> [ oldest | ... | newest ] <- bottom_
///
/// @par Threads  The *owner* (the thread in the seat; the seat's hand-over orders one owner after the other) calls push,
/// push_chain, push_array, pop and take. A *thief* is any thread; it calls steal, steal_half and empty.
///
/// Two uses of one class, told apart by type because each allows what the other forbids:
///   lifo  the owner pushes and pops at the bottom; thieves steal one from the top.
///   fifo  the owner pushes at the bottom and takes from the top as a thief does. Nobody pops the bottom, so a thief may claim a
///         run of slots with one CAS.
///
/// I1  top_ only grows. The thread whose CAS (or, in I5, store) moved it past index i took the item at i, and nobody else did.
/// I2  Slot i is rewritten, for index i + capacity, only after the owner has seen top_ > i: a thief that read a rewritten slot
///     loses its CAS.
/// I3  A ring is never freed before the deque: a thief may still read one that was replaced. A replaced ring keeps its items, so
///     what a thief reads there is what its CAS on top_ decides about.
/// I4  Only the owner writes bottom_. fifo: bottom_ only grows.
/// I5  shared == false promises that there are no thieves; the owner then needs no read-modify-write and no seq_cst order.
///
/// Deviations from the paper: no fences, seq_cst operations carry the two store-load decisions (pop against steal, push against
/// the sleeper's last look in idle_set.hpp) instead; push publishes with a seq_cst store for that second decision; the owner
/// keeps the last top_ it saw and reads the shared word only when the ring looks full; pop looks before it reserves; steal_half
/// and take (fifo) are additions; growth may fail and says so.

#include <sheaf/detail/sync.hpp>
#include <sheaf/work_item.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

namespace sheaf::detail {

/// Fetches a task that will run soon: its first two lines. Any value will do, also one that points nowhere any more.
inline void prefetch(const void* item) noexcept {
  __builtin_prefetch(item, 1);
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(item) + k_cache_line), 1);
}

enum class deque_use { fifo, lifo };
enum class steal_result { got, empty, lost };  ///< lost: another thread was faster; there may be more

template <deque_use Use>
class deque {
 public:
  static constexpr std::size_t k_initial_capacity = 256;

  /// @throws std::bad_alloc
  explicit deque(bool shared, std::size_t capacity = k_initial_capacity) : shared_(shared) {
    adopt(ring::make(std::bit_ceil(capacity)));
    if (ring_.load(sync::relaxed) == nullptr) throw std::bad_alloc();
  }
  deque(const deque&) = delete;
  deque& operator=(const deque&) = delete;
  ~deque() {
    for (ring* r = ring_.load(sync::relaxed); r != nullptr;) ring::destroy(std::exchange(r, r->retired));
  }

  /// Role: owner. False: full, and no memory to grow; nothing changed.
  [[nodiscard]] bool push(work_item& item) noexcept {
    const index bottom = bottom_.load(sync::relaxed);  // I4
    if (bottom - top_seen_ >= capacity_ && !make_room(bottom, 1)) [[unlikely]]
      return false;
    slot(bottom).store(&item, sync::relaxed);
    publish(bottom + 1);
    return true;
  }

  /// Role: owner. Pushes the first `count` items of a chain linked by `next`, published by one store. Without memory to grow, as
  /// many as fit; `first` becomes the rest of the chain.
  /// @returns how many were pushed
  std::size_t push_chain(work_item*& first, std::size_t count) noexcept {
    return push_many(count, [&first] { return std::exchange(first, first->next); });
  }

  /// Role: owner. Likewise for an array, whose items it does not touch.
  std::size_t push_array(work_item* const* items, std::size_t count) noexcept {
    return push_many(count, [&items] { return *items++; });
  }

  /// Role: owner. The newest item, or null.
  [[nodiscard]] work_item* pop() noexcept
    requires(Use == deque_use::lifo)
  {
    index bottom = bottom_.load(sync::relaxed);
    if (top_.load(sync::relaxed) >= bottom) return nullptr;  // only this thread adds, so an empty deque stays empty
    --bottom;
    prefetch(slot(bottom - k_ahead).load(sync::relaxed));
    if (!shared_) {
      bottom_.store(bottom, sync::relaxed);
      return slot(bottom).load(sync::relaxed);
    }
    // order: seq_cst store, then seq_cst load: the store-load pair against steal(), which loads top_ and then bottom_. A thief
    //        that missed this store had read top_ before, so the load below sees at least that top_; at top == bottom the CAS
    //        decides.
    bottom_.store(bottom, sync::seq_cst);
    index top = top_.load(sync::seq_cst);
    if (top < bottom) return slot(bottom).load(sync::relaxed);
    work_item* last = nullptr;
    if (top == bottom) {
      last = slot(bottom).load(sync::relaxed);
      // order: seq_cst keeps every change of top_ in the one order that the pair above argues about; peer: the CAS in steal().
      if (!top_.compare_exchange_strong(top, top + 1, sync::seq_cst, sync::relaxed)) last = nullptr;
    }
    // order: release, so that a thief acquiring any later bottom_ still sees every slot below it; peer: steal().
    bottom_.store(bottom + 1, sync::release);
    return last;
  }

  /// Role: owner. The oldest item, or null.
  [[nodiscard]] work_item* take() noexcept
    requires(Use == deque_use::fifo)
  {
    const index bottom = bottom_.load(sync::relaxed);  // I4
    index top = top_.load(sync::relaxed);
    while (top < bottom) {
      work_item* const oldest = slot(top).load(sync::relaxed);
      prefetch(slot(top + k_ahead).load(sync::relaxed));
      if (!shared_) {
        top_.store(top + 1, sync::relaxed);  // I5
        return oldest;
      }
      // relaxed: the slot is this thread's own writing and rewriting, and the CAS continues the takers' release sequence, so
      // make_room() still synchronises with them. No store-load decision hangs on it: fifo has no pop().
      if (top_.compare_exchange_strong(top, top + 1, sync::relaxed, sync::relaxed)) return oldest;
    }
    return nullptr;
  }

  /// Role: thief. The oldest item.
  [[nodiscard]] steal_result steal(work_item*& item) noexcept {
    // order: seq_cst loads of top_, then bottom_: the other half of pop()'s store-load pair. The load of bottom_ also acquires
    //        the slots below it; peer: publish().
    index top = top_.load(sync::seq_cst);
    const index bottom = bottom_.load(sync::seq_cst);
    if (top >= bottom) return steal_result::empty;
    // order: acquire sees the ring's slots; peer: release in adopt(). At least as new as the ring that index top was pushed to.
    item = ring_.load(sync::acquire)->slot(top).load(sync::relaxed);
    // order: seq_cst, see pop(); its release half orders the slot's read before I2's rewrite; peer: acquire in make_room().
    return top_.compare_exchange_strong(top, top + 1, sync::seq_cst, sync::relaxed) ? steal_result::got : steal_result::lost;
  }

  /// Role: thief. Moves the oldest half of the items, rounded up, at most `limit`, to `items`, oldest first.
  /// @returns how many; 0: empty, or another thread was faster
  [[nodiscard]] std::size_t steal_half(work_item** items, std::size_t limit) noexcept
    requires(Use == deque_use::fifo)
  {
    // order: acquire top_, so that it is read before bottom_ and the slots; peer: the other takers' CAS. acquire bottom_ sees the
    //        slots below it; peer: publish().
    index top = top_.load(sync::acquire);
    const index bottom = bottom_.load(sync::acquire);
    if (top >= bottom) return 0;
    const index count = std::min((bottom - top + 1) / 2, static_cast<index>(limit));
    // order: acquire sees the ring's slots; peer: release in adopt().
    const ring& from = *ring_.load(sync::acquire);
    for (index i = 0; i < count; ++i) items[i] = from.slot(top + i).load(sync::relaxed);
    // order: release orders the reads above before I2's rewrite; peer: acquire in make_room(). I4: the run is still there,
    //        because nobody pops the bottom; I1: the CAS claims all of it.
    const bool won = top_.compare_exchange_strong(top, top + count, sync::release, sync::relaxed);
    return won ? static_cast<std::size_t>(count) : 0;
  }

  /// Role: any. How many there were a moment ago.
  [[nodiscard]] std::size_t size() const noexcept {
    const index top = top_.load(sync::relaxed);
    const index bottom = bottom_.load(sync::relaxed);
    return bottom > top ? static_cast<std::size_t>(bottom - top) : 0;
  }

  /// Role: any. The sleeper's last look.
  [[nodiscard]] bool empty() const noexcept {
    // order: seq_cst load of bottom_ against the seq_cst store in publish(): the argument is in idle_set.hpp.
    const index top = top_.load(sync::seq_cst);
    return bottom_.load(sync::seq_cst) <= top;
  }

 private:
  using index = std::int64_t;
  static constexpr index k_ahead = 6;  ///< how far in front of the owner items are fetched into its cache
  using slot_type = sync::atomic<work_item*>;

  struct ring {
    index mask;
    ring* retired;  ///< the ring this one replaced (I3)

    [[nodiscard]] slot_type& slot(index i) const noexcept {
      auto* const slots = reinterpret_cast<slot_type*>(const_cast<ring*>(this) + 1);
      return slots[i & mask];
    }

    static ring* make(std::size_t capacity) noexcept {
      static_assert(alignof(slot_type) <= alignof(ring) && sizeof(ring) % alignof(slot_type) == 0);
      void* const block = ::operator new(sizeof(ring) + capacity * sizeof(slot_type), std::nothrow);
      if (block == nullptr) return nullptr;
      ring* const made = new (block) ring{static_cast<index>(capacity) - 1, nullptr};
      std::uninitialized_value_construct_n(reinterpret_cast<slot_type*>(made + 1), capacity);
      return made;
    }
    static void destroy(ring* r) noexcept {
      std::destroy_n(reinterpret_cast<slot_type*>(r + 1), static_cast<std::size_t>(r->mask) + 1);
      ::operator delete(r);
    }
  };

  slot_type& slot(index i) const noexcept { return current_->slot(i); }

  void publish(index bottom) noexcept {
    // order: release publishes the slots below `bottom`; peer: the bottom_ loads of thieves. seq_cst, with thieves about, makes
    //        it the pusher's half of the store-load pair against a worker going to sleep (idle_set.hpp); peer: empty().
    if (shared_) {
      bottom_.store(bottom, sync::seq_cst);
    } else {
      bottom_.store(bottom, sync::release);
    }
  }

  template <class Source>
  std::size_t push_many(std::size_t wanted, Source next_item) noexcept {
    const index bottom = bottom_.load(sync::relaxed);  // I4
    auto count = static_cast<index>(wanted);
    if (bottom - top_seen_ + count > capacity_ && !make_room(bottom, count)) count = capacity_ - (bottom - top_seen_);
    for (index i = 0; i < count; ++i) slot(bottom + i).store(next_item(), sync::relaxed);
    if (count != 0) publish(bottom + count);
    return static_cast<std::size_t>(count);
  }

  /// Role: owner. Makes at least `count` slots free; false: no memory.
  [[gnu::noinline]] bool make_room(index bottom, index count) noexcept {
    // order: acquire: the takers have read the slots below it (I2); peer: release half of their CAS.
    top_seen_ = top_.load(sync::acquire);
    const index needed = bottom - top_seen_ + count;
    if (needed <= capacity_) return true;
    ring* const bigger = ring::make(std::bit_ceil(static_cast<std::size_t>(needed)));
    if (bigger == nullptr) return false;
    for (index i = top_seen_; i < bottom; ++i) bigger->slot(i).store(slot(i).load(sync::relaxed), sync::relaxed);
    bigger->retired = current_;
    adopt(bigger);
    return true;
  }

  void adopt(ring* r) noexcept {
    current_ = r;
    capacity_ = r != nullptr ? r->mask + 1 : 0;
    // order: release publishes the slots copied into it; peer: acquire in steal() and steal_half().
    ring_.store(r, sync::release);
  }

  alignas(k_cache_line) sync::atomic<index> top_{0};

  alignas(k_cache_line) sync::atomic<index> bottom_{0};
  sync::atomic<ring*> ring_{nullptr};
  // Owner only:
  ring* current_ = nullptr;
  index capacity_ = 0;
  index top_seen_ = 0;  ///< never above top_
  const bool shared_;
};

}  // namespace sheaf::detail
