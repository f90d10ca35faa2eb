#pragma once
/// @file
/// Reading a file in chunks: plain blocking functions that own what they use, so that they can run on any thread.

#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace checksum {

/// Page-aligned memory of one size, used again and again.
class buffer_pool {
 public:
  explicit buffer_pool(std::size_t buffer_size) : buffer_size_(buffer_size) {}
  [[nodiscard]] std::size_t buffer_size() const noexcept { return buffer_size_; }

 private:
  friend class buffer;
  struct free_memory {
    void operator()(std::byte* memory) const noexcept;
  };
  using memory_ptr = std::unique_ptr<std::byte, free_memory>;

  memory_ptr take();
  void give_back(memory_ptr memory) noexcept;

  const std::size_t buffer_size_;
  std::mutex mutex_;
  std::vector<memory_ptr> idle_;  ///< under mutex_, with room for all; the one used last, still in some cache, is taken first
  std::size_t made_ = 0;          ///< under mutex_
};

/// A buffer that returns to its pool.
class buffer {
 public:
  buffer() = default;
  explicit buffer(std::shared_ptr<buffer_pool> pool) : pool_(std::move(pool)), memory_(pool_->take()) {}
  buffer(buffer&&) noexcept = default;
  buffer& operator=(buffer&& other) noexcept;
  ~buffer();

  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {memory_.get(), pool_->buffer_size()}; }

 private:
  std::shared_ptr<buffer_pool> pool_;
  buffer_pool::memory_ptr memory_;
};

/// A descriptor that closes itself.
class open_file {
 public:
  open_file() = default;
  /// Opens a regular file, without following a symbolic link. @throws std::system_error, for other kinds of files as well
  explicit open_file(const std::string& path);
  open_file(open_file&& other) noexcept;
  open_file& operator=(open_file&& other) noexcept;
  ~open_file();

  /// Reads until `space` is full or the file ends; fewer bytes than asked for: it has ended. @throws std::system_error
  [[nodiscard]] std::size_t read(std::span<std::byte> space) const;

 private:
  int descriptor_ = -1;
};

/// A piece of a file, and the means to read on.
struct chunk {
  open_file rest;  ///< open unless `last`
  buffer memory;
  std::size_t size = 0;
  bool last = false;

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return memory.bytes().first(size); }
};

/// Opens and reads; a file that fits one buffer is closed again before this returns.
[[nodiscard]] chunk read_first_chunk(const std::string& path, std::shared_ptr<buffer_pool> buffers);
[[nodiscard]] chunk read_next_chunk(open_file file, std::shared_ptr<buffer_pool> buffers);

}  // namespace checksum
