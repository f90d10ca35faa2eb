/// Random programs, run by the library and by the rules, compared node by node.
///
/// SHEAF_MODEL_PROGRAMS: how many with one worker (a fifth of that with two and with eight). SHEAF_MODEL_SEED: the first.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "generate.hpp"
#include "program.hpp"
#include "rules.hpp"
#include "subject.hpp"

namespace sheaf::model {
namespace {

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

std::string compare(const node& program, std::size_t workers) {
  try {
    return differences(run_by_the_rules(program), run_on_library(program, workers));
  } catch (const std::exception& caught) {
    return std::string(caught.what()) + "\n";
  }
}

/// While some smaller program fails too, that one is taken.
node shrunk(node program, std::size_t workers) {
  for (bool found = true; found;) {
    found = false;
    for (node& each : smaller(program)) {
      if (compare(each, workers).empty()) continue;
      program = std::move(each);
      found = true;
      break;
    }
  }
  return program;
}

void compare_many(std::uint64_t count, std::size_t workers) {
  const std::uint64_t first = number_from("SHEAF_MODEL_SEED", 1);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const node program = generate(seed);
    const std::string different = compare(program, workers);
    if (different.empty()) continue;
    const node small = shrunk(program, workers);
    FAIL() << "seed " << seed << ", " << workers << " worker(s):\n"
           << different << "in the smallest program that differs:\n"
           << to_string(small) << compare(small, workers);
  }
}

TEST(Model, OneWorker) { compare_many(number_from("SHEAF_MODEL_PROGRAMS", 500), 1); }
TEST(Model, TwoWorkers) { compare_many(number_from("SHEAF_MODEL_PROGRAMS", 500) / 5, 2); }
TEST(Model, EightWorkers) { compare_many(number_from("SHEAF_MODEL_PROGRAMS", 500) / 5, 8); }

/// The same seed gives the same program, and what is smaller is smaller.
TEST(Model, ProgramsRepeatAndShrink) {
  for (std::uint64_t seed = 1; seed < 50; ++seed) {
    const std::string text = to_string(generate(seed));
    EXPECT_EQ(text, to_string(generate(seed)));
    for (const node& each : smaller(generate(seed))) EXPECT_LT(to_string(each).size(), text.size());
  }
}

}  // namespace
}  // namespace sheaf::model
