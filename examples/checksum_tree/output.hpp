#pragma once
/// @file
/// Lines as sha256sum prints them, written to a descriptor in whole lines.

#include <cstddef>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "sha256.hpp"

namespace checksum {

/// `text` with control characters and backslashes written as escapes: one line of a message, whatever a file is called.
[[nodiscard]] std::string printable(std::string_view text);

/// Appends `<hex>  <path>\n`. As sha256sum does, a path with a backslash, newline or carriage return is escaped and its line starts
/// with a backslash.
void append_checksum_line(std::string& text, std::string_view path, const digest& sum);

/// A buffer of lines on their way to a descriptor. A line is never torn: to a pipe, lines go in atomic pieces of at most PIPE_BUF
/// bytes, and giving up happens only between pieces. (A single line longer than PIPE_BUF is written in several pieces, all of them.)
///
/// append() and buffered() are for any thread and do not wait for the descriptor; flush() does, so it belongs on a thread that may
/// block.
class line_writer {
 public:
  explicit line_writer(int descriptor);

  void append(std::string_view path, const digest& sum);
  [[nodiscard]] std::size_t buffered() const;
  /// Writes what is buffered; `give_up`, asked before every piece and while nobody reads, ends it early. What was not written stays
  /// buffered. @throws std::system_error
  void flush(const std::function<bool()>& give_up);

 private:
  [[nodiscard]] std::size_t next_piece(std::string_view text) const;

  int descriptor_;
  std::size_t piece_;  ///< the most that is written at once

  mutable std::mutex lines_mutex_;
  std::string lines_;  ///< under lines_mutex_

  std::mutex writing_mutex_;  ///< held by the one flush() that writes; taken before lines_mutex_
};

}  // namespace checksum
