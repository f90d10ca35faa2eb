/// The wheel against a model.
#include "timer_wheel.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <set>
#include <tuple>
#include <vector>

namespace sheaf::detail {
namespace {

struct entry : timer {
  entry() : timer([](timer&) noexcept {}) {}
};

TEST(TimerWheel, AgreesWithAnOrderedSetOnEveryScale) {
  for (const std::uint32_t seed : {1U, 2U, 3U, 4U, 5U}) {
    std::mt19937_64 random(seed);
    // 12 bits: crowded slots and equal deadlines; 60 bits: every level.
    for (const int bits : {3, 12, 30, 45, 60}) {
      sync::nanoseconds now = static_cast<sync::nanoseconds>(random() >> 4) & ((sync::nanoseconds{1} << bits) - 1);
      timer_wheel wheel(now);
      std::vector<std::unique_ptr<entry>> entries;
      for (int i = 0; i < 300; ++i) entries.push_back(std::make_unique<entry>());
      using key = std::tuple<sync::nanoseconds, std::uint64_t, entry*>;
      std::set<key> model;
      std::uint64_t armed = 0;
      std::vector<key> key_of(entries.size());
      const auto span = [&] {
        return static_cast<sync::nanoseconds>(random() >> (64 - 1 - random() % static_cast<unsigned>(bits)));
      };
      for (int turn = 0; turn < 4000; ++turn) {
        const std::size_t pick = random() % entries.size();
        entry& chosen = *entries[pick];
        const bool linked = model.contains(key_of[pick]);
        switch (random() % 4) {
          case 0:
          case 1:
            if (!linked) {
              const sync::nanoseconds deadline = random() % 16 == 0 ? now - span() : now + span();
              wheel.insert(chosen, deadline);
              key_of[pick] = {deadline, ++armed, &chosen};
              model.insert(key_of[pick]);
            }
            break;
          case 2:
            ASSERT_EQ(wheel.remove(chosen), linked);
            model.erase(key_of[pick]);
            break;
          default:
            now += random() % 2 == 0 || model.empty() ? span() / 4
                                                      : std::max<sync::nanoseconds>(0, std::get<0>(*model.begin()) - now);
            for (timer* due = wheel.first_due(now); due != nullptr; due = wheel.first_due(now)) {
              ASSERT_FALSE(model.empty());
              ASSERT_EQ(due, std::get<2>(*model.begin())) << "seed " << seed << ", " << bits << " bits, turn " << turn;
              ASSERT_LE(due->deadline, now);
              model.erase(model.begin());
              ASSERT_TRUE(wheel.remove(*due));
            }
            ASSERT_TRUE(model.empty() || std::get<0>(*model.begin()) > now);
        }
        const sync::nanoseconds first = model.empty() ? sync::k_forever : std::get<0>(*model.begin());
        ASSERT_LE(wheel.earliest(0), first);
        ASSERT_EQ(wheel.earliest(entries.size()), first);
      }
    }
  }
}

/// Also where the count of entries begins anew.
class CountedFrom : public testing::TestWithParam<std::uint32_t> {};
INSTANTIATE_TEST_SUITE_P(TimerWheel, CountedFrom, testing::Values(0U, 0xffff'fffdU, 0xffff'fffeU, 0xffff'ffffU, 0x7fff'fffdU));

TEST_P(CountedFrom, KeepsTheArmingOrderOfEqualDeadlinesAcrossLevels) {
  timer_wheel wheel(0, GetParam());
  entry far, nearer, near, late;
  constexpr sync::nanoseconds k_deadline = 5'000'000;
  wheel.insert(far, k_deadline);
  ASSERT_EQ(wheel.first_due(4'900'000), nullptr);
  wheel.insert(nearer, k_deadline);
  ASSERT_EQ(wheel.first_due(k_deadline - 1), nullptr);
  wheel.insert(near, k_deadline);
  for (timer* const expected : {static_cast<timer*>(&far), static_cast<timer*>(&nearer), static_cast<timer*>(&near)}) {
    ASSERT_EQ(wheel.first_due(k_deadline), expected);
    wheel.remove(*expected);
    if (expected == &far) wheel.insert(late, k_deadline);
  }
  EXPECT_EQ(wheel.first_due(k_deadline), &late);
}

TEST(TimerWheel, WalksOnlyAsFarAsItsPatience) {
  timer_wheel wheel(0);
  entry first, second, third;
  wheel.insert(first, 100'000);
  wheel.insert(second, 100'001);
  wheel.insert(third, 100'002);
  ASSERT_TRUE(wheel.remove(first));
  EXPECT_EQ(wheel.earliest(1), 100'000);
  EXPECT_EQ(wheel.earliest(2), 100'001);
  EXPECT_EQ(wheel.earliest(0), 100'001) << "an answer, once found, is kept";
}

}  // namespace
}  // namespace sheaf::detail
