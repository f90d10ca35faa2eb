#include <sheaf/errors.hpp>

#include <cstdio>
#include <cstdlib>

#include <sheaf/detail/assert.hpp>

namespace sheaf {

cancelled::~cancelled() = default;

namespace {
std::string cancelled_text(const std::string& task, const std::string& reason) {
  std::string text = "task " + task + " was cancelled";
  if (!reason.empty()) text += ": " + reason;
  return text;
}
}  // namespace

task_cancelled::task_cancelled(const std::string& task, std::string reason)
    : cancelled(reason), std::runtime_error(cancelled_text(task, reason)) {}
task_cancelled::~task_cancelled() = default;
timeout_error::~timeout_error() = default;
invalid_state::~invalid_state() = default;
no_runtime::no_runtime(const std::string& caller)
    : std::logic_error(caller +
                       ": no runtime is current on this thread; call it inside run(), in a task, or under runtime::enter()") {}
no_runtime::~no_runtime() = default;
runtime_closed::runtime_closed(const std::string& caller) : std::runtime_error(caller + ": the runtime is shut down") {}
runtime_closed::~runtime_closed() = default;
would_deadlock::~would_deadlock() = default;
broken_promise::~broken_promise() = default;
broken_barrier::~broken_barrier() = default;
queue_closed::queue_closed(const std::string& caller) : std::runtime_error(caller + ": the queue is shut down") {}
queue_closed::~queue_closed() = default;
interrupted::~interrupted() = default;

namespace detail {

void assertion_failed(const char* expression, const char* file, int line) noexcept {
  std::fprintf(stderr, "sheaf: internal invariant broken at %s:%d: %s\n", file, line, expression);
  std::abort();
}

}  // namespace detail
}  // namespace sheaf
