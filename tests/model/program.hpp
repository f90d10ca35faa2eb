#pragma once
/// @file
/// Programs of the model: small trees of what tasks do.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sheaf::model {

enum class kind {
  sequence,         ///< sleeps for `time` if it is not 0, then the children one after the other; the sum of their values
  sleep,            ///< for `time`
  fail,             ///< throws the error `id`
  attempt,          ///< the child; whatever error comes out of it ends here
  swallow,          ///< the child; a cancel request to this task ends here
  spawn,            ///< sleeps for `time` unless that is negative, then starts the child as the task in `slot`
  spawn_gather,     ///< sleeps likewise, then starts the children, gathered by the task in `slot`
  cancel,           ///< sleeps likewise, then asks the task in `slot` to stop, then sleeps for `after` if it is not 0
  join,             ///< sleeps likewise, then awaits the task in `slot`
  gather,           ///< the children
  gather_outcomes,  ///< with return_exceptions
  when_all,
  race,
  wait_first,  ///< wait, first_completed, with `time` as timeout if it is not 0; negative: a snapshot
  wait_exception,
  wait_all,
  as_completed,
  group,  ///< children[0] is the body, the others are spawned by it
  timeout,
  wait_for,
  shield,
};

struct node {
  kind what = kind::sequence;
  int id = 0;  ///< unique in its program
  std::int64_t time = 0;
  std::int64_t after = 0;
  int slot = 0;
  std::vector<node> children{};
};

/// What came of a node, and when: "3" a value, "error 5", "cancelled", "task cancelled", "timeout", "group(...)".
struct event {
  std::string text;
  std::int64_t time = 0;
  bool operator==(const event&) const = default;
};
/// By id of the node; nodes that were not reached, or had not ended at the end, are missing.
using trace = std::map<int, event>;

/// The same in the order in which it came.
struct entry {
  int id = 0;
  event ended;
  std::int64_t begun = 0;
  bool operator==(const entry&) const = default;
};
using history = std::vector<entry>;
/// Without what depends on the order at one instant: a task that is asked to stop when it is started may never run, or be told at its
/// first suspension.
[[nodiscard]] trace trace_of(const history& entries);

[[nodiscard]] std::string to_string(const node& program);
[[nodiscard]] std::string to_string(const history& entries);
[[nodiscard]] std::string differences(const trace& expected, const trace& found);

}  // namespace sheaf::model
