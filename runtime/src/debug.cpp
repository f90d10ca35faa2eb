#include "debug.hpp"

#include <string>

#include <fmt/core.h>

namespace sheaf::detail {

namespace {

void report(const runtime_options& options, const std::string& line) noexcept {
  if (options.on_debug_report) {
    options.on_debug_report(line);
  } else {
    as_a_courtesy([&line] { fmt::print(stderr, "sheaf: {}\n", line); });
  }
}

}  // namespace

void report_borrowing(task_core& task, const char* caller) noexcept {
  if (!task.runtime->debug()) return;
  as_a_courtesy([&] {
    report(task.runtime->options(),
           fmt::format(
               "{} starts task {} from a coroutine with reference parameters, which may outlive what they refer to: pass the "
               "function and its arguments, use when_all, or write borrowed(...) if something else keeps them alive",
               caller, label_and_place_of(task)));
  });
}

void report_if_slow(task_core& task, sync::nanoseconds began) noexcept {
  const sync::nanoseconds took = sync::now() - began;
  const time_limit& limit = task.runtime->options().slow_step;
  if (limit.unlimited() || took <= limit.nanoseconds()) return;
  as_a_courtesy([&] {
    report(task.runtime->options(),
           fmt::format("task {} held its thread for {} ms in one step: move the work to spawn_blocking, or "
                       "let others in with this_task::yield()",
                       label_and_place_of(task), took / 1'000'000));
  });
}

}  // namespace sheaf::detail
