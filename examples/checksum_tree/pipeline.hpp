#pragma once
/// @file
/// The coroutines: walk, read, hash, report.

#include <memory>

#include <sheaf/sheaf.hpp>

#include "file_reader.hpp"
#include "options.hpp"
#include "progress.hpp"
#include "results.hpp"

namespace checksum {

/// What a run works on. It outlives every task of the run, so that what was done before a timeout or an interrupt can be printed.
struct session {
  explicit session(options given);

  const options chosen;
  const std::shared_ptr<buffer_pool> buffers;
  results found;
  progress shown;
};

/// Hashes everything that `run` asks for. @throws sheaf::timeout_error
[[nodiscard]] sheaf::coro<void> checksum_tree(session* run);

}  // namespace checksum
