#pragma once
/// @file
/// Everything a person reads on standard error: messages, the summary, and a progress bar when it is a terminal.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace checksum {

/// Any thread may call any of it.
class progress {
 public:
  progress();

  void count_bytes(std::uint64_t bytes) noexcept { bytes_.fetch_add(bytes, std::memory_order_relaxed); }
  void count_file() noexcept { files_.fetch_add(1, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t failures() const noexcept { return failures_.load(std::memory_order_relaxed); }

  /// Names a path that could not be dealt with, and counts it.
  void report_failure(std::string_view path, std::string_view reason);
  /// One line of its own, above the bar.
  void message(std::string_view text);

  [[nodiscard]] bool has_bar() const noexcept { return terminal_; }
  /// From here on the bar knows how far there is to go.
  void set_total(std::uint64_t files, std::uint64_t bytes) noexcept;
  void draw_bar();
  void clear_bar();

  /// "1234 files (56.7 MiB) in 1.2 s, 1 failed"
  [[nodiscard]] std::string summary() const;

 private:
  [[nodiscard]] double elapsed() const;
  [[nodiscard]] std::string bar_line(std::size_t width) const;

  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  const bool terminal_;
  std::atomic<std::uint64_t> files_{0};
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> failures_{0};
  std::atomic<std::uint64_t> total_files_{0};  ///< 0 until counted
  std::atomic<std::uint64_t> total_bytes_{0};

  std::mutex screen_mutex_;
  bool bar_shown_ = false;  ///< under screen_mutex_
};

}  // namespace checksum
