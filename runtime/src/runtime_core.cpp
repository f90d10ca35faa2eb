#include "runtime_core.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include <fmt/core.h>

#include <sheaf/detail/frame_cache.hpp>
#include <sheaf/detail/future_core.hpp>

#include "debug.hpp"
#include "this_stack.hpp"
#include "this_thread.hpp"
#include "waits_for.hpp"

namespace sheaf::detail {

// ---- registry and pins -------------------------------------------------------------------------------------------------------

namespace {

struct registry {
  sync::mutex lock;
  std::vector<runtime_core*> alive;
};
registry& all_runtimes() {
  static registry* const only = new registry;  // never destroyed: handles with static storage may outlive everything
  return *only;
}

}  // namespace

void register_runtime(runtime_core& core) {
  registry& all = all_runtimes();
  const sync::lock_guard guard(all.lock);
  all.alive.push_back(&core);
}

void unregister_runtime(runtime_core& core) noexcept {
  registry& all = all_runtimes();
  sync::lock_guard guard(all.lock);
  std::erase(all.alive, &core);
  if (!all.alive.empty()) return;
  guard.unlock();
  trim_blocks();
}

runtime_pin::runtime_pin(task_core& task) noexcept {
  if (this_thread.owner == task.runtime) {
    core_ = task.runtime;
    return;
  }
  if (task.state.is_complete()) return;
  registry& all = all_runtimes();
  const sync::lock_guard guard(all.lock);
  if (task.state.is_complete()) return;
  core_ = task.runtime;  // alive: it unregisters after its last task, under this lock, or is kept for what it left behind
  core_->enter_visit();
  counted_ = true;
}

runtime_pin::runtime_pin(task_core& task, incomplete_tag) noexcept
    : core_(task.runtime), counted_(this_thread.owner != task.runtime) {
  if (counted_) core_->enter_visit();
}

runtime_visit::runtime_visit(runtime_core& core) noexcept : core_(this_thread.owner != &core ? &core : nullptr) {
  if (core_ != nullptr) core_->enter_visit();
}

alive_runtime::alive_runtime(const task_core& task) noexcept {
  registry& all = all_runtimes();
  const sync::lock_guard guard(all.lock);
  if (std::ranges::find(all.alive, task.runtime) == all.alive.end()) return;
  // Another one may live at the same address. A task that is not complete has its own, and a when_all child's parent is such a task.
  if (task.state.is_complete() && !task.forked && task.ended_on != task.runtime->number()) return;
  core_ = task.runtime;
  core_->enter_use();
}

namespace {
/// Empty for want of memory: the error is told all the same.
std::string name_if_possible(task_core& task) noexcept {
  std::string name;
  as_a_courtesy([&] { name = name_of(task); });
  return name;
}
}  // namespace

void report_unobserved(task_core& task) noexcept {
  if (!task.state.mark_observed()) return;
  const std::exception_ptr error = task.header().error();
  const alive_runtime runtime(task);
  if (runtime && runtime->options().on_unobserved_error) {
    runtime->options().on_unobserved_error(name_if_possible(task), error);
  } else {
    as_a_courtesy([&] {
      fmt::print(stderr, "sheaf: task {} failed and nobody looked at its error: {}\n", label_and_place_of(task), text_of(error));
    });
  }
}

void report_failed_callback(const runtime_core& runtime, task_core& task) noexcept {
  const std::exception_ptr error = std::current_exception();
  if (runtime.options().on_unobserved_error) {
    runtime.options().on_unobserved_error(name_if_possible(task), error);
  } else {
    as_a_courtesy([&] { fmt::print(stderr, "sheaf: a callback of task '{}' failed: {}\n", name_of(task), text_of(error)); });
  }
}

void report_unobserved(const std::exception_ptr& error) noexcept {
  runtime_core* const runtime = this_thread.runtime;
  if (runtime != nullptr && runtime->options().on_unobserved_error) {
    runtime->options().on_unobserved_error("a promise", error);
  } else {
    as_a_courtesy(
        [&] { fmt::print(stderr, "sheaf: a promise was given an error and nobody looked at it: {}\n", text_of(error)); });
  }
}

// ---- construction ------------------------------------------------------------------------------------------------------------

namespace {

void enter_thread(void* core) noexcept { this_thread.runtime = this_thread.owner = static_cast<runtime_core*>(core); }

std::uint64_t next_number() noexcept {
  static constinit sync::atomic<std::uint64_t> next{1};
  return next.fetch_add(1, sync::relaxed);
}

runtime_options checked(runtime_options options) {
  if (options.max_blocking_threads == 0)
    throw std::invalid_argument("runtime_options::max_blocking_threads is 0: at least 1 is needed");
  if (options.workers > 1024)
    throw std::invalid_argument(fmt::format("runtime_options::workers is {}: at most 1024", options.workers));
  if (options.executor != nullptr && options.workers != 0) {
    throw std::invalid_argument(fmt::format("runtime_options::workers is {}, but the executor decides that", options.workers));
  }
  if (options.blocking_keep_alive.nanoseconds() < 0)
    throw std::invalid_argument("runtime_options::blocking_keep_alive is negative");
  if (options.slow_step.nanoseconds() < 0) throw std::invalid_argument("runtime_options::slow_step is negative");
  return options;
}

}  // namespace

runtime_core::runtime_core(runtime& owner, runtime_options options)
    : owner_(&owner),
      number_(next_number()),
      options_(checked(std::move(options))),
      clock_(options_.clock != nullptr ? core_of(*options_.clock).shared_from_this() : nullptr),
      counts_items_(clock_ != nullptr || options_.executor != nullptr),
      began_(clock_ != nullptr ? std::chrono::nanoseconds(options_.clock->now()).count() : sync::coarse_now()),
      workers_(options_.executor != nullptr ? 0U
               : options_.workers != 0      ? static_cast<unsigned>(options_.workers)
                                            : sync::usable_cores()),
      live_(workers_),
      timers_({.clock = clock_.get(), .on_thread_start = &enter_thread, .argument = this}) {
  sync::prepare_barriers();
  blocking_.emplace(blocking_pool::options{.max_threads = options_.max_blocking_threads,
                                           .keep_alive = options_.blocking_keep_alive.nanoseconds(),
                                           .on_thread_start = &enter_thread,
                                           .argument = this});
  if (options_.executor == nullptr) {
    native_.emplace(pool_options{.workers = workers_,
                                 .max_spares = static_cast<unsigned>(options_.max_spares),
                                 .on_thread_start = &enter_thread,
                                 .argument = this});
  }
}

void runtime_core::drop_claim(std::uint64_t claim) noexcept {
  // order: acq_rel: the last one sees what all others did; peer: the other drops, wait_for_visits().
  if (claims_.fetch_sub(claim, sync::acq_rel) == claim) delete this;
}

void runtime_core::leave_use() noexcept {
  // order: acq_rel: what was used comes before ~runtime's return; peers: the other uses, wait_for_uses().
  if (uses_.fetch_sub(1, sync::acq_rel) == 1) unused_.signal();
}

void runtime_core::wait_for_uses() noexcept {
  leave_use();
  unused_.wait();
}

bool runtime_core::wait_for_visits() noexcept {
  const auto visited = [this] {
    // order: acquire, peer: release in drop_claim().
    return claims_.load(sync::acquire) >> 32 != 0;
  };
  // Visits are a few steps long, unless they wait for a task: nobody is told of their end. With no visitor before and none after there was
  // no task, nobody can come any more: a visitor comes by way of a task, or began before shutdown did.
  for (unsigned spins = 0;; ++spins) {
    const bool before = visited();
    if (live_.size() != 0) return false;
    if (!before && !visited()) return true;
    sync::spin_wait(spins);
  }
}

// ---- scheduling --------------------------------------------------------------------------------------------------------------

void runtime_core::post(work_item& item) noexcept {
  if (gone_.load(sync::relaxed)) return;  // left behind: nobody runs it any more
  item_begun();
  if (kept_for_instant(item)) return;
  if (!(native_ ? native_->post(item) : post_foreign(item, &executor::post))) refused(item);
}

/// Shutdown came first. Where nothing is left behind, `item` is the entry of a task that somebody else has run meanwhile, or of one that
/// was started while the last ended: asked to stop before it begins, unless it only watches what has ended.
void runtime_core::refused(work_item& item) noexcept {
  if (gone_.load(sync::relaxed)) {
    item_done();
  } else {
    const item_on_this_stack nested(this_thread, this, nullptr);
    task_core* const poster = std::exchange(this_thread.task, nullptr);  // it may have ended, perhaps with this very entry
    item.run();
    this_thread.task = poster;
  }
}

/// False: shutdown waits for no items any more, and the executor may be gone.
bool runtime_core::post_foreign(work_item& item, void (executor::*how)(work_item&) noexcept) noexcept {
  // The call counts like an item: when it returns, the item may have run. The order of the changes of this one word decides whether
  // shutdown waits for this or refuses it.
  // order: acquire: who is refused sees what came before; peer: release in wait_for_foreign_items().
  const bool open = (foreign_items_.fetch_add(1, sync::acquire) & k_closed) == 0;
  if (open) (options_.executor->*how)(item);
  foreign_item_gone();
  return open;
}

void runtime_core::end_outside_wait(outside_waits::wait& wait) noexcept {
  if (outside_waits_.end(wait)) drained_.signal();
}

void runtime_core::post_chain(work_item* first, std::size_t count) noexcept {
  if (native_ && !counts_items_) {
    if (native_->post_chain(first, count)) return;
    while (count-- != 0) refused(*std::exchange(first, first->next));
    return;
  }
  while (count-- != 0) post(*std::exchange(first, first->next));
}

void runtime_core::post_newest(work_item& item) noexcept {
  if (gone_.load(sync::relaxed)) return;  // left behind: nobody runs it any more
  item_begun();
  if (kept_for_instant(item)) return;
  if (!(native_ ? native_->post_newest(item) : post_foreign(item, &executor::post))) refused(item);
}

void runtime_core::post_last(work_item& item) noexcept {
  if (gone_.load(sync::relaxed)) return;  // left behind: nobody runs it any more
  item_begun();
  if (!(native_ ? native_->post_last(item) : post_foreign(item, &executor::post_last))) refused(item);
}

/// Of what a clock's instant wakes nothing goes on before all of it has fired (C6 of the clock).
bool runtime_core::kept_for_instant(work_item& item) noexcept {
  if (clock_ == nullptr || this_thread.firing != clock_.get()) return false;
  if (kept_.count == 0) {
    enter_visit();
    clock_->at_end_of_instant(kept_);
  }
  *std::exchange(kept_.last, &item.next) = &item;
  ++kept_.count;
  return true;
}

void runtime_core::post_kept() noexcept {
  work_item* item = std::exchange(kept_.first, nullptr);
  kept_.last = &kept_.first;
  std::size_t count = std::exchange(kept_.count, 0);
  const bool queued = native_ && native_->post_chain(item, count);
  while (!queued && count-- != 0) {
    work_item& each = *std::exchange(item, item->next);
    if (native_ || !post_foreign(each, &executor::post)) refused(each);
  }
  leave_visit();
}

void runtime_core::begin_call() noexcept {
  if (clock_ != nullptr) clock_->enter();
  add_reference();  // dropped when the entry has been popped
  // Of a step that had not ended when the others were left behind: nobody will tell the clock of its end.
  if ((calls_out_.fetch_add(1, sync::relaxed) & k_abandoned) != 0 && clock_ != nullptr) clock_->leave();
}

void runtime_core::post_blocking(work_item& item) {
  try {
    blocking_->submit(item);
  } catch (...) {
    drop_reference();
    throw;
  }
}

void runtime_core::call_ended() noexcept {
  // Relaxed: the word counts; what it decides, who tells the clock, is decided on it alone.
  if ((calls_out_.fetch_sub(1, sync::relaxed) & k_abandoned) == 0 && clock_ != nullptr) clock_->leave();
}

void runtime_core::abandon_calls() noexcept {
  leaving_behind_.store(true, sync::relaxed);
  const std::size_t out = calls_out_.fetch_or(k_abandoned, sync::relaxed) & ~k_abandoned;
  if (clock_ != nullptr) {
    clock_->forget(leaving_behind_);  // first: a call that waits on the clock is counted again, and then not any more
    if (out != 0) clock_->leave(out);
  }
  // order: release: who finds itself left behind counts off what forget() has counted; peer: gone().
  gone_.store(true, sync::release);
  add_reference();  // for ever: tasks that wait for these calls still name this core
  blocking_->abandon();
}

void runtime_core::count_item_begun() noexcept {
  if (clock_ != nullptr) clock_->enter();
  if (native_) return;
  // A foreign executor's threads are not joined by shutdown: it waits for their items instead.
  add_reference();
  foreign_items_.fetch_add(1, sync::relaxed);
}

void runtime_core::count_item_done() noexcept {
  if (clock_ != nullptr) clock_->leave();
  if (native_) return;
  foreign_item_gone();
  drop_reference();
}

void runtime_core::foreign_item_gone() noexcept {
  // order: release: what this item did comes before shutdown's return; peer: acquire in wait_for_foreign_items().
  if ((foreign_items_.fetch_sub(1, sync::release) & ~k_closed) == 1) drained_.signal();
}

void runtime_core::wait_for_foreign_items() noexcept {
  // Left behind, what is still to be posted is dropped. Else an item that runs may yet post the entry of a task that has ended: the word is
  // closed when there is no item.
  const bool left_behind = gone_.load(sync::relaxed);
  // order: release here and below: who is refused sees why; peer: acquire in post_foreign().
  if (left_behind) foreign_items_.fetch_or(k_closed, sync::release);
  const std::size_t no_items = left_behind ? k_closed : 0;
  const auto wait_for_one = [this] {
    static_cast<void>(options_.executor->wait(drained_, sync::k_forever, false));
    drained_.reset();
  };
  // order: acquire: what the items did; peer: release in foreign_item_gone().
  for (std::size_t now = no_items;
       !foreign_items_.compare_exchange_strong(now, k_closed | k_drained, sync::acq_rel, sync::relaxed); now = no_items)
    wait_for_one();
  outside_waits_.close();
  while (!outside_waits_.all_left()) wait_for_one();
}

std::uint32_t runtime_core::milliseconds() const noexcept {
  const sync::nanoseconds now = clock_ != nullptr ? timers_.now() : sync::coarse_now();
  return static_cast<std::uint32_t>(std::max<sync::nanoseconds>(now - began_, 0) / 1'000'000);
}

runtime_metrics runtime_core::metrics() const noexcept {
  runtime_metrics all;
  if (native_) {
    const auto pool = native_->read_metrics();
    all.workers = native_->workers();
    all.steals = pool.steals;
    all.parks = pool.parks;
    all.wakes = pool.wakes;
    all.spares = static_cast<std::size_t>(pool.spares);
  } else {
    all.workers = options_.executor->concurrency();
  }
  all.live_tasks = live_.size();
  all.blocking_threads = blocking_->threads();
  all.blocking_queued = blocking_->queued();
  return all;
}

// ---- shutdown ----------------------------------------------------------------------------------------------------------------

/// 1. closing_ and live_.close(): from here on spawn is refused, apart from children that a live task owns.
/// 2. Every live task is asked to stop, once.
/// 3. Wait until none is live. Past the limit, and only while blocking calls are out, give up waiting: what waits for them stays
///    parked, kept alive with this core.
/// 4. Wait until no foreign thread is in the middle of a call on this core. One that has brought a task, and may wait for it, is waited for
///    as in 3, where a host's thread runs what is queued. Not when calls are left behind: such a thread may be waiting for one, the core
///    stays for it, and what it posts is dropped.
/// 5. Timers, blocking threads and workers are joined, in this order: each may post to the later ones, none to the earlier.
bool runtime_core::shutdown(time_limit limit, bool detach) {
  const sync::lock_guard guard(shutdown_lock_);
  if (stopped_) return true;
  closing_.store(true, sync::relaxed);
  live_.close();
  live_.cancel_each(k_shutdown);
  // Somebody has been told already that the time is over.
  const bool at_once = detach && timed_out_;
  const sync::nanoseconds deadline = at_once             ? sync::now()
                                     : limit.unlimited() ? sync::k_forever
                                                         : saturating_add(sync::now(), limit.nanoseconds());
  bool all_ended = false;
  do {
    all_ended = wait_until_drained(deadline, detach);
    if (!all_ended && !detach) {
      timed_out_ = true;
      return false;
    }
  } while (all_ended && !wait_for_visits());
  timers_.stop();
  const bool calls_ended = blocking_->shutdown(all_ended ? sync::k_forever : sync::now());
  // The last call may have ended just now: what it was waited for with is left behind all the same.
  if (!calls_ended || !all_ended) abandon_calls();
  if (native_) {
    native_->stop();
    for (work_chain left = native_->left_over(); left.count != 0; --left.count)
      refused(*std::exchange(left.first, left.first->next));
  } else {
    wait_for_foreign_items();
  }
  stopped_ = true;
  return all_ended;
}

bool runtime_core::wait_until_drained(sync::nanoseconds deadline, bool only_calls_may_stay) noexcept {
  constexpr sync::nanoseconds k_patience = 5'000'000'000, k_look_again = 10'000'000;
  sync::nanoseconds notice = saturating_add(sync::now(), k_patience);
  while (live_.size() != 0) {
    const sync::nanoseconds now = sync::now();
    if (now >= deadline && (calls_are_out() || !only_calls_may_stay)) return false;
    if (now >= notice) {
      name_what_is_left();
      notice = sync::k_forever;
    }
    // Past the limit nobody tells when only blocking calls are left: look again now and then.
    const sync::nanoseconds until = now < deadline ? std::min(deadline, notice) : saturating_add(now, k_look_again);
    clock_waiter clocked;  // good for one wait
    clocked.parker = &drained_;
    if (clock_ != nullptr) clock_->begin_wait(clocked);
    if (native_) {
      drained_.wait(until);
    } else {
      static_cast<void>(options_.executor->wait(drained_, until, false));
    }
    if (clock_ != nullptr) clock_->end_wait(clocked);
    if (clocked.told == 0) {
      drained_.reset();
      continue;
    }
    // Manual time cannot help: only an event from outside can.
    drained_.wait_for(1);
    drained_.reset();
    if (live_.size() == 0) break;
    if (notice != sync::k_forever) name_what_is_left();
    notice = sync::k_forever;
    drained_.wait(saturating_add(sync::now(), k_look_again));
  }
  return true;
}

void runtime_core::name_what_is_left() noexcept {
  as_a_courtesy([this] { fmt::print(stderr, "sheaf: runtime shutdown waits for:\n{}", dump_tasks(live_, milliseconds())); });
}

}  // namespace sheaf::detail
