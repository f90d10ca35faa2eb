#pragma once
/// @file
/// How much resident memory a piece of code adds, seen in a process of its own: nothing that was freed before is used again.

#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace bench {

/// begin() and end() around what is asked about.
class resident {
 public:
  void begin() { before_ = now(); }
  void end() { growth_ = now() - before_; }
  [[nodiscard]] double growth() const { return growth_; }

 private:
  /// Bytes.
  static double now() {
    long pages = 0;
    std::FILE* const file = std::fopen("/proc/self/statm", "r");
    if (file == nullptr || std::fscanf(file, "%*d %ld", &pages) != 1) std::abort();
    std::fclose(file);
    return static_cast<double>(pages) * static_cast<double>(sysconf(_SC_PAGESIZE));
  }

  double before_ = 0, growth_ = 0;
};

/// Bytes. The calling process has no other threads.
inline double resident_growth(void (*fill)(resident&, std::int64_t), std::int64_t n) {
  int channel[2];
  if (pipe(channel) != 0) std::abort();
  const pid_t child = fork();
  if (child == 0) {
    resident memory;
    fill(memory, n);
    const double found = memory.growth();
    _exit(write(channel[1], &found, sizeof found) == sizeof found ? 0 : 1);
  }
  int status = 1;
  double growth = 0;
  close(channel[1]);
  const bool told = read(channel[0], &growth, sizeof growth) == sizeof growth;
  close(channel[0]);
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0 || !told) {
    std::fputs("memory: the process that measures has failed\n", stderr);
    std::abort();
  }
  return growth;
}

}  // namespace bench
