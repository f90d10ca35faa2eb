#pragma once
/// @file
/// site_table: where atomic operations are written, and which of them is made in a weaker order than it says.

#include <array>
#include <atomic>
#include <cstddef>
#include <map>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "explorer/explorer.hpp"
#include "explorer/hooks.hpp"

namespace explorer {

class site_table {
 public:
  void weaken(const operation_site& site) {
    if (site.kind != "load" && site.kind != "store" && site.kind != "update" && site.kind != "failure")
      throw std::invalid_argument("no kind of operation: " + site.kind);
    weaker_ = site;
  }
  void count() { counting_ = true; }
  [[nodiscard]] bool idle() const noexcept { return !counting_ && !weaker_; }

  std::memory_order order_at(const std::source_location& site, operation kind, std::memory_order own) {
    if (counting_) {
      seen& at = counted_[{site.file_name(), site.line(), site.column(), kind}];
      at.order = own;
      ++at.times;
    }
    return weaker_ && is(*weaker_, site, kind) ? weaker_->order : own;
  }

  [[nodiscard]] std::vector<operation_site> all() const {
    std::vector<operation_site> told;
    for (const auto& [where, at] : counted_) {
      const auto& [file, line, column, kind] = where;
      told.push_back({std::string(file), line, column, std::string(name(kind)), at.order, at.times});
    }
    return told;
  }

 private:
  struct seen {
    std::memory_order order = std::memory_order_relaxed;
    std::uint64_t times = 0;
  };

  static std::string_view name(operation kind) {
    switch (kind) {
      case operation::load:
        return "load";
      case operation::store:
        return "store";
      case operation::failed_update:
        return "failure";
      default:
        return "update";
    }
  }
  static bool is(const operation_site& wanted, const std::source_location& site, operation kind) {
    return wanted.line == site.line() && wanted.column == site.column() && wanted.kind == name(kind) &&
           std::string_view(site.file_name()).ends_with(wanted.file);
  }

  bool counting_ = false;
  std::optional<operation_site> weaker_;
  std::map<std::tuple<std::string_view, unsigned, unsigned, operation>, seen> counted_;
};

}  // namespace explorer
