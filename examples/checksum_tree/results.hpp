#pragma once
/// @file
/// Where finished hashes go: to the output as they come, or into a list that is sorted at the end.

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "options.hpp"
#include "output.hpp"
#include "sha256.hpp"

namespace checksum {

/// add() is for one caller at a time; the rest as in line_writer.
class results {
 public:
  results(line_order order, int descriptor) : order_(order), lines_(descriptor) {}

  void add(std::string path, const digest& sum);
  /// Bytes of lines that could be written now.
  [[nodiscard]] std::size_t buffered() const { return lines_.buffered(); }
  /// Writes the lines that could be written now. @throws std::system_error
  void flush(const std::function<bool()>& give_up) { lines_.flush(give_up); }
  /// Writes all the rest, once nothing will be added. @throws std::system_error
  void finish(const std::function<bool()>& give_up);

 private:
  struct entry {
    std::string path;
    digest sum;
  };

  line_order order_;
  std::vector<entry> unsorted_;
  line_writer lines_;
};

}  // namespace checksum
