#pragma once
/// @file
/// The pool's front door: a lock-free list that any thread pushes to and a worker empties whole. Intrusive, so a push cannot
/// fail.
///
/// @par Threads  push, push_chain: any. drain, empty: any worker.
///
/// A Treiber stack without pop: the list is only ever detached whole, so a head that comes back to an old value (ABA) is
/// harmless.
///
/// I1  Reachable from head_ are the items pushed since the last drain, newest first.
/// I2  Two pushes of which one happened before the other come out of drain in that order.

#include <sheaf/detail/sync.hpp>
#include <sheaf/work_item.hpp>

#include <cstddef>
#include <utility>

namespace sheaf::detail {

/// Items linked by `next`, oldest first.
struct work_chain {
  work_item* first = nullptr;
  std::size_t count = 0;
};

class injection_queue {
 public:
  injection_queue() = default;
  injection_queue(const injection_queue&) = delete;
  injection_queue& operator=(const injection_queue&) = delete;

  void push(work_item& item) noexcept { publish(item, item); }

  /// All at once, and none when it is empty: no drain sees a part.
  void push_chain(work_chain chain) noexcept {
    work_item* newest = nullptr;
    for (work_item* item = chain.first; chain.count != 0; --chain.count) {
      work_item* const younger = item->next;
      item->next = newest;
      newest = std::exchange(item, younger);
    }
    if (newest != nullptr) publish(*chain.first, *newest);
  }

  /// Takes everything.
  [[nodiscard]] work_chain drain() noexcept {
    work_chain chain;
    if (head_.load(sync::relaxed) == nullptr) return chain;  // a peek saves the write; what it misses, empty() does not
    // order: acquire sees the items; peer: release half of every push since the last drain (each CAS continues the same
    //        sequence).
    for (work_item* newest = head_.exchange(nullptr, sync::acquire); newest != nullptr; ++chain.count) {
      work_item* const older = newest->next;
      newest->next = chain.first;
      chain.first = newest;
      newest = older;
    }
    return chain;
  }

  /// The sleeper's last look.
  [[nodiscard]] bool empty() const noexcept {
    // order: seq_cst against the CAS in push(): the argument is in idle_set.hpp.
    return head_.load(sync::seq_cst) == nullptr;
  }

 private:
  /// `newest` leads to `oldest` by their links.
  void publish(work_item& oldest, work_item& newest) noexcept {
    work_item* head = head_.load(sync::relaxed);
    do {
      oldest.next = head;
      // order: release publishes the items and their links; peer: acquire in drain(). seq_cst makes it the pusher's half of the
      //        store-load pair against a worker going to sleep (idle_set.hpp); peer: empty().
    } while (!head_.compare_exchange_weak(head, &newest, sync::seq_cst, sync::relaxed));
  }

  sync::atomic<work_item*> head_{nullptr};
};

}  // namespace sheaf::detail
