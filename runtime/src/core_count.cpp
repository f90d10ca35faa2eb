#include "core_count.hpp"

#include <algorithm>
#include <charconv>
#include <climits>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace sheaf::detail {

namespace {

std::optional<long long> number(std::string_view text) {
  long long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end == text.data()) return std::nullopt;
  return value;
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

unsigned whole_cores(std::optional<long long> quota, std::optional<long long> period) {
  if (!quota || !period || *quota <= 0 || *period <= 0) return 0;
  const long long cores = (*quota - 1) / *period + 1;
  return static_cast<unsigned>(std::min<long long>(cores, INT_MAX));
}

/// Version 2: one file, "max 100000" or "150000 100000".
unsigned quota_v2(const std::string& folder) {
  const std::string line = first_line(folder + "/cpu.max");
  const auto space = line.find(' ');
  if (space == std::string::npos) return 0;
  return whole_cores(number(std::string_view(line).substr(0, space)), number(std::string_view(line).substr(space + 1)));
}

/// Version 1: two files; a quota of -1 is none.
unsigned quota_v1(const std::string& folder) {
  return whole_cores(number(first_line(folder + "/cpu.cfs_quota_us")), number(first_line(folder + "/cpu.cfs_period_us")));
}

void keep_smaller(unsigned& smallest, unsigned cores) {
  if (cores != 0 && (smallest == 0 || cores < smallest)) smallest = cores;
}

/// Asks the group and every one above it: the tightest counts. Inside a container the path may name folders that only the host
/// sees; those read as "no quota" and the walk ends at the container's own root.
template <class Quota>
void ask_upwards(unsigned& smallest, const std::string& root, std::string path, Quota quota) {
  while (!path.empty() && path != "/") {
    keep_smaller(smallest, quota(root + path));
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
  keep_smaller(smallest, quota(root));
}

bool lists_cpu(std::string_view controllers) {
  while (!controllers.empty()) {
    const auto comma = controllers.find(',');
    if (controllers.substr(0, comma) == "cpu") return true;
    if (comma == std::string_view::npos) return false;
    controllers.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace

unsigned cgroup_cores(const cgroup_files& files) {
  unsigned smallest = 0;
  const std::string mount = files.mount;
  std::ifstream membership(files.membership);
  for (std::string line; std::getline(membership, line);) {  // "hierarchy:controllers:path"
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      ask_upwards(smallest, mount, path, quota_v2);
    } else if (lists_cpu(controllers)) {
      ask_upwards(smallest, mount + "/" + controllers, path, quota_v1);
      if (controllers != "cpu") ask_upwards(smallest, mount + "/cpu", path, quota_v1);
    }
  }
  return smallest;
}

}  // namespace sheaf::detail
