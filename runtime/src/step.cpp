/// @file
/// One call of run_task() is one pop from a queue. It resumes the task, acts on how the step ended, and goes on with what that made
/// runnable here: the first child of a fork, the sibling at the top of this worker's forks, the parent that has been joined. All
/// changes of task go through this loop, so stacks stay flat whatever the compiler makes of symmetric transfer.

#include "step.hpp"

#include <utility>

#include <sheaf/detail/assert.hpp>
#include <sheaf/detail/callable_task.hpp>
#include <sheaf/detail/cancel_scope.hpp>
#include <sheaf/detail/fork_join.hpp>
#include <sheaf/detail/start.hpp>

#include "cancel.hpp"
#include "debug.hpp"
#include "extras.hpp"
#include "local_values.hpp"
#include "runtime_core.hpp"
#include "this_thread.hpp"

namespace sheaf::detail {

namespace {

/// After this many changes of task the loop goes back to the worker's queues, so that a long fork-join computation does not keep
/// other runnable tasks waiting.
constexpr unsigned k_hops_per_item = 64;
constexpr unsigned k_joins_per_item = 1024;
/// Tasks that were woken by the end of the one before, likewise.
constexpr unsigned k_catches_per_item = 3;

enum class place { top, claimed };  ///< claimed: on the stack of a blocked get(); runs nothing but the claimed task

class stepper {
 public:
  stepper(runtime_core& runtime, place where) noexcept
      : context_(this_thread),
        runtime_(runtime),
        where_(where),
        outer_step_(context_.step),
        outer_task_(context_.task),
        outer_runtime_(context_.runtime) {
    context_.runtime = &runtime;
  }
  ~stepper() {
    context_.step = outer_step_;
    context_.task = outer_task_;
    context_.runtime = outer_runtime_;
  }
  stepper(const stepper&) = delete;
  stepper& operator=(const stepper&) = delete;

  /// `task`: this thread holds its running.
  void run(task_core* task, bool cancelled) noexcept {
    if (runtime_.debug()) [[unlikely]] {
      run_steps<steps::timed>(task, cancelled);
    } else {
      run_steps<steps::untimed>(task, cancelled);
    }
  }

  /// A parked task has a request its awaiter has not been asked about; this thread holds its running.
  void answer_poke(task_core& task) noexcept {
    bool cancelled = false;
    task_core* next = nullptr;
    if (ask_awaiter(task) == cancel_answer::give_up) {
      task.state.deliver();
      cancelled = true;
      next = &task;
    } else {
      next = suspend(task, cancelled);
    }
    run(next, cancelled);
  }

  task_core* begin_forked(task_core& child, bool& cancelled) noexcept {
    child.set_run(&run_task);
    // order: acquire pairs with request_cancel(): what the canceller did is seen by the unrun work's destruction.
    cancelled = child.state.take_request_before_start();
    return &child;
  }

 private:
  enum class steps { untimed, timed };

  template <steps Kind>
  void run_steps(task_core* task, bool cancelled) noexcept {
    while (task != nullptr) {
      if (cancelled) {
        if (!task->started) {
          task = end_unstarted(*task, cancelled);
          continue;
        }
        show_cancel(*task);
      }
      task = step<Kind>(*task, cancelled);
    }
    if (untold_ != 0) tell_arrivals();
  }

  static void show_cancel(task_core& task) noexcept {
    if (task.scopes != nullptr) cancel_scope::settle(task);
    if (task.awaiting != nullptr) task.awaiting->set_cancelled();
  }

  void enter(task_core& task) noexcept {
    context_.task = &task;
    context_.step = task.blocking ? inside::call : inside::task;
  }

  /// Resumes once and acts on how that ended. Returns the task to go on with, null for none.
  template <steps Kind>
  task_core* step(task_core& task, bool& cancelled) noexcept {
    enter(task);
    [[maybe_unused]] const sync::nanoseconds began = Kind == steps::timed ? sync::now() : 0;
    context_.time_uses = 0;
    task.started = true;
    task.ready_awaits = 0;
    task.after = step_end::suspended;
    if (task.awaiting != nullptr && task.awaiting->resume_point()) {
      task.awaiting->resume_point().resume();
    } else {
      task.ops->run(task);
    }
    while (task.after == step_end::transfer) {
      task.after = step_end::suspended;
      context_.transfer_to.resume();
    }
    if constexpr (Kind == steps::timed) {
      if (!task.blocking) report_if_slow(task, began);
    }
    cancelled = false;
    switch (task.after) {
      case step_end::finished:
        task.ops->destroy_work(task);
        end_extras(task);
        return task.forked ? arrive(task, cancelled) : publish(task, cancelled);
      case step_end::forked:
        return fork(task, cancelled);
      case step_end::yielded:
        if (task.state.end_step_runnable()) runtime_.post_last(task);
        return nullptr;
      default:
        return suspend(task, cancelled);
    }
  }

  /// Passing a request on may run cancel callbacks of children, user code: not as this task, whose children may be reading its locals.
  [[nodiscard]] cancel_answer ask_awaiter(task_core& task) noexcept {
    task_core* const before = std::exchange(context_.task, nullptr);
    const cancel_answer answer = task.awaiting->on_cancel(task);
    context_.task = before;
    return answer;
  }

  /// The step ended in task.awaiting. Returns the task if it is to be resumed at once.
  task_core* suspend(task_core& task, bool& cancelled) noexcept {
    for (;;) {
      switch (task.state.end_step()) {
        case task_state::end::idle:
          return nullptr;
        case task_state::end::resume:
          return &task;
        case task_state::end::resume_cancelled:
          cancelled = true;
          return &task;
        case task_state::end::ask_awaiter:
          if (ask_awaiter(task) == cancel_answer::stay) break;
          task.state.deliver();
          cancelled = true;
          return &task;
      }
    }
  }

  task_core* fork(task_core& parent, bool& cancelled) noexcept {
    auto& join = static_cast<fork_join&>(*parent.awaiting);
    const auto children = join.children;
    task_core* const first = children.front();
    const bool in_place = where_ == place::top;
    // Last first: this worker then takes them in input order, and thieves the last.
    for (std::size_t i = children.size(); i-- > (in_place ? 1U : 0U);) post_fork(*children[i]);
    if (!in_place) return suspend(parent, cancelled);
    task_core* const again = suspend(parent, cancelled);
    SHEAF_ASSERT(again == nullptr);  // F1: `first` has not arrived
    static_cast<void>(again);
    ++hops_;
    return begin_forked(*first, cancelled);
  }

  void post_fork(task_core& child) noexcept {
    worker* const seat = runtime_.seat_of(context_);
    if (seat == nullptr) {
      runtime_.post(child);
      return;
    }
    runtime_.item_begun();
    runtime_.native()->push_fork(*seat, child);
  }

  /// A child's work is destroyed and its outcome written. Returns what this worker goes on with.
  task_core* arrive(task_core& child, bool& cancelled) noexcept {
    fork_join& join = *child.join;
    if (child.header().kind != outcome_kind::value) {
      context_.task = nullptr;  // cancel callbacks of the siblings may run here: not as a task that has ended
      task_core* none = nullptr;
      // order: release publishes the child's outcome to whoever reads the failure; peer: acquire in throw_unless_joined().
      if (join.first_failure.compare_exchange_strong(none, &child, sync::acq_rel, sync::relaxed)) join.cancel_siblings(child);
    }
    if (!child.state.finish_forked()) finish_child(child);
    if (untold_ != 0 && untold_at_ != &join) tell_arrivals();
    untold_at_ = &join;
    ++untold_;
    if (join.remaining.load(sync::relaxed) == untold_ && count_off()) {
      task_core& parent = *join.parent;
      // Going on here, on the same worker, is what keeps memory flat; only a computation that never takes a fork from the queue must
      // be told to let others in.
      if (where_ == place::claimed || ++hops_ >= k_joins_per_item) {
        context_.task = nullptr;  // as in tell_arrivals()
        wake(parent);
        return nullptr;
      }
      switch (parent.state.wake_inline()) {
        case task_state::take::taken:
          return &parent;
        case task_state::take::taken_cancelled:
          cancelled = true;
          return &parent;
        case task_state::take::left:
          break;
      }
    }
    return next_fork(cancelled);
  }

  task_core* next_fork(bool& cancelled) noexcept {
    if (where_ == place::claimed || ++hops_ >= k_hops_per_item) return nullptr;
    worker* const seat = runtime_.seat_of(context_);
    if (seat == nullptr) return nullptr;
    work_item* const item = runtime_.native()->pop_fork(*seat);
    if (item == nullptr) return nullptr;
    runtime_.item_done();  // its queue entry is consumed; this call's own entry still counts
    auto& child = static_cast<task_core&>(*item);
    if (untold_ != 0 && child.join != untold_at_) tell_arrivals();  // F5
    return begin_forked(child, cancelled);
  }

  /// Takes the arrivals that were kept back off their join's count. Returns whether they were the last.
  [[nodiscard]] bool count_off() noexcept {
    const std::uint32_t told = std::exchange(untold_, 0);
    // order: acq_rel: each arrival releases its outcome, the last one acquires all (F2); peer: the other arrivals.
    return untold_at_->remaining.fetch_sub(told, sync::acq_rel) == told;
  }
  /// The same where this thread goes on with something else.
  [[gnu::noinline]] void tell_arrivals() noexcept {
    task_core& parent = *untold_at_->parent;
    context_.task = nullptr;  // it has ended, and its parent may free it before wake() returns
    if (count_off()) wake(parent);
  }

  /// Publishes an outcome. Returns whether the caller frees the block.
  bool finish(task_core& task) noexcept {
    if (task.header().failed()) return finish_failed(task);
    const auto finished = task.state.finish_unwatched();
    if (finished != task_state::finish::watched) return finished == task_state::finish::free;
    const outcome_kind kind = task.header().kind;
    waiter_node* const waiting = task.waiters.close();
    const bool last = task.state.finish_closed();
    // Unless it was the last claim, the task may be gone. No user code runs between a catch and the next step: this is the only node,
    // the block stays with others, and whoever drops a last claim meanwhile ends the catching.
    context_.catches = !last && waiting != nullptr && waiting->next == nullptr && may_catch();
    notify_all(waiting, kind);
    context_.catches = false;
    return last;
  }

  /// Whether a task that is woken now is better run next, on this stack, than posted as the newest.
  [[nodiscard]] bool may_catch() noexcept {
    if (where_ == place::claimed || ++catches_ > k_catches_per_item) return false;
    pool* const native = runtime_.native();
    return native != nullptr && native->workers() > 1 && runtime_.seat_of(context_) != nullptr;
  }

  /// The same for a failure. Running keeps the block for the report.
  [[gnu::noinline]] static bool finish_failed(task_core& task) noexcept {
    const auto published = task.state.publish(true);
    if (published.unseen) report_unobserved(task);
    if (published.watched) notify_all(task.waiters.close(), outcome_kind::error);
    return task.state.release_run();
  }

  /// The same for a forked child that others refer to: its failure is its parent's, who keeps the block.
  [[gnu::noinline]] static void finish_child(task_core& child) noexcept {
    if (child.state.publish(false).watched) notify_all(child.waiters.close(), child.header().kind);
    static_cast<void>(child.state.release_run());
  }

  /// A task's work is destroyed and its outcome written. Returns a task that this woke, or null.
  [[gnu::always_inline]] task_core* publish(task_core& task, bool& cancelled) noexcept {
    SHEAF_ASSERT(untold_ == 0);  // F5: what runs while arrivals are kept back is forked
    const bool last = runtime_.live().unlink(task, context_, runtime_.seat_of(context_));
    task.ended_on = runtime_.number();
    context_.task = nullptr;  // who is told, and the result's destructor, may block this thread: not as a task that has ended
    if (finish(task)) task.ops->destroy_block(task);
    if (last) runtime_.drained();
    if (context_.caught == nullptr) return nullptr;
    SHEAF_ASSERT(where_ == place::top);
    cancelled = context_.caught_cancelled;
    return std::exchange(context_.caught, nullptr);
  }

  task_core* end_unstarted(task_core& task, bool& cancelled) noexcept {
    cancelled = false;
    task.header().set_error(outcome_kind::cancelled, nullptr);
    enter(task);
    task.ops->destroy_work(task);
    end_extras(task);
    return task.forked ? arrive(task, cancelled) : publish(task, cancelled);
  }

  thread_context& context_;
  runtime_core& runtime_;
  const place where_;
  const inside outer_step_;
  task_core* const outer_task_;
  runtime_core* const outer_runtime_;
  unsigned hops_ = 0;
  std::uint32_t untold_ = 0;  ///< arrivals at untold_at_ that it has not been told of (F5)
  fork_join* untold_at_ = nullptr;
  unsigned catches_ = 0;
};

}  // namespace

void run_task(work_item& item) noexcept {
  auto& task = static_cast<task_core&>(item);
  runtime_core& runtime = *task.runtime;
  const bool blocking = task.blocking;
  const auto begun = task.state.begin_run();
  switch (begun) {
    case task_state::begin::skip:
      break;
    case task_state::begin::skip_and_free:
      task.ops->destroy_block(task);
      break;
    case task_state::begin::resume:
    case task_state::begin::resume_cancelled: {
      stepper here(runtime, place::top);
      // A call that waits for a thread when shutdown begins never starts, also when it is not asked to stop before it gets one.
      here.run(&task, begun == task_state::begin::resume_cancelled || (blocking && runtime.closed()));
      if (blocking) runtime.call_ended();
      break;
    }
    case task_state::begin::ask_awaiter: {
      stepper here(runtime, place::top);
      here.answer_poke(task);
      break;
    }
  }
  if (blocking) {
    runtime.drop_reference();
  } else {
    runtime.item_done();
  }
}

void run_forked(work_item& item) noexcept {
  auto& child = static_cast<task_core&>(item);
  runtime_core& runtime = *child.runtime;
  {
    stepper here(runtime, place::top);
    bool cancelled = false;
    task_core* const first = here.begin_forked(child, cancelled);
    here.run(first, cancelled);
  }
  runtime.item_done();
}

void run_retirement(work_item& item) noexcept {
  task_core& task = *static_cast<retire_entry&>(item).core;
  runtime_core& runtime = *task.runtime;
  if (task.state.claim_cancelled()) {
    run_claimed(task, true);  // and nothing after it, so that the call has ended before its awaiter goes on
    runtime.call_ended();
  }
  drop_reference(task);
  runtime.item_done();
}

void retire_queued_call(task_core& task, runtime_core& runtime) noexcept {
  work_item* const entry = task.ops->retire_item(task);
  if (entry == nullptr) return;
  task.state.add_reference();
  runtime.post(*entry);
}

void complete_unlisted(task_core& task) noexcept {
  task.ended_on = task.runtime->number();
  task.state.finish_unlisted(task.header().failed());
}

bool run_what_came_in(task_core& task) noexcept {
  const auto claimed = task.state.claim_runnable();
  if (claimed == task_state::begin::skip) return false;
  stepper here(*task.runtime, place::claimed);
  if (claimed == task_state::begin::ask_awaiter) {
    here.answer_poke(task);
  } else {
    here.run(&task, claimed == task_state::begin::resume_cancelled);
  }
  return true;
}

void release_held(task_core& task) noexcept {
  const runtime_pin runtime(task, runtime_pin::incomplete);
  if (task.state.end_hold()) runtime->post(task);
}

void run_eagerly(task_core& task, bool held) noexcept {
  if (held) return run_claimed(task, task.state.publish_unstarted(true));
  const auto begun = task.state.begin_run();  // skip: somebody has claimed it
  if (begun == task_state::begin::resume || begun == task_state::begin::resume_cancelled)
    run_claimed(task, begun == task_state::begin::resume_cancelled);
}

void end_unposted(task_core& task) noexcept {
  const auto claimed = task.state.begin_run();  // consumes the entry that no queue took
  if (claimed == task_state::begin::resume || claimed == task_state::begin::resume_cancelled) {
    runtime_core& runtime = *task.runtime;
    run_claimed(task, true);
    runtime.call_ended();
  }
  drop_handle(task);
}

void run_claimed(task_core& task, bool cancelled) noexcept {
  stepper here(*task.runtime, place::claimed);
  here.run(&task, cancelled);
}

}  // namespace sheaf::detail
