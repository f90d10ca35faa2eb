#pragma once
/// @file
/// Recycled memory for task blocks and frames: free lists by size class, per thread and in common, not owned by any runtime, because a
/// handle may outlive its runtime. A thread's lists are flushed at its exit, the common ones when the last runtime ends; bypassed in
/// sanitizer builds so that they see every use after free.

#include <cstddef>

namespace sheaf::detail {

/// 16-byte aligned. Throws std::bad_alloc. Any thread.
[[nodiscard, gnu::noinline]] void* allocate_block(std::size_t bytes);
/// `bytes` as given to allocate_block(). Any thread, also another one than the allocating.
[[gnu::noinline]] void free_block(void* block, std::size_t bytes) noexcept;

/// Gives what no thread holds back to the allocator. Any thread.
void trim_blocks() noexcept;

}  // namespace sheaf::detail
