#include "walk.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

namespace checksum {

namespace {

constexpr int k_entries_per_batch = 512;

std::string reason(int error) { return std::generic_category().message(error); }

/// As find(1) prints it: no second slash.
std::string join(const std::string& directory, std::string_view name) {
  std::string path;
  path.reserve(directory.size() + 1 + name.size());
  path += directory;
  if (path.back() != '/') path += '/';
  path += name;
  return path;
}

unsigned char kind_of(mode_t mode) {
  if (S_ISREG(mode)) return DT_REG;
  return S_ISDIR(mode) ? DT_DIR : DT_UNKNOWN;
}

}  // namespace

void tree_walker::close_directory::operator()(void* directory) const noexcept { ::closedir(static_cast<DIR*>(directory)); }

tree_walker::tree_walker(std::vector<std::string> roots) : roots_(std::move(roots)) {
  std::reverse(roots_.begin(), roots_.end());
}

walk_batch tree_walker::next_batch() {
  walk_batch batch;
  for (int looked_at = 0; looked_at < k_entries_per_batch && !finished(); ++looked_at) {
    if (open_ != nullptr) {
      read_entry(batch);
    } else if (!pending_.empty()) {
      std::string path = std::move(pending_.back());
      pending_.pop_back();
      open_directory(std::move(path), batch);
    } else {
      std::string root = std::move(roots_.back());
      roots_.pop_back();
      visit_root(std::move(root), batch);
    }
  }
  return batch;
}

/// Unlike an entry found on the way, a root of another kind is a failure: it was asked for by name.
void tree_walker::visit_root(std::string root, walk_batch& batch) {
  if (root == "-") root = "./-";  // sha256sum -c takes a lone dash for standard input
  struct stat info;
  if (::lstat(root.c_str(), &info) != 0) {
    batch.failures.push_back({std::move(root), reason(errno)});
  } else if (S_ISREG(info.st_mode)) {
    batch.files.push_back(std::move(root));
  } else if (S_ISDIR(info.st_mode)) {
    pending_.push_back(std::move(root));
  } else {
    batch.failures.push_back(
        {std::move(root), S_ISLNK(info.st_mode) ? "Symbolic link, not followed" : "Not a regular file or directory"});
  }
}

void tree_walker::open_directory(std::string path, walk_batch& batch) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR* directory = descriptor < 0 ? nullptr : ::fdopendir(descriptor);
  if (directory != nullptr) {
    open_.reset(directory);
    open_path_ = std::move(path);
    return;
  }
  batch.failures.push_back({std::move(path), reason(errno)});
  if (descriptor >= 0) ::close(descriptor);
}

void tree_walker::read_entry(walk_batch& batch) {
  DIR* directory = static_cast<DIR*>(open_.get());
  errno = 0;
  const dirent* entry = ::readdir(directory);
  if (entry == nullptr) {
    if (errno != 0) batch.failures.push_back({open_path_, reason(errno)});
    open_.reset();
    return;
  }
  const std::string_view name = entry->d_name;
  if (name == "." || name == "..") return;

  unsigned char kind = entry->d_type;
  if (kind == DT_UNKNOWN) {  // this file system does not say
    struct stat info;
    if (::fstatat(::dirfd(directory), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
      batch.failures.push_back({join(open_path_, name), reason(errno)});
      return;
    }
    kind = kind_of(info.st_mode);
  }
  if (kind == DT_REG) {
    batch.files.push_back(join(open_path_, name));
  } else if (kind == DT_DIR) {
    pending_.push_back(join(open_path_, name));
  }
}

namespace {

walk_step advance(tree_walker walker) {
  walk_batch found = walker.next_batch();
  return {std::move(found), std::move(walker)};
}

}  // namespace

batch_walk::batch_walk(std::vector<std::string> roots) : ahead_(sheaf::spawn_blocking(advance, tree_walker(std::move(roots)))) {}

sheaf::coro<std::optional<walk_batch>> batch_walk::next() {
  if (finished_) co_return std::nullopt;
  walk_step step = co_await std::move(ahead_);
  finished_ = step.walker.finished();
  if (!finished_) ahead_ = sheaf::spawn_blocking(advance, std::move(step.walker));
  co_return std::move(step.found);
}

tree_size count_tree(sheaf::cancel_token token, std::vector<std::string> roots) {
  tree_size size;
  tree_walker walker(std::move(roots));
  while (!walker.finished() && !token.requested()) {
    const walk_batch found = walker.next_batch();
    for (const std::string& path : found.files) {
      struct stat info;
      if (::lstat(path.c_str(), &info) != 0) continue;
      ++size.files;
      size.bytes += static_cast<std::uint64_t>(info.st_size);
    }
  }
  return size;
}

}  // namespace checksum
