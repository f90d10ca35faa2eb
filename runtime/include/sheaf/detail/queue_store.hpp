#pragma once
/// @file
/// Where the items of a queue lie: a line, taken from one end or the other, or a heap. No function here allocates; each caller holds
/// the lock of the queue.
///
/// N1  A node is in at most one store. Its number says when its item was admitted, and numbers are unique: an item that comes back is
///     put where it has been, and among equals the heap gives the one that came first.
/// N2  A comparison that throws comes before the first link is written: nothing has changed.
/// N3  (heap) A node is not before its parent, and the rank of a left child is not less than the right one's: the right spine of n nodes
///     has at most log2(n + 1), so no operation makes more than two of those in comparisons.

#include <cstdint>

namespace sheaf::detail {

/// The head of an item. In a line `previous` is older and `next` newer; in a heap they are the left and the right child.
struct queue_node {
  queue_node* previous = nullptr;
  queue_node* next = nullptr;
  std::uint64_t number = 0;
  std::uint32_t rank = 0;  ///< of a heap: nodes on the right spine
};

class queue_store {
 public:
  queue_store() = default;
  queue_store(const queue_store&) = delete;
  queue_store& operator=(const queue_store&) = delete;

  /// What a comparison throws: the node is not in.
  virtual void put(queue_node& node) = 0;
  /// For a node that was taken.
  virtual void put_back(queue_node& node) noexcept = 0;
  /// The next one; null when there is none, or when it must not go ahead of the item with number `before`. What a comparison throws:
  /// nothing was taken.
  virtual queue_node* take(std::uint64_t before) = 0;
  /// Whether take() would give one.
  [[nodiscard]] virtual bool has(std::uint64_t before) const noexcept = 0;
  /// Takes all, linked by next, in no particular order, without a comparison.
  virtual queue_node* take_all() noexcept = 0;

 protected:
  ~queue_store() = default;
};

/// Sorted by number.
class queue_line : public queue_store {
 public:
  void put(queue_node& node) noexcept final;
  void put_back(queue_node& node) noexcept final { put(node); }
  queue_node* take_all() noexcept final;

 protected:
  ~queue_line() = default;
  void unlink(queue_node& node) noexcept;

  queue_node* first_ = nullptr;
  queue_node* last_ = nullptr;
};

/// First in, first out; nobody's item goes ahead of one that was admitted earlier and has yet to be put.
class fifo_line final : public queue_line {
 public:
  queue_node* take(std::uint64_t before) noexcept override;
  [[nodiscard]] bool has(std::uint64_t before) const noexcept override { return first_ != nullptr && first_->number <= before; }
};

class lifo_line final : public queue_line {
 public:
  queue_node* take(std::uint64_t before) noexcept override;
  [[nodiscard]] bool has(std::uint64_t) const noexcept override { return last_ != nullptr; }
};

/// A leftist heap: the least item first.
class queue_heap : public queue_store {
 public:
  void put(queue_node& node) final;
  void put_back(queue_node& node) noexcept final;
  queue_node* take(std::uint64_t before) final;
  [[nodiscard]] bool has(std::uint64_t) const noexcept final { return root_ != nullptr || unsorted_ != nullptr; }
  queue_node* take_all() noexcept final;

 protected:
  ~queue_heap() = default;
  /// The user's comparison of two items.
  virtual bool less(const queue_node& a, const queue_node& b) const = 0;

 private:
  [[nodiscard]] bool goes_first(const queue_node& a, const queue_node& b) const;
  [[nodiscard]] queue_node* merge(queue_node* a, queue_node* b) const;

  queue_node* root_ = nullptr;
  queue_node* unsorted_ = nullptr;  ///< came back and could not be compared; linked by next; sorted before the next one is taken
};

}  // namespace sheaf::detail
