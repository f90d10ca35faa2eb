#include "results.hpp"

#include <algorithm>
#include <utility>

namespace checksum {

namespace {

constexpr std::size_t k_write_at = 256 * 1024;

}  // namespace

void results::add(std::string path, const digest& sum) {
  if (order_ == line_order::completed) {
    lines_.append(path, sum);
  } else {
    unsorted_.push_back({std::move(path), sum});
  }
}

void results::finish(const std::function<bool()>& give_up) {
  std::sort(unsorted_.begin(), unsorted_.end(), [](const entry& a, const entry& b) { return a.path < b.path; });
  for (const entry& each : unsorted_) {
    lines_.append(each.path, each.sum);
    if (lines_.buffered() < k_write_at) continue;
    lines_.flush(give_up);
    if (lines_.buffered() != 0) return;
  }
  unsorted_.clear();
  lines_.flush(give_up);
}

}  // namespace checksum
