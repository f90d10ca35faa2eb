#pragma once
/// @file
/// Runs a scenario under many schedules. A scenario is a function that makes its objects, starts threads (sync::thread), joins them and
/// checks what must hold; it runs once per schedule, from scratch, and must do the same under the same schedule.
///
/// One thread moves at a time. Before each operation of the machine (hooks.hpp) the schedule chooses who moves next, so a schedule is a
/// list of choices, and printing it is enough to run it again. A scenario fails when check() does, when nobody can move, when it takes
/// more than `steps` operations, or by a signal or a sanitizer's report.
///
/// Exhaustive mode tries every schedule with at most `preemptions` switches away from a thread that could go on. A state that was
/// reached before, with as many preemptions left, is not gone on from again: equal are states whose threads have each made the same
/// operations and seen the same ones before them (that order decides every value, as nothing else is shared).
/// Random mode gives threads random priorities and lowers the running one's at a few random steps (PCT).
///
/// With `late_stores` a store that is not seq_cst may stay in its thread's buffer: another thread that comes to the same place finds it
/// or not. Stores leave in order; relaxed ones to different places may overtake each other. Updates, seq_cst stores, locks, futexes and
/// the end of the thread empty the buffer; an update that is not seq_cst may then stay in it itself, until somebody else writes to its
/// place. A store kept back costs a preemption.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace explorer {

/// An atomic operation of the explored sources: where it is written, what it is ("failure": what a compare-exchange reads that changes
/// nothing), in which order, and how often it was made.
struct operation_site {
  std::string file;
  unsigned line = 0, column = 0;
  std::string kind;
  std::memory_order order = std::memory_order_seq_cst;
  std::uint64_t times = 0;
};

struct options {
  unsigned preemptions = 2;
  bool late_stores = false;
  bool early_time = false;        ///< time may pass although somebody could move, as if all were slow; costs a preemption
  std::uint64_t runs = 200'000;   ///< at most, and
  double seconds = 20;            ///< for at most this long
  std::uint64_t steps = 20'000;   ///< of one run; more is a failure
  std::uint64_t random_runs = 0;  ///< after the exhaustive ones
  std::uint64_t seed = 1;
  std::vector<unsigned> replay = {};  ///< not empty: this schedule alone, and its trace is printed
};

struct report {
  std::uint64_t runs = 0;
  std::uint64_t steps = 0;
  std::uint64_t pruned = 0;  ///< runs that met a state known before
  std::size_t longest = 0;   ///< choices in a run
  bool complete = false;     ///< the exhaustive mode has tried everything
  double seconds = 0;
};

/// Ends the process on a failure, after printing what failed and the schedule. `name`: for that.
report explore(std::string_view name, const std::function<void()>& scenario, const options& how);

/// In a scenario: fails it unless `holds`.
void check(bool holds, std::string_view what);

/// From now on the operation at this site is made in this order. @throws std::invalid_argument when it names no kind of operation
void weaken(const operation_site& site);
/// From now on operations are counted; sites() tells them.
void count_sites();
[[nodiscard]] std::vector<operation_site> sites();
/// Built with ThreadSanitizer: it sees the orders of the explored sources and nothing of the explorer, so a schedule fails by a data race
/// too, and stores are never late.
[[nodiscard]] bool looks_for_races() noexcept;

/// Called on each explored thread before its entry: puts thread-locals of the explored code back to their beginning.
void set_thread_reset(void (*reset)()) noexcept;

}  // namespace explorer
