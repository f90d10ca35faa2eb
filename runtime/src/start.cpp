/// @file
/// From a made task to a posted one: numbered, given a place among the live tasks, queued.

#include <sheaf/detail/start.hpp>

#include <sheaf/errors.hpp>

#include "cancel.hpp"
#include "debug.hpp"
#include "extras.hpp"
#include "local_values.hpp"
#include "runtime_core.hpp"
#include "step.hpp"
#include "this_stack.hpp"
#include "this_thread.hpp"

namespace sheaf::detail {

runtime_core& current_runtime(const char* caller) {
  runtime_core* const current = this_thread.runtime;
  if (current == nullptr) throw no_runtime(caller);
  return *current;
}

void discard_unstarted(task_core& task) noexcept {
  live_tasks::drop_reservation(task);
  task.ops->destroy_work(task);
  task.ops->destroy_block(task);
}

void post_to(runtime_core& runtime, work_item& item) noexcept { runtime.post(item); }
void posted_done(runtime_core& runtime) noexcept { runtime.item_done(); }

namespace {

/// Milliseconds since the runtime began. On its workers at most as old as the step and some spawns.
[[gnu::always_inline]] inline std::uint32_t time_of_birth(runtime_core& runtime, thread_context& here) noexcept {
  constexpr std::uint32_t k_spawns_at_one_time = 16;
  if (runtime.seat_of(here) == nullptr || runtime.clock() != nullptr) return runtime.milliseconds();
  if (here.time_uses == 0) {
    here.time = runtime.milliseconds();
    here.time_uses = k_spawns_at_one_time;
  }
  --here.time_uses;
  return here.time;
}

[[gnu::always_inline]] inline live_tasks::linked link(task_core& task, runtime_core& runtime, bool structured,
                                                      thread_context& here) {
  try {
    return runtime.live().link(task, structured, here, runtime.seat_of(here));
  } catch (...) {
    discard_unstarted(task);
    throw;
  }
}

[[gnu::cold, noreturn]] void refuse(task_core& task, const char* caller) {
  discard_unstarted(task);
  throw runtime_closed(caller);
}

[[gnu::noinline]] void describe_or_discard(task_core& task, const start_options& options) {
  try {
    describe(task, options);
  } catch (...) {
    discard_unstarted(task);
    throw;
  }
}

/// From now on the token given as spawn_options::stop has its effect.
[[gnu::always_inline]] inline void arm_stop(task_core& task) noexcept {
  task_extras* const extras = find_extras(task);
  if (extras != nullptr && extras->stop) [[unlikely]]
    extras->stop->arm();
}

[[gnu::always_inline]] inline void inherit_or_discard(task_core& task, thread_context& here) {
  try {
    inherit_locals(here, task);
  } catch (...) {
    discard_unstarted(task);
    throw;
  }
}

/// After this the task is seen by shutdown and tasks().
[[gnu::always_inline]] inline void admit(task_core& task, runtime_core& runtime, const start_options& options, const char* caller,
                                         thread_context& here) {
  if (task.runtime == nullptr) task.runtime = &runtime;  // a group's child is known, and its runtime read, before it starts
  task.born = time_of_birth(runtime, here);
  if (!options.name.empty() || options.stop || options.where.line() != 0) describe_or_discard(task, options);
  inherit_or_discard(task, here);
  if (task.number.load(sync::relaxed) == 0) task.number.store(here.next_id(), sync::relaxed);
  if (task.header().borrows) [[unlikely]]
    report_borrowing(task, caller);
  switch (link(task, runtime, options.structured, here)) {
    case live_tasks::linked::yes:
      break;
    case live_tasks::linked::refused:
      refuse(task, caller);
    case live_tasks::linked::yes_and_closed:
      request_cancel(task, k_shutdown);
  }
}

}  // namespace

void describe(task_core& task, const start_options& options) {
  if (!options.name.empty()) set_name_of(task, options.name);
  if (options.where.line() != 0) extras_of(task).where = options.where;
  if (options.stop) extras_of(task).stop.emplace(task, options.stop);
}

void reserve_start(task_core& task, runtime_core& runtime) {
  inherit_locals(this_thread, task);
  runtime.live().reserve(task, this_thread, runtime.seat_of(this_thread));
}

void start_posted(task_core& task, runtime_core& runtime, const char* caller) {
  thread_context& here = this_thread;
  worker* const seat = runtime.seat_of(here);
  if (seat == nullptr) [[unlikely]]
    return start_task(task, runtime, {}, caller);
  admit(task, runtime, {}, caller, here);
  runtime.post_from(*seat, task);
}

start_batch::start_batch(std::span<task_core* const> tasks, runtime_core& runtime, const char* caller)
    : runtime_(runtime), caller_(caller), visiting_(this_thread.owner != &runtime) {
  if (visiting_) runtime.enter_visit();
  try {
    if (runtime.closed()) throw runtime_closed(caller);
    thread_context& here = this_thread;
    worker* const seat = runtime.seat_of(here);
    task_core* const parent = parent_with_locals(here);
    for (task_core* const task : tasks) {
      if (task->is_started()) continue;
      if (parent != nullptr) [[unlikely]]
        inherit_locals_from(*parent, *task);
      runtime.live().reserve(*task, here, seat);
    }
  } catch (...) {
    if (visiting_) runtime.leave_visit();
    throw;
  }
}

start_batch::~start_batch() {
  if (visiting_) runtime_.leave_visit();
}

void start_batch::reserve(task_core& task) { reserve_start(task, runtime_); }

void start_batch::start(std::span<task_core* const> tasks) noexcept {
  thread_context& here = this_thread;
  worker* const seat = runtime_.seat_of(here);
  work_item* first = nullptr;
  work_item* last = nullptr;
  std::size_t count = 0;
  for (task_core* const task : tasks) {
    if (task->is_started()) continue;
    task->runtime = &runtime_;
    task->born = time_of_birth(runtime_, here);
    task->number.store(here.next_id(), sync::relaxed);
    if (task->header().borrows) [[unlikely]]
      report_borrowing(*task, caller_);
    const bool posted = (task->state.snapshot() & task_state::queued) != 0;  // read while nobody else knows the task
    if (runtime_.live().link_reserved(*task, here, seat) == live_tasks::linked::yes_and_closed) request_cancel(*task, k_shutdown);
    if (!posted) continue;
    (last != nullptr ? last->next : first) = task;
    last = task;
    ++count;
  }
  runtime_.post_chain(first, count);
}

void start_task(task_core& task, runtime_core& runtime, const start_options& options, const char* caller) {
  thread_context& here = this_thread;
  // A foreign thread may be overtaken by the task's end and by shutdown while it is still in here.
  const runtime_visit visit(runtime);
  const bool held = (task.state.snapshot() & task_state::running) != 0;  // read while nobody else knows the task
  admit(task, runtime, options, caller, here);
  if (options.passive) return;
  arm_stop(task);
  if (options.eager) {
    runtime.item_begun();
    {
      const item_on_this_stack item(here, &runtime, nullptr);
      run_eagerly(task, held);
    }
    runtime.item_done();
  } else {
    if (held) static_cast<void>(task.state.publish_unstarted(false));
    runtime.post(task);
  }
}

void start_blocking(task_core& task, runtime_core& runtime, const start_options& options, const char* caller) {
  const runtime_visit visit(runtime);
  admit(task, runtime, options, caller, this_thread);
  runtime.begin_call();
  static_cast<void>(task.state.publish_unstarted(false));
  arm_stop(task);
  try {
    runtime.post_blocking(task);
  } catch (...) {
    end_unposted(task);
    throw;
  }
  // Who asked before the publication left it to this thread.
  if (task.state.cancel_pending()) [[unlikely]]
    retire_queued_call(task, runtime);
}

}  // namespace sheaf::detail
