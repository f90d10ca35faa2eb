#pragma once
/// @file
/// context() for the inner loops: one instruction instead of a call. Only for functions of compiled sources that no coroutine is part of,
/// so that nothing inlines them into one; entries from headers are [[gnu::noinline]] besides, against optimisation at link time.

#include <sheaf/detail/context.hpp>

namespace sheaf::detail {

[[gnu::tls_model("initial-exec")]] extern constinit thread_local thread_context this_thread;

}  // namespace sheaf::detail
