#include "rules.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <utility>

#include "generate.hpp"
#include "simulation.hpp"

namespace sheaf::model {

namespace {

std::string describe(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const was_cancelled&) {
    return "cancelled";
  } catch (const other_was_cancelled&) {
    return "task cancelled";
  } catch (const failure& caught) {
    return caught.what();
  }
}

using tasks = std::vector<sim_task*>;

bool all_done(const tasks& some) {
  return std::ranges::all_of(some, [](const sim_task* each) { return each->done(); });
}
/// The first of those that `fits`, in the order in which they have ended; null if there is none.
template <class Fits>
sim_task* first_ended(const tasks& some, Fits fits) {
  sim_task* first = nullptr;
  for (sim_task* const each : some) {
    if (each->done() && fits(*each) && (first == nullptr || each->ended_as < first->ended_as)) first = each;
  }
  return first;
}
bool has_no_value(const sim_task& task) { return task.now != sim_task::state::value; }
bool has_failed(const sim_task& task) { return task.now == sim_task::state::error; }
bool is_any(const sim_task&) { return true; }

std::int64_t result_of(const sim_task& ended) {
  if (ended.now == sim_task::state::cancelled) throw other_was_cancelled();
  if (ended.error) std::rethrow_exception(ended.error);
  return ended.value;
}
std::int64_t sum_of(const tasks& some) {
  std::int64_t total = 0;
  for (const sim_task* const each : some) total += result_of(*each);
  return total;
}

class interpreter {
 public:
  trace run(const node& program) {
    const sim_task& main = world_.start([&](sim_task& self) { return whole(self, program); });
    world_.run(main);
    return std::move(events_);
  }

 private:
  step_by_step whole(sim_task& self, const node& program) {
    try {
      static_cast<void>(co_await evaluate(self, program));
    } catch (...) {
    }
    constexpr std::int64_t k_for_ever = 3'600'000'000'000'000;
    simulation::wait end = until(self, world_.now() + k_for_ever);
    static_cast<void>(co_await end);
    co_return 0;
  }

  step_by_step evaluate(sim_task& self, const node& what) {
    const std::int64_t begun = world_.now();
    std::int64_t value = 0;
    try {
      value = co_await evaluate_by_kind(self, what);
    } catch (...) {
      const event ended{describe(std::current_exception()), world_.now()};
      if (!nothing_happened(ended, begun)) events_[what.id] = ended;
      throw;
    }
    events_[what.id] = {std::to_string(value), world_.now()};
    co_return value;
  }

  step_by_step pause(sim_task& self, std::int64_t time) {
    if (time != 0) {
      simulation::wait end = until(self, world_.now() + time);
      if (co_await end) throw was_cancelled();
    }
    co_return 1;
  }

  step_by_step evaluate_by_kind(sim_task& self, const node& what) {
    switch (what.what) {
      case kind::sequence: {
        static_cast<void>(co_await pause(self, what.time));
        std::int64_t total = 0;
        for (const node& each : what.children) total += co_await evaluate(self, each);
        co_return total;
      }
      case kind::sleep:
        co_return co_await pause(self, what.time);
      case kind::fail:
        throw failure("error " + std::to_string(what.id));
      case kind::attempt:
        try {
          co_return co_await evaluate(self, what.children[0]);
        } catch (const was_cancelled&) {
          throw;
        } catch (...) {
        }
        co_return 2;
      case kind::swallow:
        try {
          co_return co_await evaluate(self, what.children[0]);
        } catch (const was_cancelled&) {
        }
        co_return 3;
      case kind::spawn:
        static_cast<void>(co_await pause(self, what.time));
        slots_[static_cast<std::size_t>(what.slot)] = start(what.children[0]);
        co_return 0;
      case kind::cancel: {
        static_cast<void>(co_await pause(self, what.time));
        sim_task* const target = slots_[static_cast<std::size_t>(what.slot)];
        const std::int64_t answer = target == nullptr ? 5 : world_.request(*target) ? 6 : 7;
        static_cast<void>(co_await pause(self, pause_after(what)));
        co_return answer;
      }
      case kind::join: {
        static_cast<void>(co_await pause(self, what.time));
        sim_task* const target = slots_[static_cast<std::size_t>(what.slot)];
        if (target == nullptr) co_return 5;
        if (target == &self) throw failure("invalid state");
        co_return co_await observe(self, *target);
      }
      case kind::gather:
      case kind::gather_outcomes:
        co_return co_await gather(self, what);
      case kind::when_all:
        co_return co_await when_all(self, what);
      case kind::race:
        co_return co_await race(self, what);
      case kind::wait_first:
      case kind::wait_exception:
      case kind::wait_all:
        co_return co_await wait(self, what);
      case kind::as_completed:
        co_return co_await in_order_of_completion(self, what);
      case kind::group:
        co_return co_await group(self, what);
      case kind::timeout:
        co_return co_await timeout(self, what);
      case kind::wait_for:
        co_return co_await wait_for(self, what);
      default: {
        sim_task* const shielded = start(what.children[0]);
        co_return co_await observe(self, *shielded);
      }
    }
  }

  // ---- one task ----

  sim_task* start(const node& what) {
    return &world_.start([&](sim_task& self) { return evaluate(self, what); });
  }
  tasks start_all(std::span<const node> all) {
    tasks started;
    for (const node& each : all) started.push_back(start(each));
    return started;
  }
  void request_all(const tasks& some) {
    for (sim_task* const each : some) world_.request(*each);
  }
  simulation::wait until(sim_task& self, std::int64_t time) {
    world_.at(time, {});
    return {self, [this, time] { return world_.now() >= time; }};
  }
  /// Cancelled, it goes, and the other task goes on.
  step_by_step observe(sim_task& self, sim_task& target) {
    simulation::wait end{self, [&target] { return target.done(); }};
    const bool asked = co_await end;
    if (asked) throw was_cancelled();
    co_return result_of(target);
  }

  // ---- many ----

  /// The first failure is told at once, the others go on; a request goes to all, and all are waited for.
  step_by_step gather(sim_task& self, const node& what) {
    const tasks children = start_all(what.children);
    const bool outcomes = what.what == kind::gather_outcomes;
    bool asked = false;
    simulation::wait end{
        self, [&] { return all_done(children) || (!asked && !outcomes && first_ended(children, has_no_value) != nullptr); },
        [&] {
          asked = true;
          request_all(children);
        }};
    if (co_await end) throw was_cancelled();
    if (outcomes) {
      std::int64_t total = 0;
      for (const sim_task* const each : children) total = total * 3 + (has_no_value(*each) ? 1 : each->value);
      co_return total;
    }
    if (const sim_task* const failed = first_ended(children, has_no_value)) co_return result_of(*failed);
    co_return sum_of(children);
  }

  /// The first failure stops the others; all are waited for, whatever happens.
  step_by_step when_all(sim_task& self, const node& what) {
    const tasks children = start_all(what.children);
    bool stopped = false;  // once, by whoever is first: a child or the task itself
    for (sim_task* const each : children) {
      each->at_end.emplace_back([&, each] {
        if (has_no_value(*each) && !std::exchange(stopped, true)) request_all(children);
      });
    }
    simulation::wait end{self, [&] { return all_done(children); },
                         [&] {
                           stopped = true;
                           request_all(children);
                         }};
    if (co_await end) throw was_cancelled();
    if (const sim_task* const failed = first_ended(children, has_no_value)) co_return result_of(*failed);
    co_return sum_of(children);
  }

  /// The first to end has won; the others are stopped and waited for.
  step_by_step race(sim_task& self, const node& what) {
    const tasks children = start_all(what.children);
    bool stopped = false;
    for (sim_task* const each : children) {
      each->at_end.emplace_back([&] {
        if (!std::exchange(stopped, true)) request_all(children);
      });
    }
    simulation::wait end{self, [&] { return all_done(children); },
                         [&] {
                           stopped = true;
                           request_all(children);
                         }};
    if (co_await end) throw was_cancelled();
    co_return result_of(*first_ended(children, is_any));
  }

  /// Looks, and changes nothing.
  step_by_step wait(sim_task& self, const node& what) {
    const tasks children = start_all(what.children);
    const std::int64_t limit = what.time != 0 ? world_.now() + what.time : INT64_MAX;
    if (what.time != 0) world_.at(limit, {});
    simulation::wait end{self, [&] {
                           if (world_.now() >= limit || all_done(children)) return true;
                           if (what.what == kind::wait_first) return first_ended(children, is_any) != nullptr;
                           return what.what == kind::wait_exception && first_ended(children, has_failed) != nullptr;
                         }};
    if (co_await end) throw was_cancelled();
    std::int64_t total = 0;
    for (std::size_t i = 0; i < children.size(); ++i) {
      if (children[i]->done()) total += std::int64_t{1} << i;
    }
    co_return total;
  }

  step_by_step in_order_of_completion(sim_task& self, const node& what) {
    const tasks children = start_all(what.children);
    std::vector<bool> given(children.size(), false);
    std::int64_t total = 0;
    for (std::size_t count = 0; count < children.size(); ++count) {
      std::size_t next = children.size();
      const auto look = [&] {
        next = children.size();
        for (std::size_t i = 0; i < children.size(); ++i) {
          if (given[i] || !children[i]->done()) continue;
          if (next == children.size() || children[i]->ended_as < children[next]->ended_as) next = i;
        }
        return next != children.size();
      };
      simulation::wait one{self, look};
      if (co_await one) throw was_cancelled();
      given[next] = true;
      total = total * 10 + static_cast<std::int64_t>(next) + 1;
    }
    co_return total;
  }

  // ---- scopes ----

  /// Requests from outside a scope: all, and those that the task has seen. `depth`: how many scopes are around it.
  static int level(const sim_task& self, std::size_t depth) {
    int count = self.requests;
    for (std::size_t i = 0; i < depth; ++i) count += self.scopes[i]->fired ? 1 : 0;
    return count;
  }
  static int seen_level(const sim_task& self, std::size_t depth) {
    int count = self.seen_requests();
    for (std::size_t i = 0; i < depth; ++i) count += self.scopes[i]->delivered ? 1 : 0;
    return count;
  }
  static std::size_t open(sim_task& self, scope& own) {
    const std::size_t depth = self.scopes.size();
    own.seen_at_entry = seen_level(self, depth);
    own.counted_at_entry = self.seen_requests();
    self.scopes.push_back(&own);
    return depth;
  }
  static void close(sim_task& self, scope& own) {
    self.scopes.pop_back();
    for (scope* const each : self.scopes) {
      if (each->seen_in == &own) each->seen_in = self.scopes.back();
    }
  }

  /// The deadline asks the task to stop; what leaves the body for no other reason is a timeout.
  step_by_step timeout(sim_task& self, const node& what) {
    scope own;
    const std::size_t depth = open(self, own);
    const auto open_still = std::make_shared<bool>(true);
    world_.at(world_.now() + what.time, [this, &self, &own, open_still] {
      if (*open_still) world_.fire(self, own);
    });
    std::int64_t value = 0;
    std::exception_ptr error;
    bool interrupted = false;
    try {
      value = co_await evaluate(self, what.children[0]);
    } catch (const was_cancelled&) {
      interrupted = true;
    } catch (...) {
      error = std::current_exception();
    }
    *open_still = false;
    const bool foreign = level(self, depth) > own.seen_at_entry;
    close(self, own);
    if (error) std::rethrow_exception(error);
    if (!interrupted) co_return value;
    if (own.fired && !foreign) throw failure("timeout");
    if (foreign) self.deliver();
    throw was_cancelled();
  }

  step_by_step wait_for(sim_task& self, const node& what) {
    sim_task* const child = start(what.children[0]);
    bool asked_in_time = false;
    world_.at(world_.now() + what.time, [this, child, &asked_in_time] {  // this wait is over when the child has ended
      if (!child->done()) asked_in_time = world_.request(*child);
    });
    simulation::wait end{self, [&] { return child->done(); }, [&] { world_.request(*child); }};
    if (co_await end) throw was_cancelled();
    if (asked_in_time && child->now == sim_task::state::cancelled) throw failure("timeout");
    co_return result_of(*child);
  }

  /// The first failure stops the others and the body; all failures are told together.
  step_by_step group(sim_task& self, const node& what) {
    scope own;
    const std::size_t depth = open(self, own);
    const tasks children = start_all(std::span(what.children).subspan(1));
    bool aborting = false;
    for (sim_task* const each : children) {
      each->at_end.emplace_back([&, each] {
        if (!has_failed(*each) || std::exchange(aborting, true)) return;
        world_.fire(self, own);
        request_all(children);
      });
    }
    std::int64_t value = 0;
    std::exception_ptr body_error;
    bool body_cancelled = false, asked_by_group = false;
    try {
      value = co_await evaluate(self, what.children[0]);
    } catch (const was_cancelled&) {
      body_cancelled = true;
      asked_by_group = aborting;
    } catch (...) {
      body_error = std::current_exception();
    }
    const bool asked_now = (body_cancelled || body_error) && !std::exchange(aborting, true);
    if (asked_now) request_all(children);
    bool join_cancelled = false;
    if (!all_done(children)) {
      int passed_on = asked_now ? level(self, depth) : seen_level(self, depth);
      simulation::wait end{self, [&] { return all_done(children); },
                           [&] {
                             const int asked = level(self, depth);
                             if (asked <= passed_on) return;
                             passed_on = asked;
                             aborting = true;
                             request_all(children);
                           }};
      join_cancelled = co_await end;
    }
    const bool foreign = level(self, depth) > own.seen_at_entry;
    std::vector<std::string> errors;
    for (const sim_task* const each : children) {
      if (has_failed(*each)) errors.push_back(describe(each->error));
    }
    if (body_error) errors.push_back(describe(body_error));
    if (!errors.empty()) {  // what came from outside has not been told, and is asked for again
      if (self.seen_requests() > own.counted_at_entry) self.request_pending = true;
      for (std::size_t i = 0; i < depth; ++i) {
        if (self.scopes[i]->delivered && self.scopes[i]->seen_in == &own) self.scopes[i]->delivered = false;
      }
    }
    close(self, own);
    if (!errors.empty()) {
      std::ranges::sort(errors);
      std::string all = "group(";
      for (const std::string& each : errors) all += each + ";";
      throw failure(all + ")");
    }
    if (foreign && (join_cancelled || body_cancelled)) self.deliver();
    if (foreign && join_cancelled) throw was_cancelled();
    if (body_cancelled && (foreign || !asked_by_group)) throw was_cancelled();
    if (body_cancelled) throw other_was_cancelled();
    co_return value;
  }

  simulation world_;
  trace events_;
  std::array<sim_task*, k_slots> slots_{};
};

}  // namespace

trace run_by_the_rules(const node& program) { return interpreter().run(program); }

}  // namespace sheaf::model
