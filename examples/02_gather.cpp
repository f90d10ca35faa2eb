#include <sheaf/sheaf.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

std::string contents_of(const std::string& path) {  // blocks, so it gets a blocking thread
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}
sheaf::coro<long> count_lines(std::string path) {  // runs on a worker, and waits without one
  const std::string text = co_await sheaf::spawn_blocking(contents_of, path);
  co_return std::count(text.begin(), text.end(), '\n');
}
sheaf::coro<> count_both() try {
  auto both = sheaf::gather(count_lines("/proc/self/maps"), count_lines("/proc/self/status"));
  const auto [maps, status] = co_await sheaf::wait_for(std::move(both), std::chrono::seconds(2));
  std::printf("%ld lines of maps, %ld lines of status\n", maps, status);
} catch (const sheaf::timeout_error& late) {
  std::printf("%s\n", late.what());  // both reads have been asked to stop, and waited for
}
int main() { sheaf::run(count_both()); }
