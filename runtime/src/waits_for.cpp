#include "waits_for.hpp"

#include <algorithm>
#include <iterator>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>

#include <sheaf/errors.hpp>

#include "runtime_core.hpp"
#include "step.hpp"

namespace sheaf::detail {

namespace {

struct task_line {
  const task_core* task;
  std::uint64_t id;
  std::uint32_t born;
  std::string name;
  std::string place;
  std::string doing;
  bool parked;
  std::vector<const task_core*> targets;  ///< of its wait
};

/// What the task does at this moment. The awaiter may only be read under running, so a parked task is held for the look.
task_line look_at(task_core& task) {
  task_line line{&task, id_of(task), task.born, name_of(task), place_of(task), {}, false, {}};
  switch (task.state.hold_parked()) {
    case task_state::hold::running:
      line.doing = task.blocking ? "runs on a blocking thread" : "running";
      break;
    case task_state::hold::queued:
      line.doing = task.blocking ? "queued for a blocking thread" : "ready to run";
      break;
    case task_state::hold::complete:
      line.doing = "completing";
      break;
    case task_state::hold::held: {
      const struct held {
        task_core& task;
        ~held() { release_held(task); }
      } until_read{task};
      const wait_reason reason = task.awaiting->reason();
      line.parked = true;
      line.doing = fmt::format("waits for {}", reason.what);
      if (reason.target != nullptr) {
        line.doing += " " + label_of(const_cast<task_core&>(*reason.target));
        line.targets.push_back(reason.target);
      }
      task.awaiting->add_targets(line.targets);
      break;
    }
  }
  return line;
}

std::vector<task_line> look_at_all(const live_tasks& live) {
  std::vector<task_line> lines;
  const std::vector<task_core*> tasks = live.snapshot();
  for (task_core* const task : tasks) {
    try {
      lines.push_back(look_at(*task));
    } catch (...) {  // no memory for this line
    }
  }
  for (task_core* const task : tasks) drop_reference(*task);  // only now: until here an address meant one task
  std::ranges::sort(lines, {}, &task_line::id);
  return lines;
}

/// The names of those that wait for a task, in the order of their ids.
using waiters = std::unordered_map<const task_core*, std::string>;
waiters who_waits(const std::vector<task_line>& lines) {
  waiters found;
  for (const task_line& line : lines) {
    for (const task_core* const target : line.targets) {
      std::string& names = found[target];
      names += fmt::format("{}'{}'", names.empty() ? "" : ", ", line.name);
    }
  }
  return found;
}

}  // namespace

std::string dump_tasks(const live_tasks& live, std::uint32_t now) {
  fmt::memory_buffer text;
  const std::vector<task_line> lines = look_at_all(live);
  const waiters waiting = who_waits(lines);
  for (const task_line& line : lines) {
    fmt::format_to(std::back_inserter(text), "{} (id {}{}{}): {}, {:.3f} s old", line.name, line.id,
                   line.place.empty() ? "" : ", ", line.place, line.doing, (now - line.born) / 1000.0);
    if (const auto found = waiting.find(line.task); found != waiting.end())
      fmt::format_to(std::back_inserter(text), ", awaited by {}", found->second);
    text.push_back('\n');
  }
  return fmt::to_string(text);
}

std::string describe_parked_tasks(task_core& of) {
  const runtime_pin runtime(of);
  if (!runtime) return {};
  std::string text;
  for (const task_line& line : look_at_all(runtime->live())) {
    if (line.parked) text += fmt::format("{} '{}' {}", text.empty() ? "; parked:" : ",", line.name, line.doing);
  }
  return text;
}

std::string text_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& caught) {
    return caught.what();
  } catch (const cancelled&) {
    return "cancelled";
  } catch (...) {
    return "an exception of unknown type";
  }
}

}  // namespace sheaf::detail
