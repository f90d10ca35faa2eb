/// @file
/// The thread-local behind detail/context.hpp, in a file of its own so that nothing can inline the access.

#include <sheaf/detail/sync.hpp>

#include "this_thread.hpp"

namespace sheaf::detail {

constinit thread_local thread_context this_thread;

thread_context& context() noexcept { return this_thread; }

std::uint8_t thread_context::next_shard() noexcept {
  static constinit sync::atomic<unsigned> next{0};
  constexpr unsigned k_numbers = 128;  // a multiple of every number of shards
  return static_cast<std::uint8_t>(next.fetch_add(1, sync::relaxed) % k_numbers + 1);
}

}  // namespace sheaf::detail
