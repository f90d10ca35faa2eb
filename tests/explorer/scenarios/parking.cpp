/// No wake-up is slept through: idle_set.hpp, the pool's posts, parker.hpp, and get() on a worker that hands its seat over.
#include <array>
#include <functional>
#include <memory>
#include <utility>

#include <sheaf/event.hpp>
#include <sheaf/runtime.hpp>
#include <sheaf/spawn.hpp>

#include "deque.hpp"
#include "explorer/scenarios/scenarios.hpp"
#include "idle_set.hpp"
#include "injection_queue.hpp"
#include "pool.hpp"

namespace explorer {

namespace {

using namespace sheaf::detail;

struct signals final : sheaf::work_item {
  signals() noexcept
      : work_item([](work_item& self) noexcept {
          auto& item = static_cast<signals&>(self);
          item.before.read();
          item.after.write();
          item.ran.signal();
        }) {}
  written before, after;
  sync::parker ran;
};

/// A worker as worker.hpp and pool.cpp make it, of the parts that the argument of idle_set.hpp is about.
void one_sleeper_one_pusher() {
  idle_set idle(1);
  injection_queue queue;
  signals item;
  together({[&] {
              idle_set::sleeper self;
              for (;;) {
                if (work_chain got = queue.drain(); got.first != nullptr) return got.first->run();
                const bool searching = idle.try_begin_search();
                if (searching && !queue.empty()) {
                  static_cast<void>(idle.end_search());
                  continue;
                }
                idle.announce(self, searching);
                if (queue.empty()) {
                  idle.sleep(self);
                } else {
                  idle.withdraw(self);
                }
                if (idle.end_search() && !queue.empty()) idle.notify();
              }
            },
            [&] {
              item.before.write();
              queue.push(item);
              idle.notify();
            }});
  check(item.ran.signalled(), "the item has run");
}

/// The same when it is the owner of a deque that pushes.
void one_sleeper_one_owner() {
  idle_set idle(2);
  deque<deque_use::lifo> stack(true, 2);
  signals item;
  together({[&] {
              idle_set::sleeper self;
              for (;;) {
                sheaf::work_item* got = nullptr;
                if (stack.steal(got) == steal_result::got) return got->run();
                idle.announce(self, idle.try_begin_search());
                if (stack.empty()) {
                  idle.sleep(self);
                } else {
                  idle.withdraw(self);
                }
                if (idle.end_search() && !stack.empty()) idle.notify();
              }
            },
            [&] {
              item.before.write();
              check(stack.push(item), "pushed");
              idle.notify();
            }});
  check(item.ran.signalled(), "the item has run");
}

/// A push that relies on a searcher, who leaves with another item and is long on it: the searcher wakes the one that sleeps.
void last_searcher_against_push() {
  idle_set idle(2);
  injection_queue queue;
  signals item;
  idle_set::sleeper asleep;
  idle.announce(asleep, false);
  check(idle.try_begin_search(), "searches");
  together({[&] {
              idle.sleep(asleep);
              const work_chain got = queue.drain();
              check(got.count == 1, "woken for the item");
              got.first->run();
            },
            [&] {
              if (idle.end_search() && !queue.empty()) idle.notify();
              item.ran.wait();
            },
            [&] {
              item.before.write();
              queue.push(item);
              idle.notify();
            }});
}

/// A sleeper has looked also where a pusher leaves what its worker runs next.
void one_sleeper_one_newest() {
  pool p({.workers = 1});
  p.stop();  // for its idle set: the worker below has no thread
  worker seat(p, 0, true);
  signals item;
  together({[&] {
              idle_set::sleeper self;
              p.idle().announce(self, false);
              if (seat.has_work()) {
                p.idle().withdraw(self);
              } else {
                p.idle().sleep(self);
              }
              static_cast<void>(p.idle().end_search());
            },
            [&] {
              seat.push_newest(item);
              p.idle().notify();
            }});
}

void parker_is_freed_by_its_waiter() {
  auto* const word = new sync::parker;
  together({[&] { word->signal(1); }, [&] { word->signal(2); },
            [&] {
              word->wait_for(1);
              word->wait_for(2);
              delete word;
            }});
}

void pool_runs_what_is_posted() {
  pool p({.workers = 2});
  std::array<signals, 2> items;
  const auto posts = [&p](signals& item) {
    item.before.write();
    p.post(item);
  };
  together({[&] { posts(items[0]); }, [&] { posts(items[1]); }});
  for (signals& each : items) {
    each.ran.wait();
    each.after.read();
  }
}

void pool_stops_while_posting() {
  signals item;
  item.before.write();
  pool p({.workers = 1});
  together({[&] { p.post(item); }});
  p.stop();
  check(item.ran.signalled(), "stop() runs what was posted");
  item.after.read();
}

/// Whoever posts the last item may still be in post() when the item has run and the pool goes.
void pool_goes_while_a_post_returns() {
  signals item;
  auto owned = std::make_unique<pool>(pool_options{.workers = 1});
  pool& seen = *owned;
  item.before.write();
  together({[&] { seen.post(item); },
            [&] {
              item.ran.wait();
              owned.reset();
            }});
}

/// Who is refused sees what came before stop().
void pool_refuses_after_stop() {
  pool p({.workers = 1});
  signals item;
  item.before.write();
  written before;
  bool accepted = false;
  together({[&] {
              before.write();
              p.stop();
            },
            [&] {
              accepted = p.post(item);
              if (!accepted) before.read();
            }});
  check(item.ran.signalled() == accepted, "what is accepted is run");
}

/// The only worker waits in get() for a task that has to run on it.
void get_on_the_only_worker() {
  sheaf::runtime rt({.workers = 1});
  const auto outer = rt.spawn([] { return sheaf::spawn([] { return 3; }).get() + 1; });
  check(outer.get() == 4, "the value");
}

void two_workers_get_each_others_work() {
  sheaf::runtime rt({.workers = 2});
  const auto gets = [] { return sheaf::spawn([] { return 3; }).get(); };
  const auto one = rt.spawn(gets), two = rt.spawn(gets);
  check(one.get() + two.get() == 6, "the values");
}

struct calls final : sheaf::work_item {
  explicit calls(std::function<void()> what) noexcept
      : work_item([](work_item& self) noexcept {
          static_cast<calls&>(self).what();
          static_cast<calls&>(self).ran.signal();
        }),
        what(std::move(what)) {}
  std::function<void()> what;
  sync::parker ran;
};

/// What a worker runs next is taken from it when it is long on what it runs now, and seen whole by the one that takes it.
void newest_against_two() {
  pool p({.workers = 4});
  signals item;
  calls waits([&] {
    item.before.write();
    p.post_newest(item);
    item.ran.wait();
  });
  p.post(waits);
  waits.ran.wait();
  item.after.read();
}

/// The last other thread signals a thread that is about to block, and then relies on it: neither is told that it would wait for ever.
void signalled_by_the_last_thread() {
  pool p({.workers = 2, .max_spares = 0});
  sync::parker first, second;
  calls waits_first([&] {
    check(p.block(first) == pool::block_result::signalled, "signalled");
    second.signal();
  });
  calls signals_first([&] {
    first.signal();
    check(p.block(second) == pool::block_result::signalled, "signalled");
  });
  p.post(waits_first);
  p.post(signals_first);
  waits_first.ran.wait();
  signals_first.ran.wait();
}

/// Both workers are blocked in get(). What the one waits for is asked to stop and runs on the other, whose wait has ended meanwhile: it uses
/// the first one's locals until it is over.
void given_up_while_it_ends_elsewhere() {
  sheaf::runtime rt({.workers = 2, .max_blocking_threads = 1, .max_spares = 0});
  sync::parker word;
  const auto call = rt.spawn_blocking([&word] { word.wait(); });
  const auto other = rt.spawn([call] {
    try {
      call.get();
    } catch (const sheaf::would_deadlock&) {  // `one` was the first to block
    }
  });
  const auto one = rt.spawn([] {
    sheaf::event never;
    bool inside = false;
    const auto waits = [&]() -> sheaf::coro<> {
      inside = true;
      try {
        co_await never.wait();
      } catch (const sheaf::cancelled&) {
      }
      inside = false;
    };
    try {
      waits().get();
    } catch (const sheaf::would_deadlock&) {
    }
    check(!inside, "it has ended");
  });
  together({[&word] { word.signal(); }, [&one] { one.cancel(); }});
  wait_out(one);
  other.get();
}

/// The only worker gives a get() up, and what it waits for needs somebody else to go on: a thread beyond the limit.
void given_up_by_the_last_thread() {
  sheaf::runtime rt({.workers = 1, .max_blocking_threads = 1, .max_spares = 0});
  sheaf::event never, done;
  bool inside = false;
  const auto waits = [&]() -> sheaf::coro<> {
    inside = true;
    try {
      co_await never.wait();
    } catch (const sheaf::cancelled&) {
    }
    co_await done.wait();
    inside = false;
  };
  const auto one = rt.spawn([&] {
    try {
      waits().get();
    } catch (const sheaf::would_deadlock&) {
    }
    check(!inside, "it has ended");
    sheaf::spawn([] {}).get();
  });
  together({[&done] { done.set(); }, [&rt] { rt.spawn([] {}); }});
  wait_out(one);
}

const std::array k_scenarios{
    scenario{"parking.one_sleeper_one_pusher", one_sleeper_one_pusher, {.preemptions = 4, .late_stores = true}},
    scenario{"parking.one_sleeper_one_owner", one_sleeper_one_owner, {.preemptions = 4, .late_stores = true}},
    scenario{"parking.one_sleeper_one_newest", one_sleeper_one_newest, {.preemptions = 3, .late_stores = true}},
    scenario{"parking.last_searcher_against_push", last_searcher_against_push, {.preemptions = 4, .late_stores = true}},
    scenario{"parking.parker_is_freed_by_its_waiter", parker_is_freed_by_its_waiter, {.preemptions = 4}},
    scenario{"parking.pool_runs_what_is_posted", pool_runs_what_is_posted, {.preemptions = 2, .random_runs = 2000}},
    scenario{"parking.pool_stops_while_posting", pool_stops_while_posting, {.preemptions = 3, .random_runs = 2000}},
    scenario{"parking.pool_goes_while_a_post_returns", pool_goes_while_a_post_returns, {.preemptions = 3, .random_runs = 2000}},
    scenario{"parking.pool_refuses_after_stop", pool_refuses_after_stop, {.preemptions = 3, .random_runs = 2000}},
    scenario{"parking.newest_against_two", newest_against_two, {.preemptions = 2, .random_runs = 2000}},
    scenario{"parking.signalled_by_the_last_thread", signalled_by_the_last_thread, {.preemptions = 2, .random_runs = 5000}},
    scenario{"parking.given_up_while_it_ends", given_up_while_it_ends_elsewhere, {.preemptions = 2, .random_runs = 3000}},
    scenario{"parking.given_up_by_the_last_thread", given_up_by_the_last_thread, {.preemptions = 1, .random_runs = 2000}},
    scenario{"parking.get_on_the_only_worker", get_on_the_only_worker, {.preemptions = 2, .random_runs = 2000}},
    scenario{"parking.two_workers_get", two_workers_get_each_others_work, {.preemptions = 1, .random_runs = 5000}},
};

}  // namespace

std::span<const scenario> parking_scenarios() { return k_scenarios; }

}  // namespace explorer
