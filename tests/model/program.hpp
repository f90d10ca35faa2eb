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
  spawn,            ///< sleeps for `time`, then starts the child as the task in `slot`
  cancel,           ///< sleeps for `time`, then asks the task in `slot` to stop, then sleeps for another while
  join,             ///< sleeps for `time`, then awaits the task in `slot`
  gather,           ///< the children
  gather_outcomes,  ///< with return_exceptions
  when_all,
  race,
  wait_first,  ///< wait, first_completed, with `time` as timeout if it is not 0
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
  int slot = 0;
  std::vector<node> children{};
};

/// How long a cancel node sleeps at its end.
[[nodiscard]] inline std::int64_t pause_after(const node& cancel) { return cancel.time / 3 + 1; }

/// What came of a node, and when: "3" a value, "error 5", "cancelled", "task cancelled", "timeout", "group(...)".
struct event {
  std::string text;
  std::int64_t time = 0;
  bool operator==(const event&) const = default;
};
/// A task that is asked to stop at the instant at which it is started may never run, or be told at its first suspension.
[[nodiscard]] inline bool nothing_happened(const event& ended, std::int64_t begun) {
  return ended.text == "cancelled" && ended.time == begun;
}
/// By id of the node; nodes that were not reached, or had not ended at the end, are missing.
using trace = std::map<int, event>;

[[nodiscard]] std::string to_string(const node& program);
[[nodiscard]] std::string differences(const trace& expected, const trace& found);

}  // namespace sheaf::model
