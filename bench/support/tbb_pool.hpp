#pragma once
/// @file
/// A oneTBB arena with a given number of threads.
///
/// oneTBB counts the calling thread among its workers: inside run() it executes tasks whenever it waits. So an arena for
/// `workers` starts `workers - 1` threads and competes with a Sheaf runtime of `workers` workers whose caller sleeps. Where the
/// question is about an outside thread (`outside` = 1), that thread comes on top, on both sides.

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <cstddef>

namespace bench {

class tbb_pool {
 public:
  explicit tbb_pool(int workers, int outside = 0) : arena_(workers + outside, 1) {
    // Enough threads for the largest sweep, also on a small machine; oneTBB has one limit for the whole program.
    static const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, k_most_threads);
  }

  template <class F>
  auto run(F&& body) {
    return arena_.execute(body);
  }

  tbb::task_arena& arena() { return arena_; }

 private:
  static constexpr std::size_t k_most_threads = 16;
  tbb::task_arena arena_;
};

}  // namespace bench
