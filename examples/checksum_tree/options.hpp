#pragma once
/// @file
/// The command line, read and checked before any work starts.

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace checksum {

using seconds = std::chrono::duration<double>;

enum class line_order { path, completed };

/// What the process says with its exit code.
enum exit_code : int { k_success = 0, k_some_failed = 1, k_wrong_use = 2, k_timed_out = 124, k_interrupted = 130 };

struct options {
  std::vector<std::string> paths;
  line_order order = line_order::path;
  unsigned workers = 0;  ///< threads that hash; 0: one per usable core
  unsigned jobs = 32;    ///< files in flight
  std::optional<seconds> timeout;
  std::optional<seconds> file_timeout;
};

/// A command line that cannot be obeyed; what() is one line.
class wrong_use : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Nothing: --help or --version was asked for and has been answered. @throws wrong_use
[[nodiscard]] std::optional<options> parse_command_line(int argc, char** argv);

}  // namespace checksum
