#pragma once
/// @file
/// What the interpreter asks of some tasks.

#include <algorithm>
#include <cstdint>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "rules.hpp"
#include "simulation.hpp"

namespace sheaf::model {

inline std::string describe(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const was_cancelled&) {
    return "cancelled";
  } catch (const other_was_cancelled&) {
    return "task cancelled";
  } catch (const failure& caught) {
    return caught.what();
  }
}

using tasks = std::vector<sim_task*>;

inline bool all_done(const tasks& some) {
  return std::ranges::all_of(some, [](const sim_task* each) { return each->done(); });
}
/// The first of those that `fits`, in the order in which they have ended; null if there is none.
template <class Fits>
sim_task* first_ended(const tasks& some, Fits fits) {
  sim_task* first = nullptr;
  for (sim_task* const each : some) {
    if (each->done() && fits(*each) && (first == nullptr || each->ended_as < first->ended_as)) first = each;
  }
  return first;
}
inline bool has_no_value(const sim_task& task) { return task.now != sim_task::state::value; }
inline bool has_failed(const sim_task& task) { return task.now == sim_task::state::error; }
inline bool is_any(const sim_task&) { return true; }

inline std::int64_t result_of(const sim_task& ended) {
  if (ended.now == sim_task::state::cancelled) throw other_was_cancelled();
  if (ended.error) std::rethrow_exception(ended.error);
  return ended.value;
}
inline std::int64_t sum_of(const tasks& some) {
  std::int64_t total = 0;
  for (const sim_task* const each : some) total += result_of(*each);
  return total;
}

[[noreturn]] inline void throw_together(std::vector<std::string> errors) {
  std::ranges::sort(errors);
  std::string all = "group(";
  for (const std::string& each : errors) all += each + ";";
  throw failure(all + ")");
}

/// What a group shares with what it has posted.
struct group_children {
  tasks all;
  std::vector<int> asked;  ///< in which round each was asked last
  int round = 0;
  bool aborting = false;

  /// Those that have not been asked in this round.
  void ask(simulation& world) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (std::exchange(asked[i], round) != round) world.request(*all[i]);
    }
  }
};

}  // namespace sheaf::model
