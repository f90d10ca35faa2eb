#include "options.hpp"

#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <system_error>

#include <sheaf/version.hpp>

#include "output.hpp"

namespace checksum {

namespace {

constexpr const char* k_description =
    "Prints the SHA-256 of every regular file below the given paths, in the format of sha256sum.\n"
    "Symbolic links are not followed. Verify with: sha256sum -c FILE";

constexpr const char* k_footer =
    "\nExit status:\n"
    "  0    every file was hashed\n"
    "  1    some file could not be read, was too slow for --file-timeout, or standard output failed\n"
    "  2    wrong use\n"
    "  124  the run was too slow for --timeout\n"
    "  130  interrupted (Ctrl-C)\n"
    "After a timeout or an interrupt the lines of the files hashed until then are printed.";

/// A positive, finite number of seconds; the answer is empty or says what is wrong.
std::string check_seconds(const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  const bool positive = error == std::errc{} && rest == end && std::isfinite(value) && value > 0;
  return positive ? std::string{} : "'" + text + "' is not a positive number of seconds";
}

/// A path that is not there at all is a slip of the fingers, worth refusing before hours of work.
void require_existing(const std::string& path) {
  struct stat info;
  if (::lstat(path.c_str(), &info) == 0 || (errno != ENOENT && errno != ENOTDIR)) return;
  throw wrong_use(printable(path) + ": " + std::generic_category().message(errno));
}

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace

std::optional<options> parse_command_line(int argc, char** argv) {
  options chosen;
  std::string order = "path";
  double timeout = 0;
  double file_timeout = 0;

  CLI::App app(k_description, "checksum_tree");
  app.footer(k_footer);
  app.set_version_flag("--version", std::string("checksum_tree (Sheaf) ") + sheaf::version_string);
  app.add_option("PATH", chosen.paths, "Files and directories (default: /usr/include)");
  app.add_option("--order", order, "Order of the lines: by path, or as files are completed")
      ->check(CLI::IsMember({"path", "completed"}))
      ->capture_default_str();
  app.add_option("--jobs", chosen.jobs, "Files in flight at once")->check(CLI::Range(1, 4096))->capture_default_str();
  app.add_option("--workers", chosen.workers, "Threads that hash (default: one per usable core)")->check(CLI::Range(1, 1024));
  auto* has_timeout = app.add_option("--timeout", timeout, "Seconds for the whole run")->check(check_seconds);
  auto* has_file_timeout = app.add_option("--file-timeout", file_timeout, "Seconds for each file")->check(check_seconds);

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& answer) {  // --help, --version
    app.exit(answer);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    throw wrong_use(one_line(error.what()));
  }

  chosen.order = order == "path" ? line_order::path : line_order::completed;
  if (*has_timeout) chosen.timeout = seconds(timeout);
  if (*has_file_timeout) chosen.file_timeout = seconds(file_timeout);
  if (chosen.paths.empty()) chosen.paths.emplace_back("/usr/include");
  std::for_each(chosen.paths.begin(), chosen.paths.end(), require_existing);
  return chosen;
}

}  // namespace checksum
