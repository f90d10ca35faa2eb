#pragma once
/// @file
/// What the tests of condition share.

#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <vector>

#include <sheaf/condition.hpp>
#include <sheaf/errors.hpp>
#include <sheaf/mutex.hpp>
#include <sheaf/runtime.hpp>

#include "support/notes.hpp"
#include "support/until.hpp"

namespace sheaf::test {

/// A mutex, its condition, and what the tasks did with them.
struct room {
  mutex door;
  condition changed{door};
  notes order;
};

/// Waits once. Notes its mark, or in capitals that it was cancelled; either way it must hold the mutex.
inline coro<> wait_once(room& in, char mark) {
  guard held = co_await in.door.scoped_lock();
  bool asked = false;
  try {
    co_await in.changed.wait(held);
  } catch (const cancelled&) {
    asked = true;
  }
  EXPECT_TRUE(held);
  EXPECT_TRUE(in.door.is_locked());
  in.order += asked ? static_cast<char>(mark - 'a' + 'A') : mark;
  if (asked) throw cancelled("noted");
}

/// Waiters a, b, c, ..., each parked before the next one comes.
inline coro<> add_waiters(room& in, std::vector<task<>>& waiters, int count) {
  for (int i = 0; i < count; ++i) {
    waiters.push_back(spawn(wait_once, std::ref(in), static_cast<char>('a' + i)));
    co_await until_parked(waiters.back());
  }
}

inline coro<> notify(room& in, std::size_t count) {
  const guard held = co_await in.door.scoped_lock();
  in.changed.notify(count);
}
/// From a plain thread.
inline void notify_here(room& in) {
  spin_until([&] { return in.door.try_lock(); });
  in.changed.notify();
  in.door.unlock();
}
inline coro<> notify_all(room& in) {
  const guard held = co_await in.door.scoped_lock();
  in.changed.notify_all();
}

}  // namespace sheaf::test
