#pragma once
/// @file
/// Whether some order of what happens at one instant explains what the library has done.

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "program.hpp"
#include "rules.hpp"
#include "simulation.hpp"

namespace sheaf::model {

enum class verdict { found, excluded, undecided };

/// Runs a program by the rules in one order after the other, depth first, until what comes of its nodes comes as wanted. Whatever
/// contradicts that ends a run, and with it all orders that begin in the same way; what leads to the next thing wanted is tried first.
class order_search final : public guide {
 public:
  order_search(const node& program, const history& wanted) : program_(program), wanted_(wanted) {
    find_owners(program, program.id);
  }

  /// @param most how many orders are tried
  verdict run(std::uint64_t most) {
    while (tried_ != most) {
      ++tried_;
      depth_ = seen_ = 0;
      contradicted_ = false;
      static_cast<void>(run_by_the_rules(program_, *this));
      if (!contradicted_ && seen_ == wanted_.size()) return verdict::found;
      while (!path_.empty() && path_.back().next == path_.back().of) path_.pop_back();
      if (path_.empty()) return verdict::excluded;
      ++path_.back().next;
    }
    return verdict::undecided;
  }
  [[nodiscard]] std::uint64_t tried() const { return tried_; }
  /// How much of what is wanted, from its beginning, some order has given.
  [[nodiscard]] std::size_t furthest() const { return furthest_; }

  std::size_t choose(std::span<const possible> these) override {
    if (depth_ == path_.size()) path_.push_back({1, these.size()});
    const std::size_t place = path_[depth_++].next - 1;
    std::vector<std::pair<int, std::size_t>> ranking;
    for (std::size_t i = 0; i < these.size(); ++i) ranking.emplace_back(rank(these[i]), i);
    std::ranges::sort(ranking);
    return ranking[place].second;
  }
  bool notes(const entry& ended) override {
    contradicted_ = seen_ == wanted_.size() || !(wanted_[seen_] == ended);
    if (contradicted_) return false;
    furthest_ = std::max(furthest_, ++seen_);
    return true;
  }
  bool moves_to(std::int64_t time) override {
    contradicted_ = seen_ != wanted_.size() && wanted_[seen_].ended.time < time;
    return !contradicted_;
  }

 private:
  struct step {
    std::size_t next;  ///< counted from 1
    std::size_t of;
  };

  void find_owners(const node& each, int owner) {
    owners_[each.id] = owner;
    const bool own_task =
        each.what == kind::sequence || each.what == kind::attempt || each.what == kind::swallow || each.what == kind::timeout;
    for (const node& child : each.children) {
      const bool is_body = each.what == kind::group && &child == each.children.data();
      find_owners(child, own_task || is_body ? owner : child.id);
    }
  }
  /// Alarms go first, as on one worker they do; then whoever is to say something next.
  [[nodiscard]] int rank(const possible& each) const {
    if (each.task == nullptr) return each.posted == 0 ? 0 : 2;
    if (seen_ == wanted_.size()) return 3;
    return each.task->number == owners_.at(wanted_[seen_].id) ? 1 : 3;
  }

  const node& program_;
  const history& wanted_;
  std::map<int, int> owners_;  ///< which task evaluates a node
  std::vector<step> path_;
  std::size_t depth_ = 0;
  std::size_t seen_ = 0;
  std::size_t furthest_ = 0;
  bool contradicted_ = false;
  std::uint64_t tried_ = 0;
};

}  // namespace sheaf::model
