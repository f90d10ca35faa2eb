#pragma once
/// @file
/// Who is to be told when a task completes: a doubly linked list of nodes that live in the waiters, under one word.
///
///   head word:  node pointer, bit 0 = locked;  k_closed once a watched task completes
///
/// W1  Links and head are written only under the lock bit, which is held for a few pointer writes and never over a call.
/// W2  close() happens once. A node added before it is delivered by the closer or removed by its owner, never both: remove()
///     answers false exactly when the closer has taken the node.
/// W3  After a false remove() the node belongs to the closer until it has called notify(); the owner must await that call. The
///     closer does not keep the task's block meanwhile.

#include <cstdint>

#include <sheaf/detail/sync.hpp>

namespace sheaf::detail {

enum class outcome_kind : std::uint8_t;

/// One registration. `notify` runs on the thread that completes the task, once the task is complete; it must not run user code, and may
/// free the node. It is told how the task ended; the task itself may be gone, unless the node's owner has a handle of it.
struct waiter_node {
  using function = void (*)(waiter_node&, outcome_kind ended_with) noexcept;
  explicit waiter_node(function on_complete) noexcept : notify(on_complete) {}
  waiter_node* next = nullptr;      ///< under the list's lock; the closer's after close()
  waiter_node* previous = nullptr;  ///< under the list's lock
  function notify;
};

class waiter_list {
 public:
  /// A node that the list's only user adds.
  void add_first(waiter_node& node) noexcept { head_.store(reinterpret_cast<std::uintptr_t>(&node), sync::relaxed); }

  /// False: closed, so the task is complete in a moment; the node was not added.
  [[nodiscard]] bool add(waiter_node& node) noexcept {
    const std::uintptr_t head = lock();
    if (head == k_closed) return false;
    auto* first = reinterpret_cast<waiter_node*>(head);
    node.next = first;
    node.previous = nullptr;
    if (first != nullptr) first->previous = &node;
    unlock(reinterpret_cast<std::uintptr_t>(&node));
    return true;
  }

  /// True: the node will never be notified. False: it has been or is about to be (W3).
  [[nodiscard]] bool remove(waiter_node& node) noexcept {
    std::uintptr_t head = lock();
    if (head == k_closed) return false;
    if (node.next != nullptr) node.next->previous = node.previous;
    if (node.previous != nullptr) {
      node.previous->next = node.next;
    } else {
      head = reinterpret_cast<std::uintptr_t>(node.next);
    }
    unlock(head);
    return true;
  }

  /// Detaches all nodes, first registered first, linked by next. Role: the completing thread, once.
  [[nodiscard]] waiter_node* close() noexcept {
    std::uintptr_t head = head_.load(sync::relaxed);
    for (unsigned spins = 0;;) {
      if ((head & k_locked) != 0) {
        sync::spin_wait(spins++);
        head = head_.load(sync::relaxed);
        // order: acq_rel: sees the nodes; release shows a failure's outcome to whoever finds the list closed; peers: lock(), unlock().
      } else if (head_.compare_exchange_weak(head, k_closed, sync::acq_rel, sync::relaxed)) {
        break;
      }
    }
    auto* node = reinterpret_cast<waiter_node*>(head);
    waiter_node* reversed = nullptr;
    while (node != nullptr) {
      waiter_node* const next = node->next;
      node->next = reversed;
      reversed = node;
      node = next;
    }
    return reversed;
  }

  /// Registrations at this moment; for tests and dumps.
  [[nodiscard]] std::size_t size() noexcept {
    const std::uintptr_t head = lock();
    if (head == k_closed) return 0;
    std::size_t count = 0;
    for (auto* node = reinterpret_cast<waiter_node*>(head); node != nullptr; node = node->next) ++count;
    unlock(head);
    return count;
  }

 private:
  static constexpr std::uintptr_t k_locked = 1, k_closed = 2;

  /// Returns the head; k_closed is returned unlocked.
  std::uintptr_t lock() noexcept {
    std::uintptr_t head = head_.load(sync::relaxed);
    for (unsigned spins = 0;; ++spins) {
      if (head == k_closed) {
        // order: acquire sees what the closer published before; peer: release in close().
        return head_.load(sync::acquire);
      }
      if ((head & k_locked) == 0) {
        // order: acquire sees the links the last holder wrote; peer: release in unlock().
        if (head_.compare_exchange_weak(head, head | k_locked, sync::acquire, sync::relaxed)) return head;
        continue;
      }
      sync::spin_wait(spins);
      head = head_.load(sync::relaxed);
    }
  }
  void unlock(std::uintptr_t head) noexcept {
    // order: release publishes links; peer: acquire in lock() and close().
    head_.store(head, sync::release);
  }

  sync::atomic<std::uintptr_t> head_{0};
};

}  // namespace sheaf::detail
