#include "blocking_threads.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

#include <sheaf/detail/assert.hpp>
#include <sheaf/time_limit.hpp>

namespace sheaf::detail {

namespace {

/// The watcher's tick: a call that sleeps and has lasted as long is stuck.
constexpr sync::nanoseconds k_period = 1'000'000;
/// A call that computes is stuck after as many periods; fewer, and a thread that merely waits for a core would seem to be.
constexpr std::uint32_t k_long = 16;
/// How many periods the watcher stays at an empty queue, so that bursts in a row cost one wake-up.
constexpr int k_linger = 16;
/// Calls between two looks at a thread's context switches: the look is a system call of some 300 ns.
constexpr std::uint32_t k_sample = 16;

void join_and_delete(blocking_thread* left) noexcept {
  if (left == nullptr) return;
  left->started.wait();
  left->thread.join();
  delete left;
}

}  // namespace

void blocking_thread_list::push(blocking_thread& thread) noexcept {
  thread.prev = nullptr;
  thread.next = first;
  if (first != nullptr) first->prev = &thread;
  first = &thread;
  ++size;
}

void blocking_thread_list::remove(blocking_thread& thread) noexcept {
  (thread.prev != nullptr ? thread.prev->next : first) = thread.next;
  if (thread.next != nullptr) thread.next->prev = thread.prev;
  --size;
}

blocking_threads::blocking_threads(const blocking_pool::options& chosen) noexcept
    : options_(chosen),
      base_(std::min(chosen.max_threads, chosen.base_threads != 0 ? chosen.base_threads : std::max(sync::usable_cores(), 2U))),
      ramp_(base_) {}

void blocking_threads::drop_reference() noexcept {
  // order: acq_rel: every thread's last use of the state precedes its end; peer: the same operation of the others.
  if (references_.fetch_sub(1, sync::acq_rel) == 1) delete this;
}

blocking_threads::counts blocking_threads::count() noexcept {
  const sync::lock_guard guard(lock_);
  return {threads_, queued_, idle_.size};
}

// ---- growing

std::size_t blocking_threads::admitted() const noexcept { return std::min(options_.max_threads, stuck_ + ramp_); }

/// What B4 asks for, already counted as done. The lock is held.
blocking_threads::action blocking_threads::plan() noexcept {
  if (queued_ <= waking_ || abandoned_) return {};
  const bool wanted = active_ < admitted();
  if (!wanted && watched_) return {};
  action chosen{action::kind::nothing, wanted ? duty::call : duty::watch, nullptr};
  if (idle_.first != nullptr) {
    chosen.what = action::kind::wake;
    chosen.thread = idle_.first;
    idle_.remove(*chosen.thread);
  } else if (threads_ < options_.max_threads) {
    chosen.what = action::kind::create;
    ++threads_;
    ++starting_;
  } else if (wanted && watcher_ != nullptr) {
    chosen.what = action::kind::wake;
    chosen.thread = std::exchange(watcher_, nullptr);
    watched_ = false;
  } else {
    return {};
  }
  if (chosen.thread != nullptr) chosen.thread->on = chosen.as;
  if (wanted) {
    ++active_;
    ++waking_;
  } else {
    watched_ = true;
  }
  return chosen;
}

/// Without the lock. False: the system has no thread to give.
bool blocking_threads::perform(const action& chosen) noexcept {
  if (chosen.what == action::kind::create) return create(chosen.as);
  if (chosen.what == action::kind::wake) chosen.thread->parker.signal();
  return true;
}

bool blocking_threads::create(duty as) noexcept {
  if (auto* const fresh = new (std::nothrow) blocking_thread; fresh != nullptr) {
    fresh->pool = this;
    fresh->on = as;
    references_.fetch_add(1, sync::relaxed);
    try {
      fresh->thread = sync::thread("sheaf-blocking", &run_thread, fresh);
      fresh->started.signal();
      return true;
    } catch (const std::system_error&) {
      references_.fetch_sub(1, sync::relaxed);
      delete fresh;
    }
  }
  const sync::lock_guard guard(lock_);
  --threads_;
  end_start();
  if (as == duty::call) {
    --active_;
    --waking_;
  } else {
    watched_ = false;
  }
  return false;
}

void blocking_threads::end_start() noexcept {
  if (--starting_ == 0 && abandoned_) all_started_.signal();
}

void blocking_threads::submit(work_item& item) {
  action chosen;
  {
    const sync::lock_guard guard(lock_);
    // Closed: calls are being left behind, this one, of a step that has not ended yet, among them. Nobody may come to it.
    item.next = nullptr;
    (queue_last_ != nullptr ? queue_last_->next : queue_first_) = &item;
    queue_last_ = &item;
    ++queued_;
    chosen = plan();
  }
  if (perform(chosen)) return;
  const sync::lock_guard guard(lock_);
  if (threads_ != starting_) return;  // another thread will come to it
  take_back(item);
  throw std::system_error(EAGAIN, std::generic_category(), "sheaf: no thread for blocking calls");
}

/// No thread has started, so `item` is still in the queue.
void blocking_threads::take_back(work_item& item) noexcept {
  work_item* before = nullptr;
  for (work_item* other = queue_first_; other != &item; other = other->next) before = other;
  (before != nullptr ? before->next : queue_first_) = item.next;
  if (queue_last_ == &item) queue_last_ = before;
  --queued_;
}

work_item* blocking_threads::pop() noexcept {
  work_item* const item = queue_first_;
  if (item == nullptr) return nullptr;
  queue_first_ = item->next;
  if (queue_first_ == nullptr) queue_last_ = nullptr;
  --queued_;
  return item;
}

// ---- a thread's life; the lock is held except while it sleeps, creates or is in a call

void blocking_threads::run_thread(void* raw) noexcept {
  auto& self = *static_cast<blocking_thread*>(raw);
  self.pool->run(self);
}

void blocking_threads::run(blocking_thread& self) noexcept {
  if (options_.on_thread_start != nullptr) options_.on_thread_start(options_.argument);
  const kernel_thread_id id = this_kernel_thread();
  lock_.lock();
  self.id = id;
  end_start();
  for (bool stays = true; stays;) {
    if (self.on == duty::watch) {
      watch(self);
      if (self.on == duty::call) continue;
    } else {
      make_calls(self);
      if (queued_ > waking_ && !watched_) {  // B4: it stopped because more are active than admitted
        watched_ = true;
        self.on = duty::watch;
        continue;
      }
    }
    stays = !closed_ && rest(self);
  }
  leave(self);
}

void blocking_threads::make_calls(blocking_thread& self) noexcept {
  --waking_;
  self.sampling = false;
  running_.push(self);
  while (queue_first_ != nullptr && active_ <= admitted()) {
    work_item* const item = pop();
    const bool sample = ++self.calls % k_sample == 0;
    lock_.unlock();
    item->run();
    const long sleeps = sample ? voluntary_switches() : 0;
    lock_.lock();
    ++finished_;
    if (std::exchange(self.stuck, false)) {
      --stuck_;
      running_.push(self);
    }
    if (sample) count_sleeps(self, sleeps);
  }
  running_.remove(self);
  --active_;
}

void blocking_threads::count_sleeps(blocking_thread& self, long sleeps) noexcept {
  if (std::exchange(self.sampling, true)) {
    sampled_calls_ += k_sample;
    sampled_sleeps_ += static_cast<std::uint64_t>(std::min<long>(sleeps - self.sleeps_before, k_sample));
  }
  self.sleeps_before = sleeps;
}

/// Until the queue has been empty for a while (the duty is unchanged then), or the thread is told to make calls itself.
void blocking_threads::watch(blocking_thread& self) noexcept {
  watcher_ = &self;
  start_period(true);
  for (int quiet = 0; self.on == duty::watch;) {
    for (bool more = true; more && self.on == duty::watch;) {
      const action chosen = plan();
      if (chosen.what == action::kind::nothing) break;
      lock_.unlock();
      more = perform(chosen);
      lock_.lock();
    }
    if (self.on != duty::watch) break;
    quiet = queued_ != 0 ? 0 : quiet + 1;
    if (quiet > k_linger || (quiet != 0 && closed_)) {
      watched_ = false;
      watcher_ = nullptr;
      return;
    }
    self.parker.reset();
    lock_.unlock();
    self.parker.wait(sync::now() + k_period);
    lock_.lock();
    start_period(queued_ == 0);
  }
  take_signal(self);
}

/// Marks who is stuck and sets `ramp_`. `fresh`: there is no last period to compare with. Gives up the lock while it asks the kernel.
void blocking_threads::start_period(bool fresh) noexcept {
  std::array<suspect, k_suspects> suspects;
  std::size_t count = 0;
  std::size_t marked = 0;
  for (blocking_thread* thread = running_.first; thread != nullptr;) {
    blocking_thread* const next = thread->next;
    const bool same_call = !fresh && thread->calls == thread->calls_seen;
    thread->calls_seen = thread->calls;
    thread->periods = same_call ? thread->periods + 1 : 0;
    if (thread->periods >= k_long) {
      mark_stuck(*thread);
      ++marked;
    } else if (same_call && count < k_suspects) {
      suspects[count++] = {thread->id, thread->calls};
    }
    thread = next;
  }
  if (count != 0) {
    lock_.unlock();
    const auto awake = [](const suspect& one) { return !asleep(one.thread); };
    const auto end = std::remove_if(suspects.begin(), suspects.begin() + count, awake);
    lock_.lock();
    marked += mark_stuck(std::span(suspects.begin(), end));
  }
  const bool slow = (marked != 0 && finished_ == finished_seen_) || sampled_sleeps_ * 2 > sampled_calls_;
  ramp_ = fresh ? base_ : slow ? std::min(ramp_ * 2, options_.max_threads) : std::max(ramp_ / 2, base_);
  finished_seen_ = finished_;
  sampled_calls_ = sampled_sleeps_ = 0;
}

void blocking_threads::mark_stuck(blocking_thread& thread) noexcept {
  running_.remove(thread);
  thread.stuck = true;
  ++stuck_;
}

/// Those of `asleep` that are still in the call in which they were seen. How many.
std::size_t blocking_threads::mark_stuck(std::span<const suspect> asleep) noexcept {
  std::size_t marked = 0;
  for (blocking_thread* thread = running_.first; thread != nullptr;) {
    blocking_thread* const next = thread->next;
    const auto is_this = [thread](const suspect& one) { return one.thread == thread->id && one.calls == thread->calls; };
    if (std::any_of(asleep.begin(), asleep.end(), is_this)) {
      mark_stuck(*thread);
      ++marked;
    }
    thread = next;
  }
  return marked;
}

/// Sleeps as an idle thread. False: it shall leave.
bool blocking_threads::rest(blocking_thread& self) noexcept {
  self.on = duty::idle;
  self.parker.reset();
  idle_.push(self);
  lock_.unlock();
  self.parker.wait(saturating_add(sync::now(), options_.keep_alive));
  lock_.lock();
  if (self.on == duty::idle) {
    idle_.remove(self);
    return false;
  }
  take_signal(self);
  return self.on != duty::leave;
}

void blocking_threads::take_signal(blocking_thread& self) noexcept {
  if (self.parker.signalled()) return;
  lock_.unlock();
  self.parker.wait();
  lock_.lock();
}

/// Gives the lock up for good.
void blocking_threads::leave(blocking_thread& self) noexcept {
  --threads_;
  if (abandoned_) {
    lock_.unlock();
    self.started.wait();
    self.thread.detach();
    delete &self;
  } else {
    blocking_thread* const left_before = std::exchange(last_left_, &self);
    if (threads_ == 0 && closed_) all_left_.signal();
    lock_.unlock();
    join_and_delete(left_before);
  }
  drop_reference();
}

// ---- the end

bool blocking_threads::shutdown(sync::nanoseconds deadline) noexcept {
  bool gone = false;
  {
    const sync::lock_guard guard(lock_);
    closed_ = true;
    while (idle_.first != nullptr) {
      blocking_thread& thread = *idle_.first;
      idle_.remove(thread);
      thread.on = duty::leave;
      thread.parker.signal();
    }
    gone = threads_ == 0;
  }
  if (!gone && !all_left_.wait(deadline)) return false;
  join_and_delete(std::exchange(last_left_, nullptr));
  run_leftovers();
  return true;
}

void blocking_threads::abandon() noexcept {
  lock_.lock();
  closed_ = true;
  abandoned_ = true;
  const bool starting = starting_ != 0;
  lock_.unlock();
  if (starting) all_started_.wait();
  lock_.lock();
  blocking_thread* const left = std::exchange(last_left_, nullptr);
  lock_.unlock();
  join_and_delete(left);
  run_leftovers();
}

void blocking_threads::run_leftovers() noexcept {
  for (;;) {
    work_item* item = nullptr;
    {
      const sync::lock_guard guard(lock_);
      item = pop();
    }
    if (item == nullptr) return;
    item->run();
  }
}

}  // namespace sheaf::detail
