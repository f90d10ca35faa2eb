/// Random programs, run by the library and by the rules, compared node by node.
///
/// SHEAF_MODEL_PROGRAMS: how many with one worker (a fifth of that with two and with eight). SHEAF_MODEL_SEED: the first.
/// SHEAF_MODEL_TIES: how many in which much happens at one instant. SHEAF_MODEL_ORDERS: how many orders of that are tried for each.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "generate.hpp"
#include "orders.hpp"
#include "program.hpp"
#include "rules.hpp"
#include "subject.hpp"

namespace sheaf::model {
namespace {

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

/// Says what is wrong with a program; empty: nothing.
using judge = std::function<std::string(const node&)>;

judge compare(std::size_t workers) {
  return [workers](const node& program) {
    try {
      return differences(trace_of(run_by_the_rules(program)), trace_of(run_on_library(program, workers)));
    } catch (const std::exception& caught) {
      return std::string(caught.what()) + "\n";
    }
  };
}

/// While some smaller program fails too, that one is taken.
node shrunk(node program, const judge& wrong_with) {
  for (bool found = true; found;) {
    found = false;
    for (node& each : smaller(program)) {
      if (wrong_with(each).empty()) continue;
      program = std::move(each);
      found = true;
      break;
    }
  }
  return program;
}

void judge_many(std::uint64_t count, node (*generated)(std::uint64_t), const judge& wrong_with) {
  const std::uint64_t first = number_from("SHEAF_MODEL_SEED", 1);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const node program = generated(seed);
    const std::string wrong = wrong_with(program);
    if (wrong.empty()) continue;
    const node small = shrunk(program, wrong_with);
    FAIL() << "seed " << seed << ":\n"
           << wrong << "in the smallest program that differs:\n"
           << to_string(small) << wrong_with(small);
  }
}

std::uint64_t programs() { return number_from("SHEAF_MODEL_PROGRAMS", 500); }

TEST(Model, OneWorker) { judge_many(programs(), &generate, compare(1)); }
TEST(Model, TwoWorkers) { judge_many(programs() / 5, &generate, compare(2)); }
TEST(Model, EightWorkers) { judge_many(programs() / 5, &generate, compare(8)); }

/// Some order of what happens at one instant gives what the library has done, all of it and in the same order.
TEST(Model, TiesAtOneInstant) {
  const std::uint64_t most = number_from("SHEAF_MODEL_ORDERS", 5000);
  std::uint64_t judged = 0, undecided = 0, tried = 0;
  judge_many(number_from("SHEAF_MODEL_TIES", 1500), &generate_ties, [&](const node& program) -> std::string {
    try {
      const history found = run_on_library(program, 1);
      order_search search(program, found);
      const verdict decided = search.run(most);
      ++judged;
      tried += search.tried();
      if (decided == verdict::undecided) ++undecided;
      if (decided != verdict::excluded) return {};
      return fmt::format("the rules allow the first {} of what the library has done, and then something else:\n{}",
                         search.furthest(), to_string(found));
    } catch (const std::exception& caught) {
      return std::string(caught.what()) + "\n";
    }
  });
  fmt::print("{} programs, {} undecided, {:.2f} orders tried on average\n", judged, undecided,
             judged == 0 ? 0.0 : static_cast<double>(tried) / static_cast<double>(judged));
  EXPECT_LE(undecided, 1 + judged / 100);
}

/// The same seed gives the same program, and what is smaller is smaller.
TEST(Model, ProgramsRepeatAndShrink) {
  for (const auto generated : {&generate, &generate_ties}) {
    for (std::uint64_t seed = 1; seed < 50; ++seed) {
      const std::string text = to_string(generated(seed));
      EXPECT_EQ(text, to_string(generated(seed)));
      for (const node& each : smaller(generated(seed))) EXPECT_LT(to_string(each).size(), text.size());
    }
  }
}

}  // namespace
}  // namespace sheaf::model
