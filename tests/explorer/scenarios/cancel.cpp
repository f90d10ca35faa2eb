/// Requests and what they meet: callbacks, scopes, stop tokens, grants.
#include <array>
#include <atomic>
#include <memory>
#include <utility>

#include <sheaf/detail/cancel_scope.hpp>
#include <sheaf/sheaf.hpp>

#include "explorer/scenarios/scenarios.hpp"

namespace explorer {

namespace {

using namespace sheaf;
using namespace std::chrono_literals;

/// A callback that is registered when the request comes runs; one that has left does not run afterwards.
void callback_against_request() {
  runtime rt({.workers = 1});
  const task<> t = rt.spawn([]() -> coro<> {
    bool left = false;
    int calls = 0;
    try {
      const auto held = this_task::token().on_cancel([&] {
        check(!left, "not after it has left");
        ++calls;
      });
      co_await this_task::yield();
    } catch (const cancelled&) {
      check(calls == 1, "called before its frame unwinds");
    }
    left = true;
  });
  together({[&] { t.cancel(); }});
  wait_out(t);
}

void two_requests_one_callback() {
  runtime rt({.workers = 1});
  int calls = 0;
  const task<> t = rt.spawn([&]() -> coro<> {
    const auto held = this_task::token().on_cancel([&] { ++calls; });
    co_await this_task::yield();
  });
  together({[&] { t.cancel(); }, [&] { t.cancel(); }});
  wait_out(t);
  check(calls <= 1, "once");
}

/// Registered while the request comes, and destroyed by the thread that has made it.
void callback_destroyed_by_the_canceller() {
  runtime rt({.workers = 1});
  event never;
  const auto waits = [](event& never) -> coro<> { co_await never.wait(); };
  const task<> t = rt.spawn(waits, std::ref(never));
  const cancel_token token(sheaf::detail::task_access::core(t));
  int calls = 0;
  const auto called = [&calls] { ++calls; };
  using registration = decltype(token.on_cancel(called));
  {
    const registration first = token.on_cancel(called);
  }  // from now on a request looks for callbacks
  std::unique_ptr<const registration> held;
  sheaf::detail::sync::parker registered;
  together({[&] {
              held.reset(new registration(token.on_cancel(called)));
              registered.signal();
            },
            [&] {
              t.cancel();
              registered.wait();
              held.reset();
            }});
  wait_out(t);
  check(calls == 1, "called once");
}

/// A token of a task: what std::stop_token blocks in is not explored.
void stop_token_against_spawn() {
  runtime rt({.workers = 1});
  const auto sleeps = []() -> coro<> {
    for (;;) co_await sleep_for(1h);
  };
  const task<> source = rt.spawn(sleeps);
  task<> t;
  together({[&] { source.cancel(); },
            [&] {
              const cancel_token token(sheaf::detail::task_access::core(source));
              t = rt.spawn(spawn_options{.stop = token}, sleeps);
            }});
  wait_out(t);
  wait_out(source);
  check(t.cancelled(), "asked to stop");
}

/// Reads it when it is destroyed, unless it has been called.
class reads_at_end {
 public:
  reads_at_end(const written& what, mark& ended) noexcept : what_(&what), ended_(&ended) {}
  reads_at_end(reads_at_end&& other) noexcept
      : what_(std::exchange(other.what_, nullptr)), ended_(std::exchange(other.ended_, nullptr)) {}
  reads_at_end& operator=(reads_at_end&&) = delete;
  ~reads_at_end() {
    if (what_ != nullptr) what_->read();
    if (ended_ != nullptr) ended_->set();
  }
  void operator()() noexcept { what_ = nullptr; }

 private:
  const written* what_;
  mark* ended_;
};

/// Work that is never begun, as a token was requested while its task was being started, is destroyed knowing what came before.
void stop_token_shows_what_came_before() {
  written before;
  mark begun, ended;
  slots there;
  there.route = [](work_item&) { return 0U; };
  runtime other({.executor = &there}), rt({.workers = 1});
  const task<> source = other.spawn([] {});
  const cancel_token token(sheaf::detail::task_access::core(source));
  const task<> spawns = rt.spawn([&]() -> coro<> {
    begun.set();
    static_cast<void>(spawn(spawn_options{.stop = token}, reads_at_end(before, ended)));
    co_return;
  });
  begun.await();
  before.write();
  source.cancel();
  ended.await();
  there.run(0);
}

/// A permit that is granted to a waiter at the moment it is cancelled goes on.
void grant_against_cancel() {
  runtime rt({.workers = 1});
  semaphore one(0);
  const auto takes = [](semaphore& from) -> coro<> { const permit mine = co_await from.acquire(); };
  const task<> first = rt.spawn(takes, std::ref(one));
  const task<> second = rt.spawn(takes, std::ref(one));
  together({[&] { first.cancel(); }, [&] { one.release(); }});
  wait_out(first);
  second.get();
  check(one.available() == 1, "the permit is back");
}

void item_against_cancel() {
  runtime rt({.workers = 1});
  queue<int> items;
  const auto pops = [](queue<int>& from) -> coro<int> { co_return co_await from.pop(); };
  const task<int> first = rt.spawn(pops, std::ref(items));
  const task<int> second = rt.spawn(pops, std::ref(items));
  together({[&] { first.cancel(); }, [&] { check(items.try_push(7), "room"); }});
  wait_out(first);
  if (first.cancelled()) {
    check(second.get() == 7, "the item went on");
  } else {
    second.cancel();
    wait_out(second);
  }
}

void lock_against_cancel() {
  runtime rt({.workers = 1});
  mutex m;
  check(m.try_lock(), "free");
  const auto locks = [](mutex& m) -> coro<> { const guard held = co_await m.scoped_lock(); };
  const task<> first = rt.spawn(locks, std::ref(m));
  const task<> second = rt.spawn(locks, std::ref(m));
  together({[&] { first.cancel(); }, [&] { m.unlock(); }});
  wait_out(first);
  second.get();
  check(!m.is_locked(), "free again");
}

/// Who was cancelled has left the queue: its frame is gone when the event is set.
void event_against_cancel() {
  runtime rt({.workers = 1});
  event happened;
  const auto waits = [](event& happened) -> coro<> { co_await happened.wait(); };
  const task<> first = rt.spawn(waits, std::ref(happened));
  const task<> second = rt.spawn(waits, std::ref(happened));
  together({[&] {
              first.cancel();
              wait_out(first);
              happened.set();
            },
            [&] { second.get(); }});
  check(happened.is_set(), "set");
}

/// What a scope asked for is taken back when it closes, delivered or not: the next wait is not hit.
void fire_against_close() {
  runtime rt({.workers = 1});
  sheaf::detail::cancel_scope scope;
  sheaf::detail::sync::atomic<bool> opened{false};
  const task<> t = rt.spawn([&]() -> coro<> {
    scope.open(*co_await sheaf::detail::this_core());
    opened.store(true, std::memory_order_release);
    try {
      co_await this_task::yield();
    } catch (const cancelled&) {
    }
    const bool seen = scope.has_fired();
    check(scope.close() || !seen, "what has fired is taken back");
    co_await this_task::yield();
  });
  together({[&] {
    while (!opened.load(std::memory_order_acquire)) pause();
    static_cast<void>(scope.fire());
  }});
  t.get();
}

/// The request of a scope goes through the lock of the callbacks: it has let go of the task when the scope closes.
void scope_fire_against_the_end() {
  sheaf::detail::cancel_scope scope;
  sheaf::detail::sync::atomic<bool> opened{false};
  runtime rt({.workers = 1});
  static_cast<void>(rt.spawn([&]() -> coro<> {
    {
      const auto held = this_task::token().on_cancel([] {});
    }  // from now on a request looks for callbacks
    scope.open(*co_await sheaf::detail::this_core());
    opened.store(true, std::memory_order_release);
    static_cast<void>(scope.close());
  }));
  together({[&] {
    while (!opened.load(std::memory_order_acquire)) pause();
    static_cast<void>(scope.fire());
  }});
}

/// What came before set() is seen by who passes, and by who looks.
void event_shows_what_came_before() {
  runtime rt({.workers = 1});
  event happened;
  written before;
  const auto waits = [](event& happened, const written& before) -> coro<> {
    co_await happened.wait();
    before.read();
  };
  const task<> passes = rt.spawn(waits, std::ref(happened), std::cref(before));
  together({[&] {
              before.write();
              happened.set();
            },
            [&] {
              if (happened.is_set()) before.read();
            }});
  passes.get();
}

/// What came before a request is seen by who is stopped by it, and by who looks.
void request_shows_what_came_before() {
  runtime rt({.workers = 1});
  event never;
  written before;
  const auto waits = [](event& never, const written& before) -> coro<> {
    try {
      if (this_task::token().requested()) before.read();
      co_await never.wait();
    } catch (const cancelled&) {
      before.read();
      throw;
    }
  };
  const task<> t = rt.spawn(waits, std::ref(never), std::cref(before));
  together({[&] {
    before.write();
    t.cancel();
  }});
  wait_out(t);
}

/// The same of who does no more than look. The token stays: its end would show it as well.
void looks_for_a_request() {
  runtime rt({.workers = 1});
  written before;
  const task<> t = rt.spawn([&before] {
    const cancel_token mine = this_task::token();
    while (!mine.requested()) pause();
    before.read();
  });
  together({[&] {
    before.write();
    t.cancel();
  }});
  wait_out(t);
}

/// The same of a scope's request, which is not counted.
void looks_for_a_scopes_request() {
  runtime rt({.workers = 1});
  sheaf::detail::cancel_scope scope;
  sheaf::detail::sync::atomic<bool> opened{false};
  written before;
  const task<> t = rt.spawn([&]() -> coro<> {
    scope.open(*co_await sheaf::detail::this_core());
    const cancel_token mine = this_task::token();
    opened.store(true, std::memory_order_release);
    while (!mine.requested()) pause();
    before.read();
    static_cast<void>(scope.close());
  });
  together({[&] {
    while (!opened.load(std::memory_order_acquire)) pause();
    before.write();
    static_cast<void>(scope.fire());
  }});
  t.get();
}

/// Who has passed may destroy the event at once.
void event_destroyed_by_who_passed() {
  runtime rt({.workers = 1});
  auto happened = std::make_unique<event>();
  event& seen = *happened;
  const task<> passes = rt.spawn([](std::unique_ptr<event> mine) -> coro<> { co_await mine->wait(); }, std::move(happened));
  together({[&] { seen.set(); }});
  passes.get();
}

/// The item of a blocked pop() arrives, or stays.
void blocked_pop_against_cancel() {
  runtime rt({.workers = 1});
  queue<int> items;
  bool got = false;
  const task<> pops = rt.spawn([&]() -> coro<> {
    got = items.pop().get() == 7;
    co_return;
  });
  together({[&] { check(items.try_push(7), "room"); }, [&] { pops.cancel(); }});
  wait_out(pops);
  check(got != (items.size() == 1), "the item is here or there");
}

void future_against_cancel() {
  runtime rt({.workers = 1});
  promise<int> p;
  const task<int> reads = rt.spawn([](future<int> f) -> coro<int> { co_return co_await f; }, p.get_future());
  together({[&] { reads.cancel(); }, [&] { p.set_value(7); }});
  wait_out(reads);
}

const std::array k_scenarios{
    scenario{"callback.against_request", callback_against_request, {.preemptions = 2, .random_runs = 2000}},
    scenario{"callback.two_requests", two_requests_one_callback, {.preemptions = 1, .random_runs = 2000}},
    scenario{"callback.destroyed_by_the_canceller", callback_destroyed_by_the_canceller, {.preemptions = 2, .random_runs = 2000}},
    scenario{"scope.fire_against_close", fire_against_close, {.preemptions = 2, .random_runs = 2000}},
    scenario{"scope.fire_against_the_end", scope_fire_against_the_end, {.preemptions = 2, .random_runs = 2000}},
    scenario{"stop_token.against_spawn", stop_token_against_spawn, {.preemptions = 2, .random_runs = 2000}},
    scenario{"stop_token.shows_what_came_before", stop_token_shows_what_came_before, {.preemptions = 1, .random_runs = 1000}},
    scenario{"semaphore.grant_against_cancel", grant_against_cancel, {.preemptions = 1, .random_runs = 2000}},
    scenario{"queue.item_against_cancel", item_against_cancel, {.preemptions = 1, .random_runs = 2000}},
    scenario{"mutex.lock_against_cancel", lock_against_cancel, {.preemptions = 1, .random_runs = 2000}},
    scenario{"event.set_against_cancel", event_against_cancel, {.preemptions = 1, .random_runs = 2000}},
    scenario{"event.shows_what_came_before", event_shows_what_came_before, {.preemptions = 2, .random_runs = 2000}},
    scenario{"callback.request_shows_what_came_before", request_shows_what_came_before, {.preemptions = 2, .random_runs = 2000}},
    scenario{"callback.looks_for_a_request", looks_for_a_request, {.preemptions = 1, .random_runs = 2000}},
    scenario{"scope.looks_for_a_request", looks_for_a_scopes_request, {.preemptions = 1, .random_runs = 2000}},
    scenario{"event.destroyed_by_who_passed", event_destroyed_by_who_passed, {.preemptions = 1, .random_runs = 2000}},
    scenario{"queue.blocked_pop_against_cancel", blocked_pop_against_cancel, {.preemptions = 1, .random_runs = 2000}},
    scenario{"future.set_against_cancel", future_against_cancel, {.preemptions = 1, .random_runs = 2000}},
};

}  // namespace

std::span<const scenario> cancel_scenarios() { return k_scenarios; }

}  // namespace explorer
