#include "progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "output.hpp"

namespace checksum {

namespace {

constexpr const char* k_erase_line = "\r\033[K";
constexpr std::size_t k_bar_cells = 20;

std::string with_unit(double bytes) {
  static constexpr const char* k_units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < std::size(k_units); ++unit) bytes /= 1024;
  return fmt::format("{:.{}f} {}", bytes, unit == 0 ? 0 : 1, k_units[unit]);
}

std::string as_clock(double seconds) {
  const auto whole = static_cast<std::uint64_t>(std::clamp(std::ceil(seconds), 0.0, 359999.0));
  const std::uint64_t hours = whole / 3600;
  const std::uint64_t minutes = whole / 60 % 60;
  if (hours == 0) return fmt::format("{}:{:02}", minutes, whole % 60);
  return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
}

std::size_t terminal_width() {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  return known ? size.ws_col : 80;
}

void print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }

}  // namespace

progress::progress() : terminal_(::isatty(STDERR_FILENO) == 1) {}

void progress::report_failure(std::string_view path, std::string_view reason) {
  failures_.fetch_add(1, std::memory_order_relaxed);
  message(fmt::format("{}: {}", printable(path), reason));
}

void progress::message(std::string_view text) {
  const std::lock_guard lock(screen_mutex_);
  print(fmt::format("{}checksum_tree: {}\n", bar_shown_ ? k_erase_line : "", text));
  bar_shown_ = false;
}

void progress::set_total(std::uint64_t files, std::uint64_t bytes) noexcept {
  total_bytes_.store(bytes, std::memory_order_relaxed);
  total_files_.store(files, std::memory_order_relaxed);
}

void progress::draw_bar() {
  if (!terminal_) return;
  const std::string line = bar_line(terminal_width() - 1);
  const std::lock_guard lock(screen_mutex_);
  print(k_erase_line + line);
  bar_shown_ = true;
}

void progress::clear_bar() {
  const std::lock_guard lock(screen_mutex_);
  if (bar_shown_) print(k_erase_line);
  bar_shown_ = false;
}

std::string progress::summary() const {
  std::string text = fmt::format("{} files ({}) in {:.1f} s", files_.load(std::memory_order_relaxed),
                                 with_unit(static_cast<double>(bytes_.load(std::memory_order_relaxed))), elapsed());
  if (failures() != 0) text += fmt::format(", {} failed", failures());
  return text;
}

double progress::elapsed() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

std::string progress::bar_line(std::size_t width) const {
  const auto bytes = static_cast<double>(bytes_.load(std::memory_order_relaxed));
  const auto total_bytes = static_cast<double>(total_bytes_.load(std::memory_order_relaxed));
  const std::uint64_t files = files_.load(std::memory_order_relaxed);
  const std::uint64_t total_files = total_files_.load(std::memory_order_relaxed);
  const double rate = bytes / std::max(elapsed(), 0.001);

  std::string line;
  if (total_files == 0) {
    line = fmt::format("counting ...  {} files  {}  {}/s", files, with_unit(bytes), with_unit(rate));
  } else {
    const double done =
        std::min(1.0, total_bytes > 0 ? bytes / total_bytes : static_cast<double>(files) / static_cast<double>(total_files));
    const auto cells = static_cast<std::size_t>(done * k_bar_cells);
    const std::string left = rate > 0 ? as_clock(std::max(total_bytes - bytes, 0.0) / rate) : "-:--";
    line = fmt::format("[{:-<{}}] {:3.0f}%  {}/{} files  {}  {}/s  ETA {}", std::string(cells, '#'), k_bar_cells,
                       std::floor(done * 100), files, total_files, with_unit(bytes), with_unit(rate), left);
  }
  line.resize(std::min(line.size(), width));
  return line;
}

}  // namespace checksum
