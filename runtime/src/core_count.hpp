#pragma once
/// @file
/// How many cores the cgroup of this process pays for. Plain file reading, apart from sync.cpp so that a test can give it files.

namespace sheaf::detail {

/// Where the system says so.
struct cgroup_files {
  const char* membership = "/proc/self/cgroup";
  const char* mount = "/sys/fs/cgroup";
};

/// The smallest quota of the process's cgroup and of those above it, version 2 or 1, rounded up to whole cores; 0: none is set.
[[nodiscard]] unsigned cgroup_cores(const cgroup_files& files = {});

}  // namespace sheaf::detail
