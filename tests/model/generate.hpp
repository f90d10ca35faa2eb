#pragma once
/// @file
/// Random programs, and smaller ones.

#include <cstdint>
#include <vector>

#include "program.hpp"

namespace sheaf::model {

inline constexpr int k_slots = 3;

/// The same program for the same seed. No outcome depends on the order of two things that happen at one instant: durations are random
/// nanoseconds, so nothing but cause and effect coincides; who touches a slot has slept before, and sleeps after a cancel;
/// slots are awaited only outside combinators, whose children sleep first, so that all have begun before one ends or is asked to stop.
[[nodiscard]] node generate(std::uint64_t seed);

/// The same for a small program in which much happens at one instant: durations are a few nanoseconds or none, and nobody sleeps before
/// touching a slot.
[[nodiscard]] node generate_ties(std::uint64_t seed);

/// Programs with a little less in them, all of the same kind: what to try when one has failed.
[[nodiscard]] std::vector<node> smaller(const node& program);

}  // namespace sheaf::model
