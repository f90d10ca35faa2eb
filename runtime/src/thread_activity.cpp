#include "thread_activity.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string_view>

namespace sheaf::detail {

kernel_thread_id this_kernel_thread() noexcept { return static_cast<kernel_thread_id>(syscall(SYS_gettid)); }

bool asleep(kernel_thread_id thread) noexcept {
  std::array<char, 48> path;
  std::snprintf(path.data(), path.size(), "/proc/self/task/%d/stat", thread);
  const int file = open(path.data(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return true;
  std::array<char, 128> text;  // "1234 (name) S ...", the name at most 64 bytes
  const ssize_t length = read(file, text.data(), text.size());
  close(file);
  const std::string_view line(text.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  const auto name_end = line.rfind(')');
  return name_end == std::string_view::npos || name_end + 2 >= line.size() || line[name_end + 2] != 'R';
}

long voluntary_switches() noexcept {
  rusage usage;
  return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nvcsw : 0;
}

}  // namespace sheaf::detail
