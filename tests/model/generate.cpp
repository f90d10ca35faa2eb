#include "generate.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
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
        steps.push_back(at_slot(make(kind::cancel)));
        steps.back().after = steps.back().time / 3 + 1;
        return;
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

class tie_generator {
 public:
  explicit tie_generator(std::uint64_t seed) : random_(seed) {}

  node program() {
    node made = make(kind::sequence);
    for (int i = pick(0, 2); i > 0; --i)
      made.children.push_back(pick(0, 3) == 0 ? spawn_gather(2) : at_slot(around(kind::spawn, 2)));
    add_steps(made.children, 3, pick(1, 2));
    return made;
  }

 private:
  int pick(int from, int to) { return static_cast<int>(random_() % static_cast<std::uint64_t>(to - from + 1)) + from; }
  node make(kind what) {
    --left_;
    return {.what = what, .id = next_id_++};
  }
  node timed(node made) {
    made.time = pick(0, 3);
    return made;
  }
  node at_slot(node made) {
    made.time = std::max(-1, pick(-3, 3));
    made.slot = pick(0, 1);
    return made;
  }
  node around(kind what, int depth) {
    node made = make(what);
    made.children.push_back(body(depth - 1));
    return made;
  }
  node body(int depth) {
    node made = make(kind::sequence);
    made.time = std::max(0, pick(-2, 3));
    add_steps(made.children, depth, pick(1, 2));
    return made;
  }

  node spawn_gather(int depth) {
    node made = at_slot(make(kind::spawn_gather));
    for (int i = pick(1, 3); i > 0; --i) made.children.push_back(body(depth - 1));
    return made;
  }

  void add_steps(std::vector<node>& steps, int depth, int count) {
    for (; count > 0; --count) add_step(steps, depth);
    if (pick(0, 3) == 0) steps.push_back(make(kind::fail));
  }

  void add_step(std::vector<node>& steps, int depth) {
    constexpr kind k_around[] = {kind::attempt,  kind::swallow,  kind::timeout, kind::timeout,
                                 kind::wait_for, kind::wait_for, kind::shield,  kind::spawn};
    const bool leaf = depth <= 0 || left_ <= 0;
    const int choice = pick(0, leaf ? 6 : 16);
    if (choice < 2) return steps.push_back(timed(make(kind::sleep)));
    if (choice < 4) {
      steps.push_back(at_slot(make(kind::cancel)));
      steps.back().after = std::max(0, pick(-2, 2));
      return;
    }
    if (choice < 5) return steps.push_back(at_slot(make(kind::join)));
    if (choice < 7) {  // what goes on after it has been stopped or has failed, and then suspends again
      steps.push_back(make(pick(0, 2) == 0 ? kind::attempt : kind::swallow));
      steps.back().children.push_back(leaf || pick(0, 1) == 0 ? timed(make(kind::sleep)) : combinator(depth));
      return steps.push_back(timed(make(kind::sleep)));
    }
    if (choice < 8) return steps.push_back(spawn_gather(depth));
    if (choice < 12) {
      const kind what = k_around[pick(0, static_cast<int>(std::size(k_around)) - 1)];
      return steps.push_back(what == kind::spawn ? at_slot(around(what, depth)) : timed(around(what, depth)));
    }
    steps.push_back(combinator(depth));
  }

  node combinator(int depth) {
    constexpr kind k_kinds[] = {kind::gather,         kind::gather_outcomes, kind::when_all,     kind::race,  kind::wait_first,
                                kind::wait_exception, kind::wait_all,        kind::as_completed, kind::group, kind::group};
    node made = make(k_kinds[pick(0, static_cast<int>(std::size(k_kinds)) - 1)]);
    const bool is_wait = made.what == kind::wait_first || made.what == kind::wait_exception || made.what == kind::wait_all;
    if (is_wait) made.time = pick(-1, 3);
    for (int i = pick(made.what == kind::group ? 2 : 1, 3); i > 0; --i) made.children.push_back(body(depth - 1));
    return made;
  }

  std::mt19937_64 random_;
  int next_id_ = 0;
  int left_ = 14;  ///< how many more nodes may be begun, roughly
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
node generate_ties(std::uint64_t seed) { return tie_generator(seed).program(); }

std::vector<node> smaller(const node& program) {
  std::vector<node> found;
  shrink(program, found, [](node made) { return made; });
  return found;
}

}  // namespace sheaf::model
