/// @file
/// Each thread keeps two lists per size class and trades whole batches with the depot, so blocks allocated on one thread and freed
/// on another cost one short lock in a batch.
///
///   thread:  in use <-> loaded (k - room blocks)     reserve (none, or exactly k)
///                          full: loaded -> reserve -> depot       empty: loaded <- reserve <- depot <- allocator

#include <sheaf/detail/frame_cache.hpp>

#include <oneapi/tbb/scalable_allocator.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <new>
#include <utility>

#include <sheaf/detail/sync.hpp>

namespace sheaf::detail {

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool k_bypass = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
constexpr bool k_bypass = true;
#else
constexpr bool k_bypass = false;
#endif
#else
constexpr bool k_bypass = false;
#endif

constexpr std::size_t k_grain = 32;
constexpr std::size_t k_classes = 64;  // blocks up to 2 KiB are kept

constexpr std::size_t class_of(std::size_t bytes) noexcept { return (bytes - 1) / k_grain; }
constexpr std::size_t bytes_of(std::size_t index) noexcept { return (index + 1) * k_grain; }
/// Blocks in a full list: 16 KiB of them, but at least 8.
constexpr std::uint32_t batch_of(std::size_t index) noexcept {
  return static_cast<std::uint32_t>(std::max<std::size_t>(16'384 / bytes_of(index), 8));
}

/// A free block. The first one of a batch in the depot links to the next batch.
struct free_node {
  free_node* next;
  free_node* next_batch;
};

/// Full batches of one class that no thread holds.
class depot {
 public:
  void put(free_node* batch) noexcept {
    const sync::lock_guard guard(lock_);
    batch->next_batch = batches_.load(sync::relaxed);
    batches_.store(batch, sync::relaxed);
  }
  [[nodiscard]] free_node* take() noexcept {
    if (batches_.load(sync::relaxed) == nullptr) return nullptr;  // a peek; what it misses comes from the allocator
    const sync::lock_guard guard(lock_);
    free_node* const batch = batches_.load(sync::relaxed);
    if (batch != nullptr) batches_.store(batch->next_batch, sync::relaxed);
    return batch;
  }
  [[nodiscard]] free_node* take_all() noexcept {
    const sync::lock_guard guard(lock_);
    return batches_.exchange(nullptr, sync::relaxed);
  }

 private:
  sync::spin_lock lock_;
  sync::atomic<free_node*> batches_{nullptr};  ///< changed under lock_
};

constinit std::array<depot, k_classes> depots{};

/// oneTBB's allocator: it takes blocks freed by other threads well.
void* take_memory(std::size_t bytes) {
  if (void* const memory = scalable_malloc(bytes)) return memory;
  throw std::bad_alloc();
}
void return_memory(free_node* list) noexcept {
  while (list != nullptr) scalable_free(std::exchange(list, list->next));
}

struct free_list {
  free_node* loaded;
  free_node* reserve;
  std::uint32_t room;  ///< frees until make_room(); 0 at first and after the flush
};

/// Trivially destructible, so that it can be used while a thread's other thread-locals are destroyed.
struct cache {
  std::array<free_list, k_classes> lists;
  bool registered;  ///< the flusher of this thread exists
  bool gone;        ///< it has run
};

constinit thread_local cache local{};

struct flusher {
  ~flusher() {
    local.gone = true;
    for (free_list& list : local.lists) {
      return_memory(std::exchange(list.loaded, nullptr));
      return_memory(std::exchange(list.reserve, nullptr));
      list.room = 0;
    }
  }
};

void register_flusher() noexcept {
  thread_local flusher at_exit;
  static_cast<void>(&at_exit);
  local.registered = true;
}

/// `list.loaded` is empty.
[[gnu::noinline]] void* refill(free_list& list, std::size_t index) {
  if (local.gone) return take_memory(bytes_of(index));
  free_node* batch = std::exchange(list.reserve, nullptr);
  if (batch == nullptr) batch = depots[index].take();
  if (batch == nullptr) return take_memory(bytes_of(index));
  if (!local.registered) register_flusher();
  list.loaded = batch->next;
  list.room = 1;
  return batch;
}

/// `list` has no room. False: it never will again.
[[gnu::noinline]] bool make_room(free_list& list, std::size_t index) noexcept {
  if (local.gone) return false;
  if (!local.registered) register_flusher();
  if (list.loaded != nullptr) {
    if (list.reserve != nullptr) depots[index].put(list.reserve);
    list.reserve = std::exchange(list.loaded, nullptr);
  }
  list.room = batch_of(index);
  return true;
}

}  // namespace

void* allocate_block(std::size_t bytes) {
  if (k_bypass) return ::operator new(bytes);
  const std::size_t index = class_of(bytes);
  if (index >= k_classes) return take_memory(bytes);
  free_list& mine = local.lists[index];
  free_node* const node = mine.loaded;
  if (node == nullptr) return refill(mine, index);
  mine.loaded = node->next;
  ++mine.room;
  return node;
}

void free_block(void* block, std::size_t bytes) noexcept {
  if (k_bypass) {
    ::operator delete(block);
    return;
  }
  const std::size_t index = class_of(bytes);
  if (index >= k_classes) {
    scalable_free(block);
    return;
  }
  free_list& list = local.lists[index];
  if (list.room == 0 && !make_room(list, index)) {
    scalable_free(block);
    return;
  }
  auto* const node = ::new (block) free_node;
  node->next = list.loaded;
  list.loaded = node;
  --list.room;
}

void trim_blocks() noexcept {
  for (depot& each : depots) {
    for (free_node* batch = each.take_all(); batch != nullptr;) {
      free_node* const next = batch->next_batch;
      return_memory(batch);
      batch = next;
    }
  }
}

}  // namespace sheaf::detail
