#pragma once
/// @file
/// Which choice is made next: a depth-first walk over all of them, a random one, or a given list.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <unordered_set>
#include <utility>
#include <vector>

namespace explorer {

class schedule {
 public:
  enum class mode { exhaustive, random, replay };

  void begin_exhaustive(unsigned preemptions) {
    mode_ = mode::exhaustive;
    preemptions_ = preemptions;
    path_.clear();
    known_.clear();
  }
  void begin_replay(std::vector<unsigned> choices) {
    mode_ = mode::replay;
    given_ = std::move(choices);
  }
  void begin_random(std::uint64_t seed, std::uint64_t usual_steps) {
    mode_ = mode::random;
    random_.seed(seed);
    priorities_.clear();
    changes_.clear();
    constexpr int k_changes = 3;
    for (int i = 0; i < k_changes; ++i) changes_.push_back(random_() % std::max<std::uint64_t>(usual_steps, 1));
  }
  void begin_run() {
    made_.clear();
    depth_ = 0;
    left_ = preemptions_;
    pruned_ = false;
    strayed_ = false;
    choices_ = 0;
  }

  /// Which of the actors `able` moves on; the first one is moving now if it `may_stay`. `state` tells equal states.
  template <class State>
  std::size_t choose_actor(std::span<const unsigned> able, bool may_stay, State state) {
    if (able.size() == 1) return 0;
    switch (mode_) {
      case mode::replay:
        return note(next_given(able.size()));
      case mode::random:
        return note(highest(able, may_stay));
      default:
        return note(walk(static_cast<unsigned>(able.size()), may_stay, state));
    }
  }
  /// Yes or no; yes costs a preemption if it is `costly`.
  bool choose(bool costly) {
    switch (mode_) {
      case mode::replay:
        return note(next_given(2)) != 0;
      case mode::random:
        return note(random_() % 2) != 0;
      default:
        return note(walk(2, costly, [] { return std::uint64_t{0}; })) != 0;
    }
  }

  /// The same for what would not do half of the time: yes costs a preemption.
  bool choose_rarely() {
    constexpr unsigned k_one_of = 100;
    if (mode_ == mode::random) return note(random_() % k_one_of == 0 ? 1 : 0) != 0;
    return choose(true);
  }

  /// To the next run of the walk. False: there is none.
  bool next() {
    while (!path_.empty() && path_.back().chosen + 1 == path_.back().options) path_.pop_back();
    if (path_.empty()) return false;
    ++path_.back().chosen;
    return true;
  }
  [[nodiscard]] const std::vector<unsigned>& made() const noexcept { return made_; }
  [[nodiscard]] bool pruned() const noexcept { return pruned_; }
  /// A choice that was made before does not fit what there is to choose from now.
  [[nodiscard]] bool strayed() const noexcept { return strayed_; }

 private:
  struct fork {
    unsigned chosen;
    unsigned options;
  };

  std::size_t note(std::size_t choice) {
    made_.push_back(static_cast<unsigned>(choice));
    return choice;
  }
  std::size_t next_given(std::size_t options) {
    const std::size_t choice = depth_ < given_.size() ? given_[depth_++] : 0;
    strayed_ = strayed_ || choice >= options;
    return choice < options ? choice : 0;
  }

  /// The first choice is free; with `costly` the others take a preemption.
  template <class State>
  std::size_t walk(unsigned options, bool costly, State state) {
    if (pruned_ || (costly && left_ == 0)) return 0;
    if (depth_ == path_.size()) {
      const std::uint64_t at = state();
      if (at != 0 && !known_.insert(at * 31 + left_ * 2 + (costly ? 1 : 0)).second) {
        pruned_ = true;
        return 0;
      }
      path_.push_back({0, options});
    }
    strayed_ = strayed_ || path_[depth_].options != options;
    const unsigned chosen = path_[depth_++].chosen;
    if (costly && chosen != 0) --left_;
    return chosen;
  }

  std::size_t highest(std::span<const unsigned> able, bool may_stay) {
    const std::uint64_t now = choices_++;
    if (may_stay && std::ranges::find(changes_, now) != changes_.end())
      priority_of(able[0]) = random_() % 1000;  // below all others
    std::size_t best = 0;
    for (std::size_t i = 1; i < able.size(); ++i) {
      if (priority_of(able[i]) > priority_of(able[best])) best = i;
    }
    return best;
  }
  std::uint64_t& priority_of(unsigned actor) {
    while (priorities_.size() <= actor) priorities_.push_back(1000 + random_() % 1'000'000);
    return priorities_[actor];
  }

  mode mode_ = mode::exhaustive;
  unsigned preemptions_ = 0;
  std::vector<fork> path_;  ///< of the walk
  std::unordered_set<std::uint64_t> known_;
  std::vector<unsigned> given_;
  std::mt19937_64 random_;
  std::vector<std::uint64_t> priorities_, changes_;

  // Of one run:
  std::vector<unsigned> made_;
  std::size_t depth_ = 0;
  unsigned left_ = 0;
  bool pruned_ = false;
  bool strayed_ = false;
  std::uint64_t choices_ = 0;
};

}  // namespace explorer
