#include <sheaf/detail/queue_store.hpp>

#include <cstddef>
#include <utility>

#include <sheaf/detail/assert.hpp>

namespace sheaf::detail {

// ---- lines -------------------------------------------------------------------------------------------------------------------

void queue_line::put(queue_node& node) noexcept {
  // From both ends: a new item belongs near the newest, one that comes back near that or near the oldest.
  queue_node* older = last_;
  queue_node* newer = first_;
  while (older != nullptr && older->number > node.number && newer->number < node.number) {
    older = older->previous;
    newer = newer->next;
  }
  if (older != nullptr && older->number > node.number) {
    older = newer->previous;
  } else {
    newer = older != nullptr ? older->next : first_;
  }
  node.previous = older;
  node.next = newer;
  (older != nullptr ? older->next : first_) = &node;
  (newer != nullptr ? newer->previous : last_) = &node;
}

void queue_line::unlink(queue_node& node) noexcept {
  (node.previous != nullptr ? node.previous->next : first_) = node.next;
  (node.next != nullptr ? node.next->previous : last_) = node.previous;
}

queue_node* queue_line::take_all() noexcept {
  last_ = nullptr;
  return std::exchange(first_, nullptr);
}

queue_node* fifo_line::take(std::uint64_t before) noexcept {
  if (!has(before)) return nullptr;
  queue_node* const oldest = first_;
  unlink(*oldest);
  return oldest;
}

queue_node* lifo_line::take(std::uint64_t) noexcept {
  queue_node* const newest = last_;
  if (newest != nullptr) unlink(*newest);
  return newest;
}

// ---- heap --------------------------------------------------------------------------------------------------------------------

namespace {

std::uint32_t rank_of(const queue_node* node) noexcept { return node != nullptr ? node->rank : 0; }

}  // namespace

bool queue_heap::goes_first(const queue_node& a, const queue_node& b) const {
  return a.number < b.number ? !less(b, a) : less(a, b);
}

/// Compares down both right spines, which hold all that is merged in order, and only then links: N2.
queue_node* queue_heap::merge(queue_node* a, queue_node* b) const {
  constexpr std::size_t k_longest = 2 * 64;  // N3
  queue_node* spine[k_longest];
  std::size_t length = 0;
  while (a != nullptr && b != nullptr) {
    queue_node*& first = goes_first(*a, *b) ? a : b;
    SHEAF_ASSERT(length < k_longest);
    spine[length++] = first;
    first = first->next;
  }
  queue_node* merged = a != nullptr ? a : b;
  while (length > 0) {
    queue_node& parent = *spine[--length];
    parent.next = merged;
    if (rank_of(parent.previous) < rank_of(parent.next)) std::swap(parent.previous, parent.next);
    parent.rank = rank_of(parent.next) + 1;
    merged = &parent;
  }
  return merged;
}

void queue_heap::put(queue_node& node) {
  node.previous = node.next = nullptr;
  node.rank = 1;
  root_ = merge(root_, &node);
}

void queue_heap::put_back(queue_node& node) noexcept {
  try {
    put(node);
  } catch (...) {  // comes again from take(), unless the comparison works by then
    node.next = unsorted_;
    unsorted_ = &node;
  }
}

queue_node* queue_heap::take(std::uint64_t) {
  while (unsorted_ != nullptr) {
    queue_node& node = *unsorted_;
    queue_node* const rest = node.next;
    node.next = nullptr;
    try {
      root_ = merge(root_, &node);
    } catch (...) {
      node.next = rest;
      throw;
    }
    unsorted_ = rest;
  }
  queue_node* const least = root_;
  if (least != nullptr) root_ = merge(least->previous, least->next);
  return least;
}

queue_node* queue_heap::take_all() noexcept {
  queue_node* all = std::exchange(unsorted_, nullptr);
  queue_node* rest = std::exchange(root_, nullptr);
  while (rest != nullptr) {
    if (queue_node* const left = rest->previous) {  // turned to the right until there is none
      rest->previous = left->next;
      left->next = rest;
      rest = left;
    } else {
      queue_node* const next = rest->next;
      rest->next = all;
      all = rest;
      rest = next;
    }
  }
  return all;
}

}  // namespace sheaf::detail
