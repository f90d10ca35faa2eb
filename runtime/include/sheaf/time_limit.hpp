#pragma once
/// @file
/// time_limit: how long something may take, from any chrono duration, or without limit.

#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <stdexcept>

#include <sheaf/detail/sync.hpp>

namespace sheaf {

namespace detail {

__extension__ typedef __int128 wide_integer;

inline constexpr sync::nanoseconds k_longest_past = std::numeric_limits<sync::nanoseconds>::min();

/// The sum, or the end of the range on its side.
[[nodiscard]] constexpr sync::nanoseconds saturating_add(sync::nanoseconds a, sync::nanoseconds b) noexcept {
  sync::nanoseconds sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b < 0 ? k_longest_past : sync::k_forever;
}

/// Whole counts round up, so that nothing ends early. Floating counts round to the nearest nanosecond: 0.3 s is 300 ms although its
/// binary value lies a little below. What does not fit becomes the end of the range on its side; k_forever means without limit.
///
/// @throws std::invalid_argument for NaN
template <class Rep, class Period>
[[nodiscard]] constexpr sync::nanoseconds to_nanoseconds(std::chrono::duration<Rep, Period> duration) {
  constexpr std::intmax_t common = std::gcd(Period::den, std::intmax_t{1'000'000'000});
  constexpr wide_integer multiplier = wide_integer{Period::num} * (1'000'000'000 / common);
  constexpr std::intmax_t divisor = Period::den / common;
  if constexpr (std::integral<Rep> && sizeof(Rep) <= sizeof(std::int64_t)) {
    const bool past = duration.count() < Rep{};
    wide_integer product = 0;
    if (__builtin_mul_overflow(wide_integer{duration.count()}, multiplier, &product))
      return past ? k_longest_past : sync::k_forever;
    const wide_integer whole = product / divisor + (product % divisor > 0 ? 1 : 0);
    if (whole >= sync::k_forever) return sync::k_forever;
    return whole <= k_longest_past ? k_longest_past : static_cast<sync::nanoseconds>(whole);
  } else {
    const double count = std::chrono::duration<double, Period>(duration).count();
    if (count != count) throw std::invalid_argument("sheaf: a duration is NaN");
    const double exact = count * static_cast<double>(multiplier) / static_cast<double>(divisor);
    const double rounded = exact < 0 ? exact - 0.5 : exact + 0.5;
    if (rounded >= 0x1p63) return sync::k_forever;
    return rounded <= -0x1p63 ? k_longest_past : static_cast<sync::nanoseconds>(rounded);
  }
}

}  // namespace detail

/// A limit on waiting. Made from any chrono duration, `std::nullopt` or an optional duration; zero and less mean "only if it is so at
/// once". What is too long to count, `std::chrono::hours::max()` for instance, is no limit.
///
/// @par Threads       not synchronised
/// @par Lifetime      a value
/// @par Cancellation  none
/// @throws std::invalid_argument when made from NaN
/// @par Cost          eight bytes; no allocation
class time_limit {
 public:
  constexpr time_limit() noexcept = default;
  constexpr time_limit(std::nullopt_t) noexcept {}
  template <class Rep, class Period>
  constexpr time_limit(std::chrono::duration<Rep, Period> limit) : nanoseconds_(detail::to_nanoseconds(limit)) {}
  template <class Rep, class Period>
  constexpr time_limit(const std::optional<std::chrono::duration<Rep, Period>>& limit)
      : nanoseconds_(limit ? detail::to_nanoseconds(*limit) : detail::sync::k_forever) {}

  [[nodiscard]] constexpr bool unlimited() const noexcept { return nanoseconds_ == detail::sync::k_forever; }
  /// May be zero or less; k_forever when unlimited.
  [[nodiscard]] constexpr detail::sync::nanoseconds nanoseconds() const noexcept { return nanoseconds_; }

 private:
  detail::sync::nanoseconds nanoseconds_ = detail::sync::k_forever;
};

}  // namespace sheaf
