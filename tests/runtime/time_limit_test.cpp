/// Durations of every kind, and what does not fit.
#include <sheaf/time_limit.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <ratio>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using detail::saturating_add;
using detail::to_nanoseconds;
using detail::sync::k_forever;

constexpr auto k_past = std::numeric_limits<std::int64_t>::min();

static_assert(std::is_trivially_copyable_v<time_limit> && std::is_trivially_destructible_v<time_limit>);
static_assert(std::is_convertible_v<std::chrono::milliseconds, time_limit>);
static_assert(std::is_convertible_v<std::chrono::duration<float>, time_limit>);
static_assert(std::is_convertible_v<std::nullopt_t, time_limit>);
static_assert(std::is_convertible_v<std::optional<std::chrono::seconds>, time_limit>);
static_assert(!std::is_convertible_v<int, time_limit> && !std::is_convertible_v<double, time_limit>);
static_assert(time_limit(2ms).nanoseconds() == 2'000'000 && time_limit().unlimited());

std::int64_t limit_of(time_limit limit) { return limit.nanoseconds(); }

TEST(TimeLimit, IsUnlimitedByDefaultAndFromNothing) {
  EXPECT_TRUE(time_limit().unlimited());
  EXPECT_TRUE(time_limit(std::nullopt).unlimited());
  EXPECT_TRUE(time_limit(std::optional<std::chrono::seconds>()).unlimited());
  EXPECT_EQ(limit_of({}), k_forever);
}

TEST(TimeLimit, TakesAnOptionalDuration) {
  EXPECT_EQ(limit_of(std::optional(3s)), 3'000'000'000);
  EXPECT_EQ(limit_of(std::optional(0.5s)), 500'000'000);
}

TEST(TimeLimit, KeepsZeroAndLess) {
  EXPECT_EQ(limit_of(0s), 0);
  EXPECT_FALSE(time_limit(0s).unlimited());
  EXPECT_EQ(limit_of(-1ms), -1'000'000);
}

TEST(TimeLimit, IsUnlimitedWhereTheDurationDoesNotFit) {
  EXPECT_TRUE(time_limit(std::chrono::hours::max()).unlimited());
  EXPECT_TRUE(time_limit(std::chrono::nanoseconds::max()).unlimited());
  EXPECT_TRUE(time_limit(std::chrono::duration<double>::max()).unlimited());
  EXPECT_TRUE(time_limit(std::chrono::duration<double>(std::numeric_limits<double>::infinity())).unlimited());
  EXPECT_TRUE(time_limit(std::chrono::years(1000)).unlimited());
  EXPECT_FALSE(time_limit(std::chrono::years(200)).unlimited());
}

TEST(TimeLimit, RefusesNanByName) {
  const auto nan = std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN());
  try {
    static_cast<void>(time_limit(nan));
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("NaN"), std::string::npos);
  }
  EXPECT_THROW(static_cast<void>(time_limit(std::optional(nan))), std::invalid_argument);
}

TEST(ToNanoseconds, SaturatesOnEitherSide) {
  EXPECT_EQ(to_nanoseconds(std::chrono::hours::min()), k_past);
  EXPECT_EQ(to_nanoseconds(std::chrono::nanoseconds::min()), k_past);
  EXPECT_EQ(to_nanoseconds(std::chrono::duration<double>(-1e300)), k_past);
  EXPECT_EQ(to_nanoseconds(std::chrono::duration<std::uint64_t>(std::numeric_limits<std::uint64_t>::max())), k_forever);
  EXPECT_EQ(to_nanoseconds(std::chrono::duration<std::uint64_t, std::nano>(std::numeric_limits<std::uint64_t>::max())),
            k_forever);
  EXPECT_EQ(to_nanoseconds(std::chrono::duration<std::int64_t, std::exa>(1)), k_forever);
  EXPECT_EQ(to_nanoseconds(std::chrono::duration<std::int64_t, std::exa>(0)), 0);
}

TEST(ToNanoseconds, IsExactJustInsideTheRange) {
  EXPECT_EQ(to_nanoseconds(std::chrono::nanoseconds(k_forever - 1)), k_forever - 1);
  EXPECT_EQ(to_nanoseconds(std::chrono::seconds(9'223'372'036)), 9'223'372'036'000'000'000);
  EXPECT_EQ(to_nanoseconds(std::chrono::seconds(9'223'372'037)), k_forever);
}

TEST(ToNanoseconds, RoundsWholeCountsUp) {
  using picoseconds = std::chrono::duration<std::int64_t, std::pico>;
  EXPECT_EQ(to_nanoseconds(picoseconds(1)), 1);
  EXPECT_EQ(to_nanoseconds(picoseconds(1000)), 1);
  EXPECT_EQ(to_nanoseconds(picoseconds(1001)), 2);
  EXPECT_EQ(to_nanoseconds(picoseconds(-1999)), -1);
  using thirds = std::chrono::duration<int, std::ratio<1, 3>>;
  EXPECT_EQ(to_nanoseconds(thirds(1)), 333'333'334);
  EXPECT_EQ(to_nanoseconds(thirds(3)), 1'000'000'000);
  using attoseconds = std::chrono::duration<std::int64_t, std::atto>;
  EXPECT_EQ(to_nanoseconds(attoseconds(std::numeric_limits<std::int64_t>::max())), 9'223'372'037);
}

TEST(ToNanoseconds, RoundsFloatingCountsToTheNearest) {
  EXPECT_EQ(to_nanoseconds(0.1s), 100'000'000);
  EXPECT_EQ(to_nanoseconds(0.3s), 300'000'000);
  EXPECT_EQ(to_nanoseconds(1.1ms), 1'100'000);
  EXPECT_EQ(to_nanoseconds(-0.3s), -300'000'000);
  EXPECT_EQ(to_nanoseconds(std::chrono::duration<float>(0.5F)), 500'000'000);
  EXPECT_EQ(to_nanoseconds(std::chrono::duration<long double, std::ratio<60>>(0.5L)), 30'000'000'000);
}

TEST(SaturatingAdd, StopsAtTheEnds) {
  EXPECT_EQ(saturating_add(1, 2), 3);
  EXPECT_EQ(saturating_add(k_forever, 1), k_forever);
  EXPECT_EQ(saturating_add(k_forever - 1, 1), k_forever);
  EXPECT_EQ(saturating_add(k_past, -1), k_past);
  EXPECT_EQ(saturating_add(k_forever, k_past), -1);
}

}  // namespace
}  // namespace sheaf
