#pragma once
/// @file
/// What the kernel knows of a thread: whether it sleeps or merely waits for a core. Apart from the blocking pool, which decides by it.

#include <cstdint>

namespace sheaf::detail {

using kernel_thread_id = std::int32_t;

[[nodiscard]] kernel_thread_id this_kernel_thread() noexcept;

/// Not running and not waiting for a core. True as well where /proc does not say. @par Cost some 8 us
[[nodiscard]] bool asleep(kernel_thread_id thread) noexcept;

/// How often the calling thread has gone to sleep. @par Cost some 0.3 us
[[nodiscard]] long voluntary_switches() noexcept;

}  // namespace sheaf::detail
