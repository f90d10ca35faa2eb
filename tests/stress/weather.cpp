#include "weather.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace sheaf::stress {

task<counted> shared_tasks::pick(dice& roll) const {
  const auto place = static_cast<std::size_t>(roll.below(static_cast<int>(tasks_.size())));
  const std::lock_guard held(lock_);
  return tasks_[place];
}

void shared_tasks::put(dice& roll, task<counted> started) {
  const auto place = static_cast<std::size_t>(roll.below(static_cast<int>(tasks_.size())));
  const std::lock_guard held(lock_);
  std::swap(tasks_[place], started);
}

void shared_tasks::clear() {
  std::array<task<counted>, 16> dropped;
  const std::lock_guard held(lock_);
  std::swap(tasks_, dropped);
}

void weather::expect_calm() {
  EXPECT_EQ(permits.available(), k_permits);
  EXPECT_FALSE(lock.is_locked());
  EXPECT_EQ(items_in - items_out, static_cast<std::int64_t>(items.size()));
  while (items.try_pop()) {
  }
  tasks.clear();  // the last ones that ended may have put some there
  accounts.expect_balance();
}

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::microseconds k_nap = 200us;

std::vector<coro<counted>> children(weather& in, dice& roll, int depth) {
  std::vector<coro<counted>> all;
  const int count = roll.below(4) + 1;
  for (int i = 0; i < count; ++i) all.push_back(act(in, roll.seed(), depth - 1));
  return all;
}
std::vector<task<counted>> started_children(weather& in, dice& roll, int depth) {
  std::vector<task<counted>> all;
  for (coro<counted>& each : children(in, roll, depth)) all.push_back(spawn(std::move(each)));
  return all;
}

// ---- without children

coro<> hold_a_permit(weather& in, dice& roll) {
  const permit mine = co_await in.permits.acquire(static_cast<std::size_t>(roll.below(2)) + 1);
  co_await sleep_for(roll.at_most(k_nap));
}

coro<> hold_the_lock(weather& in) {
  const guard held = co_await in.lock.scoped_lock();
  if (std::exchange(in.occupied, true)) ++in.accounts.unexpected;
  try {
    co_await this_task::yield();
  } catch (const cancelled&) {
  }
  in.occupied = false;
}

coro<> push_an_item(weather& in) {
  counted item(in.accounts.values);
  ++in.items_in;
  try {
    co_await in.items.push(std::move(item));
  } catch (const cancelled&) {
    --in.items_in;
    throw;
  }
}

coro<> pop_an_item(weather& in) {
  const counted item = co_await in.items.pop();
  ++in.items_out;
}

/// A limit on what may never come.
coro<> within_a_nap(coro<> what, dice& roll) {
  const auto limit = roll.at_most(k_nap);
  try {
    co_await wait_for(std::move(what), limit);
  } catch (const timeout_error&) {
  }
}

coro<> refuse_to_stop_once(dice& roll) {
  const auto limit = roll.at_most(k_nap);
  try {
    co_await sleep_for(limit);
  } catch (const cancelled&) {
  }
  co_await sleep_for(limit);
}

coro<> wait_for_somebody(weather& in, dice& roll) {
  const task<counted> other = in.tasks.pick(roll);
  if (!other) co_return;
  const std::vector<task<counted>> only(1, other);
  const wait_options options{.timeout = roll.at_most(k_nap)};
  static_cast<void>(co_await wait(only, options));
}

void stop_somebody(weather& in, dice& roll) {
  const task<counted> other = in.tasks.pick(roll);
  if (other) other.cancel("a storm");
}

coro<> call_somebody_back(weather& in, dice& roll) {
  const task<counted> other = in.tasks.pick(roll);
  if (!other) co_return;
  ledger* const accounts = &in.accounts;
  ++accounts->callbacks;
  const auto called = [accounts] { --accounts->callbacks; };
  std::optional<callback_id> id;
  try {
    id = other.on_done(called);
  } catch (const runtime_closed&) {
    --accounts->callbacks;
  }
  if (!id || roll.one_in(2)) co_return;
  co_await this_task::yield();
  if (other.remove_done(*id)) --accounts->callbacks;
}

/// Gives up the thread while another one works.
coro<> block(weather& in, dice& roll) {
  const auto nap = roll.at_most(k_nap);
  ledger* const accounts = &in.accounts;
  const auto sleeps = [nap, accounts] {
    const counted frame(accounts->frames);
    std::this_thread::sleep_for(nap);
  };
  if (roll.one_in(4)) {
    co_await spawn_blocking(abandon, sleeps);
  } else {
    co_await spawn_blocking(sleeps);
  }
}

coro<> rest(weather& in, dice& roll) {
  switch (roll.below(12)) {
    case 0:
      throw planned(in.accounts);
    case 1:
      return within_a_nap(hold_a_permit(in, roll), roll);
    case 2:
      return hold_the_lock(in);
    case 3:
      return within_a_nap(push_an_item(in), roll);
    case 4:
      return within_a_nap(pop_an_item(in), roll);
    case 5:
      return refuse_to_stop_once(roll);
    case 6:
      return wait_for_somebody(in, roll);
    case 7:
      stop_somebody(in, roll);
      break;
    case 8:
      return call_somebody_back(in, roll);
    case 9:
      return block(in, roll);
    default:
      break;
  }
  return [](std::chrono::microseconds nap) -> coro<> { co_await sleep_for(nap); }(roll.at_most(k_nap));
}

// ---- with children

coro<> wait_in_some_mode(weather& in, dice& roll, int depth) {
  constexpr std::array k_modes{first_completed, first_exception, all_completed};
  const std::vector<task<counted>> all = started_children(in, roll, depth);
  wait_options options{.return_when = k_modes[static_cast<std::size_t>(roll.below(3))]};
  if (roll.one_in(2)) options.timeout = roll.at_most(k_nap);
  const auto seen = co_await wait(all, options);
  if (seen.done.size() + seen.pending.size() != all.size()) ++in.accounts.unexpected;
  if (roll.one_in(2)) co_await cancel_and_join(all);
}

coro<> take_as_completed(weather& in, dice& roll, int depth) {
  std::vector<coro<counted>> all = children(in, roll, depth);
  const std::size_t count = all.size();
  const bool leaves = roll.one_in(3);
  auto stream = as_completed(std::move(all));
  std::size_t taken = 0;
  while (const auto next = co_await stream.next()) {
    ++taken;
    static_cast<void>(next->exception());
    if (leaves) co_return;
  }
  if (taken != count) ++in.accounts.unexpected;
}

coro<> feed_a_queue(weather& in, dice& roll, int depth) {
  completion_queue<counted> done;
  for (const task<counted>& each : started_children(in, roll, depth)) done.add(each);
  for (int more = roll.below(4);;) {
    const auto next = co_await done.next();
    if (!next) break;
    if (more-- > 0) done.add(spawn(act(in, roll.seed(), depth - 1)));
  }
}

coro<> form_a_group(weather& in, dice& roll, int depth) {
  const auto body = [&](task_group& group) -> coro<> {
    for (coro<counted>& each : children(in, roll, depth)) {
      try {
        static_cast<void>(group.spawn(std::move(each)));
      } catch (const invalid_state&) {
        break;
      }
    }
    const auto nap = roll.at_most(k_nap);
    co_await sleep_for(nap);
    if (roll.one_in(4)) group.cancel();
  };
  co_await with_task_group(body);
}

coro<> map_some(weather& in, dice& roll, int depth) {
  std::vector<std::uint64_t> seeds(4);
  for (std::uint64_t& each : seeds) each = roll.seed();
  const auto each = [&in, depth](std::uint64_t seed) { return act(in, seed, depth - 1); };
  static_cast<void>(co_await map_limited(2, seeds, each));
}

coro<> limit_in_time(weather& in, dice& roll, int depth) {
  const auto body = [&](timeout_scope& scope) -> coro<> {
    if (roll.one_in(2)) {
      try {
        scope.reschedule(roll.at_most(k_nap));
      } catch (const invalid_state&) {  // it has expired
      }
    }
    static_cast<void>(co_await act(in, roll.seed(), depth - 1));
  };
  const auto limit = roll.at_most(2 * k_nap);
  co_await with_timeout(limit, body);
}

coro<> clean_up(weather& in, dice& roll, int depth) {
  const auto body = [&]() -> coro<> { static_cast<void>(co_await act(in, roll.seed(), depth - 1)); };
  const auto cleanup = [&]() -> coro<> {
    const auto nap = roll.at_most(k_nap);
    co_await sleep_for(nap);
  };
  co_await with_cleanup(body, cleanup);
}

/// Blocks its worker: the seat goes to a spare.
coro<> get_on_a_worker(weather& in, dice& roll, int depth) {
  static_cast<void>(spawn(act(in, roll.seed(), depth - 1)).get());
  co_return;
}

coro<> work(weather& in, dice& roll, int depth) {
  const auto limit = roll.at_most(k_nap);
  switch (roll.below(16)) {
    case 0:
      static_cast<void>(co_await gather(children(in, roll, depth)));
      break;
    case 1:
      static_cast<void>(co_await gather(return_exceptions, children(in, roll, depth)));
      break;
    case 2:
      static_cast<void>(co_await when_all(children(in, roll, depth)));
      break;
    case 3:
      static_cast<void>(co_await race(children(in, roll, depth)));
      break;
    case 4: {
      const first_success_options options{.stagger = limit};
      static_cast<void>(co_await first_success(options, children(in, roll, depth)));
      break;
    }
    case 5:
      static_cast<void>(co_await shield(spawn(act(in, roll.seed(), depth - 1))));
      break;
    case 6:
      static_cast<void>(co_await wait_for(act(in, roll.seed(), depth - 1), limit));
      break;
    case 7:
      co_await wait_in_some_mode(in, roll, depth);
      break;
    case 8:
      co_await take_as_completed(in, roll, depth);
      break;
    case 9:
      co_await feed_a_queue(in, roll, depth);
      break;
    case 10:
      co_await form_a_group(in, roll, depth);
      break;
    case 11:
      co_await map_some(in, roll, depth);
      break;
    case 12:
      co_await clean_up(in, roll, depth);
      break;
    case 13:
      co_await limit_in_time(in, roll, depth);
      break;
    case 14:
      in.tasks.put(roll, spawn(act(in, roll.seed(), depth - 1)));
      break;
    default:
      co_await get_on_a_worker(in, roll, depth);
      break;
  }
}

}  // namespace

coro<counted> act(weather& in, std::uint64_t seed, int depth) {
  const counted frame(in.accounts.frames);
  dice roll(seed);
  if (depth == 0 || roll.one_in(4)) {
    co_await rest(in, roll);
  } else {
    co_await work(in, roll, depth);
  }
  co_return counted(in.accounts.values);
}

watchdog::watchdog() : thread_([this] { watch(); }) {}

watchdog::~watchdog() {
  {
    const std::lock_guard held(lock_);
    over_ = true;
  }
  over_changed_.notify_one();
  thread_.join();
}

void watchdog::add(runtime& rt) {
  const std::lock_guard held(lock_);
  runtimes_.push_back(&rt);
}

void watchdog::remove(runtime& rt) {
  const std::lock_guard held(lock_);
  std::erase(runtimes_, &rt);
}

void watchdog::watch() {
  std::unique_lock held(lock_);
  if (over_changed_.wait_for(held, 2min, [this] { return over_; })) return;
  for (runtime* const each : runtimes_) std::cerr << each->dump() << '\n';
  std::abort();
}

void calm_down(runtime& rt) {
  for (;;) {
    const std::vector<any_task> left = rt.tasks();
    if (left.empty()) return;
    for (const any_task& each : left) each.cancel("the storm is over");
    std::this_thread::yield();
  }
}

}  // namespace sheaf::stress
