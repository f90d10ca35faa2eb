/// @file
/// The thread-local behind detail/context.hpp, in a file of its own so that nothing can inline the access.

#include "this_thread.hpp"

namespace sheaf::detail {

constinit thread_local thread_context this_thread;

thread_context& context() noexcept { return this_thread; }

}  // namespace sheaf::detail
