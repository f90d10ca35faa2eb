#include "generate.hpp"

#include <functional>
#include <random>
#include <utility>

namespace sheaf::model {

namespace {

class generator {
 public:
  explicit generator(std::uint64_t seed) : random_(seed) {}

  node program() { return body(4, false); }

 private:
  int pick(int from, int to) { return static_cast<int>(random_() % static_cast<std::uint64_t>(to - from + 1)) + from; }
  node make(kind what) { return {.what = what, .id = next_id_++}; }
  std::int64_t duration() { return 1 + static_cast<std::int64_t>(random_() % 1'000'000'000); }
  node sleep() {
    node made = make(kind::sleep);
    made.time = duration();
    return made;
  }

  /// Some steps one after the other. `inside` a combinator, which would notice two slots that end at one instant.
  node body(int depth, bool inside) {
    node made = make(kind::sequence);
    const int steps = pick(1, depth > 2 ? 4 : 2);
    for (int i = 0; i < steps; ++i) add_step(made.children, depth, inside);
    if (pick(0, 3) == 0) made.children.push_back(make(kind::fail));
    return made;
  }

  void add_step(std::vector<node>& steps, int depth, bool inside) {
    const int choice = depth <= 0 ? pick(0, 3) : pick(0, 23);
    switch (choice) {
      case 0:
      case 1:
      case 2:
        return steps.push_back(sleep());
      case 3:
        return steps.push_back(at_slot(make(kind::cancel)));
      case 4:
      case 5: {
        if (inside) return steps.push_back(sleep());
        return steps.push_back(at_slot(make(kind::join)));
      }
      case 6:
      case 7:
        return steps.push_back(around(kind::attempt, depth, inside));
      case 8:
      case 9:
        return steps.push_back(around(kind::swallow, depth, inside));
      case 10:
      case 11:
      case 12: {
        return steps.push_back(at_slot(around(kind::spawn, depth, false)));
      }
      case 13:
      case 14: {
        node made = around(kind::timeout, depth, true);
        made.time = duration();
        return steps.push_back(std::move(made));
      }
      case 15:
      case 16: {
        node made = around(kind::wait_for, depth, true);
        made.time = duration();
        made.children[0].time = duration();
        return steps.push_back(std::move(made));
      }
      case 17: {
        node made = around(kind::shield, depth, true);
        made.children[0].time = duration();
        return steps.push_back(std::move(made));
      }
      default:
        return steps.push_back(combinator(depth));
    }
  }

  node at_slot(node made) {
    made.time = duration();
    made.slot = pick(0, k_slots - 1);
    return made;
  }
  node around(kind what, int depth, bool inside) {
    node made = make(what);
    made.children.push_back(body(depth - 1, inside));
    return made;
  }

  node combinator(int depth) {
    constexpr kind k_kinds[] = {kind::gather,         kind::gather_outcomes, kind::when_all,     kind::race,  kind::wait_first,
                                kind::wait_exception, kind::wait_all,        kind::as_completed, kind::group, kind::group};
    node made = make(k_kinds[pick(0, static_cast<int>(std::size(k_kinds)) - 1)]);
    const bool is_wait = made.what == kind::wait_first || made.what == kind::wait_exception || made.what == kind::wait_all;
    if (is_wait && pick(0, 1) == 0) made.time = duration();
    const int count = pick(1, 3);
    for (int i = 0; i < count; ++i) {
      made.children.push_back(body(depth - 1, true));
      made.children.back().time = duration();
    }
    return made;
  }

  std::mt19937_64 random_;
  int next_id_ = 0;
};

/// Every program that comes of leaving out, or opening up, one node below `whole`; `rebuild(n)` puts n in place of `whole`.
void shrink(const node& whole, std::vector<node>& found, const std::function<node(node)>& rebuild) {
  for (std::size_t i = 0; i < whole.children.size(); ++i) {
    if (whole.children.size() > 1 || whole.what == kind::sequence) {
      node without = whole;
      without.children.erase(without.children.begin() + static_cast<std::ptrdiff_t>(i));
      found.push_back(rebuild(std::move(without)));
    }
    if (whole.what == kind::sequence && whole.children[i].children.size() == 1 && whole.children[i].what != kind::spawn) {
      node opened = whole;
      node inner = whole.children[i].children[0];
      opened.children[i] = std::move(inner);
      found.push_back(rebuild(std::move(opened)));
    }
    shrink(whole.children[i], found, [&](node smaller_child) {
      node with = whole;
      with.children[i] = std::move(smaller_child);
      return rebuild(std::move(with));
    });
  }
}

}  // namespace

node generate(std::uint64_t seed) { return generator(seed).program(); }

std::vector<node> smaller(const node& program) {
  std::vector<node> found;
  shrink(program, found, [](node made) { return made; });
  return found;
}

}  // namespace sheaf::model
