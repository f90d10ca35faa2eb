#include "subject.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <utility>
#include <vector>

#include <sheaf/sheaf.hpp>

#include "generate.hpp"

namespace sheaf::model {

namespace {

/// The error of a fail node.
struct planned : std::runtime_error {
  explicit planned(int number) : std::runtime_error("error " + std::to_string(number)) {}
};

std::string describe(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const task_cancelled&) {
    return "task cancelled";
  } catch (const cancelled&) {
    return "cancelled";
  } catch (const timeout_error&) {
    return "timeout";
  } catch (const exception_group& group) {
    std::vector<std::string> texts;
    for (const std::exception_ptr& each : group.errors()) texts.push_back(describe(each));
    std::ranges::sort(texts);  // some may have failed at one instant
    std::string all = "group(";
    for (const std::string& each : texts) all += each + ";";
    return all + ")";
  } catch (const invalid_state&) {
    return "invalid state";
  } catch (const planned& caught) {
    return caught.what();
  } catch (const std::exception& caught) {
    return std::string("unexpected: ") + caught.what();
  }
}

/// A value that is counted.
class number {
 public:
  number(std::int64_t value, std::atomic<int>& alive) : value_(value), alive_(&alive) { alive_->fetch_add(1); }
  number(const number& other) : number(other.value_, *other.alive_) {}
  number& operator=(const number&) = default;
  ~number() { alive_->fetch_sub(1); }
  [[nodiscard]] std::int64_t value() const { return value_; }

 private:
  std::int64_t value_;
  std::atomic<int>* alive_;
};

/// One of the two, or neither.
struct slot {
  task<number> one{};
  task<std::vector<number>> many{};
};

struct world {
  manual_clock clock;
  std::atomic<int> alive{0};
  std::mutex lock;
  history events;                   ///< under lock
  std::array<slot, k_slots> slots;  ///< under lock
  bool over = false;                ///< under lock

  [[nodiscard]] std::int64_t now() const { return std::chrono::nanoseconds(clock.now()).count(); }
  void note(int id, std::string text, std::int64_t begun) {
    entry ended{id, {std::move(text), now()}, begun};
    const std::lock_guard held(lock);
    if (!over) events.push_back(std::move(ended));
  }
  /// Nothing is noted from now on. The slots are dropped while the runtime is there to be told of errors.
  void end() {
    std::array<slot, k_slots> left;
    const std::lock_guard held(lock);
    over = true;
    std::swap(left, slots);
  }
  slot in_slot(int place) {
    const std::lock_guard held(lock);
    return slots[static_cast<std::size_t>(place)];
  }
  void put(int place, slot started) {
    const std::lock_guard held(lock);
    std::swap(slots[static_cast<std::size_t>(place)], started);
  }
};

coro<std::int64_t> evaluate(const node& what, world& in);

coro<number> as_task(const node& what, world& in) { co_return number(co_await evaluate(what, in), in.alive); }

std::vector<coro<number>> children_of(const node& what, world& in) {
  std::vector<coro<number>> all;
  for (const node& each : what.children) all.push_back(as_task(each, in));
  return all;
}
std::vector<task<number>> start_children_of(const node& what, world& in) {
  std::vector<task<number>> all;
  for (const node& each : what.children) all.push_back(spawn(as_task(each, in)));
  return all;
}

std::int64_t sum(const std::vector<number>& values) {
  std::int64_t total = 0;
  for (const number& each : values) total += each.value();
  return total;
}

coro<std::int64_t> evaluate_wait(const node& what, world& in, wait_mode mode) {
  const std::vector<task<number>> all = start_children_of(what, in);
  wait_options options{.return_when = mode};
  if (what.time != 0) options.timeout = std::chrono::nanoseconds(what.time);
  const auto found = co_await wait(all, options);
  std::int64_t total = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (std::ranges::find(found.done, all[i]) != found.done.end()) total += std::int64_t{1} << i;
  }
  co_return total;
}

coro<std::int64_t> evaluate_in_order_of_completion(const node& what, world& in) {
  const std::vector<task<number>> all = start_children_of(what, in);
  auto completions = as_completed(all);
  std::int64_t total = 0;
  for (;;) {
    const auto ended = co_await completions.next();
    if (!ended) break;
    total = total * 10 + (std::ranges::find(all, *ended) - all.begin()) + 1;
  }
  co_return total;
}

coro<std::int64_t> evaluate_outcomes(const node& what, world& in) {
  const std::vector<outcome<number>> all = co_await gather(return_exceptions, children_of(what, in));
  std::int64_t total = 0;
  for (const outcome<number>& each : all) total = total * 3 + (each.has_value() ? each.value().value() : 1);
  co_return total;
}

coro<std::int64_t> evaluate_group(const node& what, world& in) {
  const auto body = [&what, &in](task_group& group) -> coro<number> {
    for (std::size_t i = 1; i < what.children.size(); ++i) static_cast<void>(group.spawn(as_task(what.children[i], in)));
    co_return co_await as_task(what.children[0], in);
  };
  const number value = co_await with_task_group(body);
  co_return value.value();
}

auto pause(std::int64_t time) { return sleep_for(std::chrono::nanoseconds(time)); }

coro<std::int64_t> evaluate_by_kind(const node& what, world& in) {
  switch (what.what) {
    case kind::sequence: {
      if (what.time != 0) co_await pause(what.time);
      std::int64_t total = 0;
      for (const node& each : what.children) total += co_await evaluate(each, in);
      co_return total;
    }
    case kind::sleep:
      co_await pause(what.time);
      co_return 1;
    case kind::fail:
      throw planned(what.id);
    case kind::attempt:
      try {
        co_return co_await evaluate(what.children[0], in);
      } catch (const task_cancelled&) {
      } catch (const std::exception&) {
      }
      co_return 2;
    case kind::swallow:
      try {
        co_return co_await evaluate(what.children[0], in);
      } catch (const task_cancelled&) {
        throw;
      } catch (const cancelled&) {
      }
      co_return 3;
    case kind::spawn:
      if (what.time >= 0) co_await pause(what.time);
      in.put(what.slot, {.one = spawn(as_task(what.children[0], in))});
      co_return 0;
    case kind::spawn_gather:
      if (what.time >= 0) co_await pause(what.time);
      in.put(what.slot, {.many = gather(children_of(what, in))});
      co_return 0;
    case kind::cancel: {
      if (what.time >= 0) co_await pause(what.time);
      const slot target = in.in_slot(what.slot);
      const bool asked = target.one ? target.one.cancel() : target.many && target.many.cancel();
      const std::int64_t answer = asked ? 6 : target.one || target.many ? 7 : 5;
      if (what.after != 0) co_await pause(what.after);
      co_return answer;
    }
    case kind::join: {
      if (what.time >= 0) co_await pause(what.time);
      const slot target = in.in_slot(what.slot);
      if (target.many) {
        const std::vector<number>& values = co_await target.many;
        co_return sum(values);
      }
      if (!target.one) co_return 5;
      const number& value = co_await target.one;
      co_return value.value();
    }
    case kind::gather: {
      const std::vector<number> values = co_await gather(children_of(what, in));
      co_return sum(values);
    }
    case kind::gather_outcomes:
      co_return co_await evaluate_outcomes(what, in);
    case kind::when_all: {
      const std::vector<number> values = co_await when_all(children_of(what, in));
      co_return sum(values);
    }
    case kind::race: {
      const number value = co_await race(children_of(what, in));
      co_return value.value();
    }
    case kind::wait_first:
      co_return co_await evaluate_wait(what, in, first_completed);
    case kind::wait_exception:
      co_return co_await evaluate_wait(what, in, first_exception);
    case kind::wait_all:
      co_return co_await evaluate_wait(what, in, all_completed);
    case kind::as_completed:
      co_return co_await evaluate_in_order_of_completion(what, in);
    case kind::group:
      co_return co_await evaluate_group(what, in);
    case kind::timeout: {
      const auto body = [&what, &in](timeout_scope&) { return as_task(what.children[0], in); };
      const number value = co_await with_timeout(std::chrono::nanoseconds(what.time), body);
      co_return value.value();
    }
    case kind::wait_for: {
      const number value = co_await wait_for(as_task(what.children[0], in), std::chrono::nanoseconds(what.time));
      co_return value.value();
    }
    default: {
      const number value = co_await shield(as_task(what.children[0], in));
      co_return value.value();
    }
  }
}

coro<std::int64_t> evaluate(const node& what, world& in) {
  const std::int64_t begun = in.now();
  std::int64_t value = 0;
  try {
    value = co_await evaluate_by_kind(what, in);
  } catch (...) {
    in.note(what.id, describe(std::current_exception()), begun);
    throw;
  }
  in.note(what.id, std::to_string(value), begun);
  co_return value;
}

/// Everything that can end has ended by then.
constexpr std::chrono::hours k_for_ever(1000);

coro<> whole(const node& program, world& in) {
  try {
    static_cast<void>(co_await evaluate(program, in));
  } catch (const planned&) {
  } catch (const std::exception&) {
  } catch (const cancelled&) {
  }
  co_await sleep_for(k_for_ever);
  in.end();
}

}  // namespace

history run_on_library(const node& program, std::size_t workers) {
  world in;
  runtime_options options{.workers = workers, .clock = &in.clock};
  options.on_unobserved_error = [](std::string_view, const std::exception_ptr&) {};
  {
    runtime on(std::move(options));
    try {
      on.run(whole(program, in));
    } catch (
        const would_deadlock&) {  // tasks that wait for each other; what they are told by shutdown is not part of the program
      in.end();
    }
  }
  history events = std::move(in.events);
  if (in.alive.load() != 0) throw std::logic_error(std::to_string(in.alive.load()) + " values are left");
  return events;
}

}  // namespace sheaf::model
