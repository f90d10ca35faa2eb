#pragma once
/// @file
/// notes: what happened, in order, noted from any thread.

#include <cstddef>
#include <mutex>
#include <string>

namespace sheaf::test {

/// @par Threads  any
class notes {
 public:
  notes& operator+=(char mark) {
    const std::lock_guard guard(lock_);
    text_ += mark;
    return *this;
  }
  notes& operator+=(const std::string& text) {
    const std::lock_guard guard(lock_);
    text_ += text;
    return *this;
  }
  [[nodiscard]] std::string text() const {
    const std::lock_guard guard(lock_);
    return text_;
  }
  [[nodiscard]] std::size_t size() const { return text().size(); }
  [[nodiscard]] bool empty() const { return text().empty(); }

 private:
  mutable std::mutex lock_;
  std::string text_;
};

}  // namespace sheaf::test
