#pragma once
/// @file
/// A Sheaf runtime with a given number of workers, and the coroutine most questions use as their task.

#include <sheaf/sheaf.hpp>

#include <cstddef>

namespace bench {

inline sheaf::runtime_options with_workers(int workers) {
  sheaf::runtime_options options;
  options.workers = static_cast<std::size_t>(workers);
  return options;
}

/// The smallest coroutine with a result.
inline sheaf::coro<int> return_index(int index) { co_return index; }

}  // namespace bench
