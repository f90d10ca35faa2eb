#pragma once
/// @file
/// A contender that returns a wrong result has measured nothing: the program ends there.

#include <cstdio>
#include <cstdlib>

namespace bench {

inline void check(long long got, long long expected, const char* what) {
  if (got == expected) return;
  std::fprintf(stderr, "%s: got %lld, expected %lld\n", what, got, expected);
  std::abort();
}

/// 0 + 1 + ... + (n - 1): what n tasks that each return their index add up to.
constexpr long long sum_below(long long n) { return n * (n - 1) / 2; }

}  // namespace bench
