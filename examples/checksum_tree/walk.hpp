#pragma once
/// @file
/// Finding the regular files below some paths, a bounded batch at a time, so that a tree of any size needs little memory.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sheaf/sheaf.hpp>

namespace checksum {

/// A path that could not be dealt with.
struct failure {
  std::string path;
  std::string reason;
};

struct walk_batch {
  std::vector<std::string> files;
  std::vector<failure> failures;
};

/// A walk in progress, depth first; blocking. Symbolic links are not followed, so a loop of them is harmless.
class tree_walker {
 public:
  explicit tree_walker(std::vector<std::string> roots);

  [[nodiscard]] bool finished() const noexcept { return roots_.empty() && pending_.empty() && open_ == nullptr; }
  /// Looks at a bounded number of directory entries; the batch may be empty before the walk is finished.
  [[nodiscard]] walk_batch next_batch();

 private:
  struct close_directory {
    void operator()(void* directory) const noexcept;
  };

  void visit_root(std::string root, walk_batch& batch);
  void open_directory(std::string path, walk_batch& batch);
  void read_entry(walk_batch& batch);

  std::vector<std::string> roots_;    ///< the next one last
  std::vector<std::string> pending_;  ///< directories found and not yet opened
  std::unique_ptr<void, close_directory> open_;
  std::string open_path_;
};

struct walk_step {
  walk_batch found;
  tree_walker walker;
};

/// The same for a coroutine: while one batch is being used, a blocking thread reads the next one.
class batch_walk {
 public:
  explicit batch_walk(std::vector<std::string> roots);
  /// nullopt: there are no more. One caller at a time, which keeps the walk alive meanwhile.
  [[nodiscard]] sheaf::coro<std::optional<walk_batch>> next();

 private:
  sheaf::task<walk_step> ahead_;
  bool finished_ = false;
};

struct tree_size {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
};

/// Blocking. What has been counted when `token` asks to stop, or all.
[[nodiscard]] tree_size count_tree(sheaf::cancel_token token, std::vector<std::string> roots);

}  // namespace checksum
