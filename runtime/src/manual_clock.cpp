#include <sheaf/detail/manual_clock_core.hpp>

#include <algorithm>
#include <stdexcept>

#include <sheaf/detail/assert.hpp>
#include <sheaf/detail/context.hpp>
#include <sheaf/errors.hpp>
#include <sheaf/time_limit.hpp>

#include "timer_queue.hpp"

namespace sheaf::detail {

manual_clock_core::~manual_clock_core() {
  SHEAF_ASSERT(queues_ == nullptr && latest_waiter_ == nullptr && requests_ == nullptr && holds_ == 0);
}

void manual_clock_core::begin_wait(clock_waiter& waiter) noexcept {
  const std::uint32_t items = waiter.items;
  {
    const sync::lock_guard guard(lock_);
    if (waiter.at == clock_waiter::stage::ended) return;
    if (waiter.forgotten != nullptr && waiter.forgotten->load(sync::relaxed)) {
      waiter.at = clock_waiter::stage::ended;
      tell(waiter, clock_waiter::k_look);
      return;
    }
    waiter.at = clock_waiter::stage::waiting;
    waiter.prev = nullptr;
    waiter.next = latest_waiter_;
    if (latest_waiter_ != nullptr) latest_waiter_->prev = &waiter;
    latest_waiter_ = &waiter;
  }
  if (items != 0) {
    leave(items);
  } else {
    move();
  }
}

bool manual_clock_core::end_wait(clock_waiter& waiter) noexcept {
  const sync::lock_guard guard(lock_);
  if (waiter.at != clock_waiter::stage::waiting) {
    waiter.at = clock_waiter::stage::ended;
    return false;
  }
  unlink(waiter);
  return true;
}

void manual_clock_core::unlink(clock_waiter& waiter) noexcept {
  (waiter.prev != nullptr ? waiter.prev->next : latest_waiter_) = waiter.next;
  if (waiter.next != nullptr) waiter.next->prev = waiter.prev;
  waiter.at = clock_waiter::stage::ended;
  if (waiter.items != 0) enter(waiter.items);  // C5
}

void manual_clock_core::forget(const sync::atomic<bool>& flag) noexcept {
  const sync::lock_guard guard(lock_);
  for (clock_waiter* waiter = latest_waiter_; waiter != nullptr;) {
    clock_waiter* const next = waiter->next;
    if (waiter->forgotten == &flag) {
      unlink(*waiter);
      tell(*waiter, clock_waiter::k_look);
    }
    waiter = next;
  }
}

void manual_clock_core::tell(clock_waiter& waiter, std::uint32_t what) noexcept {
  if (waiter.patient) return;
  waiter.told = what;
  waiter.parker->signal(what);  // its owner may be gone now
}

void manual_clock_core::hold() noexcept {
  const sync::lock_guard guard(lock_);
  ++holds_;
}

void manual_clock_core::release() noexcept {
  {
    const sync::lock_guard guard(lock_);
    if (--holds_ != 0) return;
  }
  move();
}

void manual_clock_core::advance(sync::nanoseconds by) {
  if (by < 0) throw std::invalid_argument("manual_clock::advance(): time does not run backwards");
  const thread_context& here = context();
  if (here.owner != nullptr || here.step != inside::nothing) {
    throw invalid_state("manual_clock::advance() on a thread of a runtime or in a task: it would wait for its own caller");
  }
  request wanted;
  {
    const sync::lock_guard guard(lock_);
    wanted.target = saturating_add(now(), by);
    wanted.next = requests_;
    requests_ = &wanted;
  }
  move();
  wanted.reached.wait();
}

void manual_clock_core::attach(timer_queue& queue) noexcept {
  const sync::lock_guard guard(lock_);
  timer_queue** end = &queues_;
  while (*end != nullptr) end = &(*end)->clock_next_;
  *end = &queue;
}

void manual_clock_core::detach(timer_queue& queue) noexcept {
  lock_.lock();
  while (firing_ == &queue) {
    const std::uint32_t seen = fired_.load(sync::relaxed);
    ++detaching_;
    lock_.unlock();
    sync::futex_wait(fired_, seen);
    lock_.lock();
    --detaching_;
  }
  timer_queue** link = &queues_;
  while (*link != &queue) link = &(*link)->clock_next_;
  *link = queue.clock_next_;
  lock_.unlock();
}

void manual_clock_core::move() noexcept {
  lock_.lock();
  if (!moving_) {  // C2
    moving_ = true;
    while (step()) {
    }
    moving_ = false;
  }
  lock_.unlock();
}

/// One decision, with the lock held. False: time stays where it is until somebody calls move() again.
bool manual_clock_core::step() noexcept {
  // order: acquire, with the release in leave(): what the last activity did is seen before its end is acted upon.
  if (activity_.load(sync::acquire) != 0) return false;
  request** const wanted = earliest_request();
  const bool freely = latest_waiter_ != nullptr && holds_ == 0;
  if (!freely && *wanted == nullptr) return false;

  const sync::nanoseconds next = next_deadline();
  if (*wanted != nullptr && (next == sync::k_forever || next > (*wanted)->target)) {
    request& reached = **wanted;
    *wanted = reached.next;
    now_.store(std::max(now(), reached.target), sync::relaxed);
    reached.reached.signal();  // its owner may be gone now
  } else if (next == sync::k_forever) {
    return report_deadlock();
  } else {
    now_.store(std::max(now(), next), sync::relaxed);
    fire_instant();
  }
  return true;
}

/// Everything due now in every queue. Entered and left with the lock held; while entries fire it is free, and queues may come and go.
void manual_clock_core::fire_instant() noexcept {
  const std::uint64_t pass = ++pass_;
  thread_context& here = context();
  manual_clock_core* const outer = std::exchange(here.firing, this);
  while ((firing_ = not_asked_in(pass)) != nullptr) {
    firing_->clock_pass_ = pass;
    lock_.unlock();
    firing_->fire_due(now());
    lock_.lock();
    fired_.fetch_add(1, sync::relaxed);
    if (detaching_ != 0) sync::futex_wake_all(fired_);
  }
  here.firing = outer;
  if (instants_ == nullptr) return;
  lock_.unlock();
  tell_end_of_instant();
  lock_.lock();
}

void manual_clock_core::tell_end_of_instant() noexcept {
  instant_end* first = std::exchange(instants_, nullptr);
  last_instant_ = &instants_;
  while (first != nullptr) {
    instant_end& told = *std::exchange(first, first->next);
    told.ended(told);
  }
}

timer_queue* manual_clock_core::not_asked_in(std::uint64_t pass) const noexcept {
  timer_queue* queue = queues_;
  while (queue != nullptr && queue->clock_pass_ == pass) queue = queue->clock_next_;
  return queue;
}

bool manual_clock_core::report_deadlock() noexcept {
  // Of the waits that may be told the latest one in a task, whose end may be what the others wait for; else the latest.
  clock_waiter* stuck = nullptr;
  for (clock_waiter* waiter = latest_waiter_; waiter != nullptr; waiter = waiter->next) {
    if (!waiter->patient && (stuck == nullptr || (stuck->items == 0 && waiter->items != 0))) stuck = waiter;
  }
  if (stuck == nullptr) return false;
  unlink(*stuck);
  tell(*stuck, clock_waiter::k_stuck);
  return true;
}

manual_clock_core::request** manual_clock_core::earliest_request() noexcept {
  request** earliest = &requests_;
  for (request** link = &requests_; *link != nullptr; link = &(*link)->next) {
    if ((*link)->target < (*earliest)->target) earliest = link;
  }
  return earliest;
}

sync::nanoseconds manual_clock_core::next_deadline() noexcept {
  sync::nanoseconds next = sync::k_forever;
  for (timer_queue* queue = queues_; queue != nullptr; queue = queue->clock_next_) {
    next = std::min(next, queue->next_deadline().value_or(sync::k_forever));
  }
  return next;
}

}  // namespace sheaf::detail
