#pragma once
/// @file
/// A grant and the cancel request that meets it, again and again.

#include <atomic>
#include <thread>

#include "support/until.hpp"

namespace sheaf::test {

/// `grant` on a new thread meets `cancel`: in one round at the same moment, from this thread; in the next one right behind it, when
/// whoever got the grant has hardly resumed; in the third one when `resumed()` holds.
template <class Cancel, class Grant, class Resumed>
void race(int round, Cancel cancel, Grant grant, Resumed resumed) {
  std::atomic<bool> there{false}, start{false};
  std::thread other([&] {
    there.store(true);
    spin_until([&] { return start.load(); });
    grant();
    if (round % 3 == 1) cancel();
  });
  spin_until([&] { return there.load(); });
  start.store(true);
  if (round % 3 == 2) spin_until(resumed);
  if (round % 3 != 1) cancel();
  other.join();
}

}  // namespace sheaf::test
