/// @file
/// Waiting for one task, from a coroutine and from a thread.

#include <sheaf/detail/task_wait.hpp>

#include <sheaf/cancel_token.hpp>
#include <sheaf/detail/cancel_scope.hpp>
#include <sheaf/detail/context.hpp>
#include <sheaf/task.hpp>
#include <sheaf/time_limit.hpp>

#include "runtime_core.hpp"
#include "step.hpp"
#include "this_stack.hpp"
#include "waits_for.hpp"

namespace sheaf::detail {

// ---- from a coroutine --------------------------------------------------------------------------------------------------------

bool task_awaiter::suspend(task_core& self, std::coroutine_handle<> handle, bool owns) {
  if (&self == target_) throw invalid_state("task " + label_of(self) + " waits for itself");
  self_ = node_.self = &self;
  if (target_->state.is_complete()) {
    if (may_skip_suspension(self)) return false;
    yield_in(self, *this, handle);
    return true;
  }
  owns_ = owns;
  begin_wait(self, *this, handle);
  return add_waiter(*target_, node_);
}

void task_awaiter::notify(waiter_node& base, outcome_kind) noexcept { wake(*static_cast<node&>(base).self); }

cancel_answer task_awaiter::on_cancel(task_core& self) noexcept {
  if (owns_) {
    pass_cancel_on(self, *target_);
    return cancel_answer::stay;
  }
  return target_->waiters.remove(node_) ? cancel_answer::give_up : cancel_answer::stay;
}

// ---- from a thread -----------------------------------------------------------------------------------------------------------

namespace {

/// Who signalled the parker; the first two are a manual clock's.
constexpr std::uint32_t k_stuck = clock_waiter::k_stuck, k_look = clock_waiter::k_look, k_completed = 4, k_cancelled = 8,
                        k_expired = 16;
constexpr unsigned k_claims_on_one_stack = 64;
constexpr sync::nanoseconds k_look_again = 50'000'000, k_look_seldom = 1'000'000'000, k_try_again = 1'000'000;

[[nodiscard]] bool leaves_behind(const runtime_core& runtime) noexcept { return runtime.leaving_behind().load(sync::relaxed); }

/// How many items of this stack a clock still counts, though this thread is about to wait.
unsigned untold_items(const thread_context& here, const manual_clock_core* clock) noexcept {
  unsigned items = 0;
  visit_items(here, clock, [&](runtime_core& runtime, inside step) {
    if (runtime.clock() == clock && !(step == inside::call && runtime.calls_are_abandoned())) ++items;
  });
  return items;
}

/// One blocked thread: its registration with the target, with its own task's cancel requests, and with a deadline.
struct thread_wait final : waiter_node {
  thread_wait(runtime_core& runtime, const thread_context& here) noexcept : waiter_node(&completed), clock(runtime.clock()) {
    if (clock == nullptr) return;
    clocked.parker = &parker;
    clocked.items = untold_items(here, clock);
    // Whose end makes this wait one for ever.
    if (here.step != inside::nothing)
      clocked.forgotten = &(leaves_behind(*here.runtime) ? runtime : *here.runtime).leaving_behind();
  }
  static void completed(waiter_node& node, outcome_kind) noexcept {
    auto& self = static_cast<thread_wait&>(node);
    self.end(k_completed);
  }
  void end(std::uint32_t why) noexcept {
    if (clock != nullptr) clock->end_wait(clocked);
    parker.signal(why);
  }

  sync::parker parker;
  manual_clock_core* const clock;  ///< null: real time
  clock_waiter clocked;
};

struct expiry final : timer {
  explicit expiry(thread_wait& owner) noexcept : timer(&expired), wait(&owner) {}
  static void expired(timer& base) noexcept { static_cast<expiry&>(base).wait->end(k_expired); }
  thread_wait* wait;
};

/// Whether steps of the target may be run on this stack.
bool may_run_here(const thread_context& here, const task_core& target, const runtime_core& runtime) noexcept {
  if (here.step != inside::nothing) return (here.step == inside::call) == target.blocking && here.runtime == &runtime;
  return here.owner == nullptr && !target.blocking && runtime.options().callers_help;
}

/// True: the target was not started, and has had its first step on this stack.
bool run_here(thread_context& here, task_core& target, runtime_core& runtime) noexcept {
  // Before the claim: the stale queue entry may be popped, and stop counting, at once. A call counts until call_ended().
  const bool blocking = target.blocking;
  if (!blocking) runtime.item_begun();
  const auto claimed = target.state.claim_unstarted();
  if (claimed != task_state::begin::skip) {
    const item_on_this_stack item(here, &runtime, nullptr);
    ++here.claims;
    run_claimed(target, claimed == task_state::begin::resume_cancelled);
    --here.claims;
    if (blocking) runtime.call_ended();
  }
  if (!blocking) runtime.item_done();
  return claimed != task_state::begin::skip;
}

executor::wait_result park(sync::parker& parker, sync::nanoseconds deadline) noexcept {
  return parker.wait(deadline) ? executor::wait_result::signalled : executor::wait_result::timed_out;
}

executor::wait_result wait_in_executor(runtime_core& of, sync::parker& parker, sync::nanoseconds deadline,
                                       thread_context& here) noexcept {
  executor* const host = of.foreign_executor();
  if (here.step != inside::nothing)
    return host == nullptr || of.executor_is_gone() ? park(parker, deadline) : host->wait(parker, deadline, true);
  outside_waits::wait listed{of, parker};
  if (host == nullptr || !of.begin_outside_wait(listed)) return park(parker, deadline);
  const item_on_this_stack outside(here, nullptr, nullptr, &listed);
  const auto ended = host->wait(parker, deadline, false);
  of.end_outside_wait(listed);
  if ((parker.signals() & outside_waits::k_leave) == 0) return ended;
  parker.reset(outside_waits::k_leave);
  return parker.signalled() ? executor::wait_result::signalled : executor::wait_result::timed_out;
}

executor::wait_result block(runtime_core& runtime, sync::parker& parker, sync::nanoseconds deadline,
                            thread_context& here) noexcept {
  runtime_core* const owner = here.owner;
  if (owner != nullptr && owner->native() != nullptr && here.step == inside::task) {
    switch (owner->native()->block(parker, deadline)) {
      case pool::block_result::signalled:
        return executor::wait_result::signalled;
      case pool::block_result::timed_out:
        return executor::wait_result::timed_out;
      case pool::block_result::would_deadlock:
        return executor::wait_result::would_deadlock;
    }
  }
  if (here.step == inside::call) return park(parker, deadline);
  return wait_in_executor(here.step != inside::nothing ? *here.runtime : runtime, parker, deadline, here);
}

/// As block() for a wait that must not be refused: where nobody else is left to run what it waits for, somebody is found. May return early.
/// `told`: the clock that knows of the wait.
void block_at_any_cost(runtime_core& runtime, sync::parker& parker, thread_context& here, manual_clock_core* told) noexcept {
  const sync::nanoseconds until = saturating_add(sync::now(), k_look_again);
  if (here.step == inside::call) return static_cast<void>(park(parker, until));
  runtime_core* const owner = here.owner;
  if (owner != nullptr && owner->native() != nullptr && here.step == inside::task) {
    if (owner->native()->block(parker, until, crew::beyond_max_spares::yes) == pool::block_result::would_deadlock)
      static_cast<void>(park(parker, saturating_add(sync::now(), k_try_again)));  // no thread is to be had just now
    return;
  }
  runtime_core& of = here.step != inside::nothing ? *here.runtime : runtime;
  if (wait_in_executor(of, parker, until, here) != executor::wait_result::would_deadlock || here.step == inside::nothing) return;
  // Not as a task: an executor of this one thread then runs here what is queued.
  const item_on_this_stack queued(here, nullptr, told);
  static_cast<void>(of.foreign_executor()->wait(parker, until, false));
}

/// Its runtime is gone, and what it waits for was left behind: like a coroutine this thread stays where it is, for ever. It is in no list
/// any more, and touches nothing that the runtime's owner has given.
[[noreturn]] void stay_behind(runtime_core& runtime, thread_context& here) noexcept {
  visit_items(here, nullptr, [](runtime_core& counts, inside step) {
    if (step == inside::task && counts.gone()) counts.item_done();
  });
  visit_outside_waits(here, [](outside_waits::wait& wait) { wait.runtime.end_outside_wait(wait); });
  sync::parker nobody;
  if (runtime_core& of = *here.runtime; of.foreign_executor() != nullptr && here.owner == nullptr) {
    // A host's thread runs what is queued for as long as shutdown waits for that. Beneath it is nothing any more.
    here.step = inside::nothing;
    here.task = nullptr;
    here.in_place = nullptr;
    static_cast<void>(wait_in_executor(of, nobody, sync::k_forever, here));
  }
  pool* const native = here.owner != nullptr && here.owner->gone() ? here.owner->native() : nullptr;
  while (native != nullptr && native->is_member() && !native->leave_behind()) block_at_any_cost(runtime, nobody, here, nullptr);
  for (;;) nobody.wait();
}

/// A thread of a pool looks now and then whether its runtime leaves it behind. A task's wait (`self`) that began before shutdown did was
/// ended by the request; of others nobody tells.
sync::nanoseconds next_look(const thread_context& here, const task_core* self) noexcept {
  if (here.step != inside::task) return sync::k_forever;
  if (here.runtime->native() == nullptr && !here.runtime->executor_is_gone()) return sync::k_forever;
  if (here.runtime->closed()) return saturating_add(sync::now(), k_look_again);
  return self == nullptr ? saturating_add(sync::now(), k_look_seldom) : sync::k_forever;
}

/// Whether a wait of this thread is for ever, because shutdown has left both sides behind.
bool is_left_behind(const thread_context& here, const runtime_core& targets) noexcept {
  return here.step != inside::nothing && leaves_behind(*here.runtime) && leaves_behind(targets);
}

/// The threads of this pool leave, because it was left behind; the task of another runtime does not need them.
bool goes_on_without_us(const thread_context& here, const runtime_core& targets) noexcept {
  return here.owner != nullptr && &targets != here.owner && leaves_behind(*here.owner);
}

[[noreturn]] void throw_would_deadlock(task_core& target) {
  throw would_deadlock("get() would wait for ever for task " + label_of(target) + describe_parked_tasks(target));
}

enum class wait_end { completed, timed_out, asked_to_stop, looks };

/// `self`: whose cancel requests end the wait; null: nobody's. `look`: when to come back in any case, in real time.
wait_end wait_once(thread_context& here, task_core& target, runtime_core& runtime, sync::nanoseconds when, sync::nanoseconds look,
                   task_core* self) {
  thread_wait wait(runtime, here);
  const auto on_cancelled = [&wait]() noexcept { wait.end(k_cancelled); };
  // Its own task's requests end the wait. Made before the registration below, so that whatever throws leaves nothing behind.
  const pending_cancel_registration<decltype(on_cancelled)> own_cancel(self, on_cancelled);
  if (!add_waiter(target, wait)) return wait_end::completed;
  timer_queue& timers = runtime.timers();
  expiry deadline(wait);
  if (when != sync::k_forever) timers.arm(deadline, when);
  if (wait.clock != nullptr) wait.clock->begin_wait(wait.clocked);
  const bool looks_first = wait.clock != nullptr || look < when;
  auto ended = block(runtime, wait.parker, looks_first ? look : when, here);
  if (ended == executor::wait_result::would_deadlock && goes_on_without_us(here, runtime)) {
    block_at_any_cost(runtime, wait.parker, here, wait.clock);
    ended = wait.parker.signalled() ? executor::wait_result::signalled : executor::wait_result::timed_out;
  }

  // Take down what has not fired; wait for what is in the middle of it.
  if (wait.clock != nullptr) {
    wait.clock->end_wait(wait.clocked);
    if (wait.clocked.told != 0) wait.parker.wait_for(wait.clocked.told);
  }
  const bool completed = !target.waiters.remove(wait);
  if (completed) wait.parker.wait_for(k_completed);
  if (when != sync::k_forever && !timers.disarm(deadline)) wait.parker.wait_for(k_expired);
  if (self != nullptr && self->state.cancel_pending()) return wait_end::asked_to_stop;
  if (completed) return wait_end::completed;
  const std::uint32_t why = wait.parker.signals();
  if (ended == executor::wait_result::would_deadlock || (why & k_stuck) != 0) throw_would_deadlock(target);
  if ((why & k_expired) != 0) return wait_end::timed_out;
  if ((why & k_look) != 0) return wait_end::looks;
  if (ended == executor::wait_result::timed_out) return looks_first || sync::now() < when ? wait_end::looks : wait_end::timed_out;
  return wait_end::asked_to_stop;
}

wait_end wait_on_thread(task_core& target, const time_limit& limit) {
  thread_context& here = context();
  task_core* const self = here.task;
  if (self == &target) throw invalid_state("get(): task " + label_of(target) + " waits for itself");
  const runtime_pin runtime(target);
  if (!runtime) return wait_end::completed;
  const bool claims = here.claims < k_claims_on_one_stack && may_run_here(here, target, *runtime);
  if (claims && run_here(here, target, *runtime) && target.state.is_complete()) return wait_end::completed;

  const sync::nanoseconds when =
      limit.unlimited() ? sync::k_forever : saturating_add(runtime->timers().now(), limit.nanoseconds());
  for (;;) {
    const wait_end ended = wait_once(here, target, *runtime, when, next_look(here, self), self);
    if (ended == wait_end::looks) {
      if (is_left_behind(here, *runtime)) throw_would_deadlock(target);
      continue;
    }
    // A request may have been taken back meanwhile.
    if (ended != wait_end::asked_to_stop || (self != nullptr && self->state.cancel_pending())) return ended;
  }
}

[[noreturn]] void throw_own_cancel() {
  task_core& self = *context().task;
  cancel_scope::settle(self);
  throw_cancelled(self);
}

/// True: something had come in for the target, and it has run on this stack. `told`: the clock that knows of a wait in progress.
bool run_what_came_in_here(thread_context& here, task_core& target, runtime_core& runtime, manual_clock_core* told) noexcept {
  runtime.item_begun();
  bool ran = false;
  {
    const item_on_this_stack item(here, &runtime, told);
    ++here.claims;
    ran = run_what_came_in(target);
    --here.claims;
  }
  runtime.item_done();
  return ran;
}

/// Its get() was given up, and what it uses may be the caller's: only its end ends this wait.
void end_owned(task_core& target) noexcept {
  request_cancel(target, "its get() was given up");
  const runtime_pin runtime(target);
  if (!runtime) return;
  thread_context& here = context();
  thread_wait wait(*runtime, here);
  wait.clocked.patient = true;
  if (!add_waiter(target, wait)) return;
  if (wait.clock != nullptr) wait.clock->begin_wait(wait.clocked);
  const bool runs_here = may_run_here(here, target, *runtime);
  while (!wait.parker.signalled()) {
    if (runs_here && run_what_came_in_here(here, target, *runtime, wait.clock)) continue;
    if (runtime->gone() && here.runtime == &*runtime && here.step != inside::nothing && target.waiters.remove(wait))
      stay_behind(*runtime, here);
    block_at_any_cost(*runtime, wait.parker, here, wait.clock);
  }
  wait.parker.wait_for(k_completed);
}

/// The same where it uses nothing of the caller's: a wait that would be refused, or that shutdown has left behind, leaves it to itself.
void end_sharing(task_core& target) noexcept {
  request_cancel(target, "its get() was given up");
  const runtime_pin runtime(target);
  thread_context& here = context();
  while (runtime && !target.state.is_complete() && !is_left_behind(here, *runtime)) {
    try {
      static_cast<void>(wait_once(here, target, *runtime, sync::k_forever, next_look(here, nullptr), nullptr));
    } catch (...) {  // would_deadlock
      if (!may_run_here(here, target, *runtime) || !run_what_came_in_here(here, target, *runtime, nullptr)) return;
    }
  }
}

[[nodiscard]] bool has_value(const task_core& target) noexcept {
  return target.state.is_complete() && target.header().kind == outcome_kind::value;
}

void wait_or_end(task_core& target, void (*end)(task_core&) noexcept) {
  if (target.state.is_complete()) return;
  try {
    if (wait_on_thread(target, {}) == wait_end::completed) return;
  } catch (...) {
    end(target);
    if (has_value(target)) return;
    throw;
  }
  end(target);
  // A value, of which nobody else knows, is not lost: the request is left to the next wait.
  if (!has_value(target)) throw_own_cancel();
}

}  // namespace

void wait_owned(task_core& target) { wait_or_end(target, &end_owned); }
void wait_sharing(task_core& target) { wait_or_end(target, &end_sharing); }

bool wait_blocking(task_core& target, const time_limit& limit) {
  if (target.state.is_complete()) return true;
  const wait_end ended = wait_on_thread(target, limit);
  if (ended == wait_end::asked_to_stop) throw_own_cancel();
  return ended == wait_end::completed;
}

}  // namespace sheaf::detail
