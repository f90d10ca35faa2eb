#include "output.hpp"

#include <fmt/format.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <iterator>
#include <system_error>
#include <utility>

namespace checksum {

namespace {

constexpr std::size_t k_file_piece = 256 * 1024;
constexpr std::chrono::milliseconds k_poll_interval(20);

[[noreturn]] void throw_write_error() { throw std::system_error(errno, std::generic_category(), "write error"); }

bool is_file(int descriptor) {
  struct stat info;
  return ::fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode);
}

/// A descriptor that nobody reads is waited for in short turns, so that somebody can still give up.
bool wait_until_writable(int descriptor, const std::function<bool()>& give_up) {
  pollfd waiting{descriptor, POLLOUT, 0};
  while (!give_up()) {
    const int ready = ::poll(&waiting, 1, static_cast<int>(k_poll_interval.count()));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) throw_write_error();
  }
  return false;
}

void write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      wait_until_writable(descriptor, [] { return false; });
    } else if (errno != EINTR) {
      throw_write_error();
    }
  }
}

}  // namespace

std::string printable(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\\') {
      escaped += "\\\\";
    } else if (c == '\n') {
      escaped += "\\n";
    } else if (c == '\r') {
      escaped += "\\r";
    } else if (byte < 0x20 || byte == 0x7f) {
      fmt::format_to(std::back_inserter(escaped), "\\{:03o}", byte);
    } else {
      escaped += c;
    }
  }
  return escaped;
}

void append_checksum_line(std::string& text, std::string_view path, const digest& sum) {
  static constexpr char k_hex[] = "0123456789abcdef";
  const bool escaped = path.find_first_of("\\\n\r") != std::string_view::npos;
  if (escaped) text += '\\';
  for (const unsigned char byte : sum) {
    text += k_hex[byte >> 4];
    text += k_hex[byte & 15];
  }
  text += "  ";
  for (const char c : path) {
    if (c == '\\') {
      text += "\\\\";
    } else if (c == '\n') {
      text += "\\n";
    } else if (c == '\r') {
      text += "\\r";
    } else {
      text += c;
    }
  }
  text += '\n';
}

line_writer::line_writer(int descriptor) : descriptor_(descriptor), piece_(is_file(descriptor) ? k_file_piece : PIPE_BUF) {}

void line_writer::append(std::string_view path, const digest& sum) {
  const std::lock_guard lock(lines_mutex_);
  append_checksum_line(lines_, path, sum);
}

std::size_t line_writer::buffered() const {
  const std::lock_guard lock(lines_mutex_);
  return lines_.size();
}

/// The longest run of whole lines that fits a piece; a line longer than that is a piece of its own.
std::size_t line_writer::next_piece(std::string_view text) const {
  if (text.size() <= piece_) return text.size();
  const std::size_t last = text.rfind('\n', piece_ - 1);
  return (last != std::string_view::npos ? last : text.find('\n')) + 1;
}

void line_writer::flush(const std::function<bool()>& give_up) {
  const std::lock_guard writing(writing_mutex_);
  std::string text;
  {
    const std::lock_guard lock(lines_mutex_);
    text.swap(lines_);
  }
  std::string_view rest = text;
  while (!rest.empty() && wait_until_writable(descriptor_, give_up)) {
    const std::size_t piece = next_piece(rest);
    write_all(descriptor_, rest.substr(0, piece));
    rest.remove_prefix(piece);
  }
  if (rest.empty()) return;
  const std::lock_guard lock(lines_mutex_);
  lines_.insert(0, rest);
}

}  // namespace checksum
