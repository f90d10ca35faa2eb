#include "rules.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <utility>

#include "children.hpp"
#include "generate.hpp"
#include "simulation.hpp"

namespace sheaf::model {

namespace {

class interpreter {
 public:
  explicit interpreter(guide& order) : world_(order) {}
  history run(const node& program) {
    const sim_task& main = world_.start(program.id, [&](sim_task& self) { return whole(self, program); });
    return world_.run(main);
  }

 private:
  step_by_step whole(sim_task& self, const node& program) {
    try {
      static_cast<void>(co_await evaluate(self, program));
    } catch (...) {
    }
    constexpr std::int64_t k_for_ever = 3'600'000'000'000'000;
    static_cast<void>(co_await pause(self, k_for_ever));
    co_return 0;
  }

  step_by_step evaluate(sim_task& self, const node& what) {
    const std::int64_t begun = world_.now();
    std::int64_t value = 0;
    try {
      value = co_await evaluate_by_kind(self, what);
    } catch (...) {
      world_.note({what.id, {describe(std::current_exception()), world_.now()}, begun});
      throw;
    }
    world_.note({what.id, {std::to_string(value), world_.now()}, begun});
    co_return value;
  }

  step_by_step pause(sim_task& self, std::int64_t time) {
    if (time == 0) {
      simulation::wait turn{self, [] { return true; }, {}, true};
      const bool asked = co_await turn;
      if (asked) throw was_cancelled();
      co_return 1;
    }
    const std::shared_ptr<alarm> bell = world_.at(world_.now() + time);
    simulation::wait end{self, [bell] { return bell->fired; }};
    const bool asked = co_await end;
    bell->disarmed = true;
    if (asked) throw was_cancelled();
    co_return 1;
  }

  step_by_step evaluate_by_kind(sim_task& self, const node& what) {
    switch (what.what) {
      case kind::sequence: {
        if (what.time != 0) static_cast<void>(co_await pause(self, what.time));
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
        if (what.time >= 0) static_cast<void>(co_await pause(self, what.time));
        slots_[static_cast<std::size_t>(what.slot)] = start(what.children[0]);
        co_return 0;
      case kind::spawn_gather:
        if (what.time >= 0) static_cast<void>(co_await pause(self, what.time));
        slots_[static_cast<std::size_t>(what.slot)] = &start_gather(what);
        co_return 0;
      case kind::cancel: {
        if (what.time >= 0) static_cast<void>(co_await pause(self, what.time));
        sim_task* const target = slots_[static_cast<std::size_t>(what.slot)];
        const std::int64_t answer = target == nullptr ? 5 : world_.request(*target) ? 6 : 7;
        if (what.after != 0) static_cast<void>(co_await pause(self, what.after));
        co_return answer;
      }
      case kind::join: {
        if (what.time >= 0) static_cast<void>(co_await pause(self, what.time));
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
    return &world_.start(what.id, [&](sim_task& self) { return evaluate(self, what); });
  }
  tasks start_all(std::span<const node> all) {
    tasks started;
    for (const node& each : all) started.push_back(start(each));
    return started;
  }
  void request_all(const tasks& some) {
    for (sim_task* const each : some) world_.request(*each);
  }
  /// Cancelled, it goes, and the other task goes on.
  step_by_step observe(sim_task& self, sim_task& target) {
    simulation::wait end{self, [&target] { return target.done(); }};
    const bool asked = co_await end;
    if (asked) throw was_cancelled();
    co_return result_of(target);
  }
  /// Cancelled, it passes that on, and waits all the same.
  step_by_step own(sim_task& self, sim_task& target) {
    simulation::wait end{self, [&target] { return target.done(); }, [&] { world_.request(target); }};
    const bool asked = co_await end;
    if (asked) throw was_cancelled();
    co_return result_of(target);
  }

  // ---- many ----

  /// A task of its own collects what the children give, and the parent owns that.
  step_by_step gather(sim_task& self, const node& what) { co_return co_await own(self, start_gather(what)); }
  sim_task& start_gather(const node& what) {
    const tasks children = start_all(what.children);
    const bool outcomes = what.what == kind::gather_outcomes;
    return world_.start_waiting(-what.id, [&](sim_task& self) { return collect(self, children, outcomes); });
  }
  /// The first failure is told at once, the others go on; each request goes to all, and then all are waited for. A request that comes when
  /// all have ended is too late.
  step_by_step collect(sim_task& self, tasks children, bool outcomes) {
    bool passed_on = false;
    const auto pass_on = [&] {
      if (all_done(children)) return;
      passed_on = true;
      request_all(children);
    };
    simulation::wait end{
        self, [&] { return all_done(children) || (!passed_on && !outcomes && first_ended(children, has_no_value) != nullptr); },
        pass_on};
    const bool asked = co_await end;
    if (asked && !passed_on) pass_on();
    if (asked && !all_done(children)) {
      simulation::wait rest{self, [&] { return all_done(children); }, pass_on};
      static_cast<void>(co_await rest);
    }
    if (asked && passed_on) throw was_cancelled();
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

  /// The first to end has won; the others are stopped when the task notices, and waited for.
  step_by_step race(sim_task& self, const node& what) {
    const tasks children = start_all(what.children);
    const sim_task* winner = nullptr;
    bool asked = false;
    for (std::ptrdiff_t seen = 0; seen < std::ssize(children);) {
      simulation::wait next{self, [&] { return std::ranges::count_if(children, &sim_task::done) > seen; }};
      const bool asked_now = co_await next;
      if (!asked_now) ++seen;
      if (asked_now || (!asked && winner == nullptr)) request_all(children);
      if (!asked_now && !asked && winner == nullptr) winner = first_ended(children, is_any);
      asked = asked || asked_now;
    }
    if (asked) throw was_cancelled();
    co_return result_of(*winner);
  }

  /// Looks, and changes nothing.
  step_by_step wait(sim_task& self, const node& what) {
    const tasks children = start_all(what.children);
    const auto limit = what.time > 0 ? world_.at(world_.now() + what.time) : std::make_shared<alarm>();
    limit->fired = what.time < 0;
    simulation::wait end{self, [&] {
                           if (limit->fired || all_done(children)) return true;
                           if (what.what == kind::wait_first) return first_ended(children, is_any) != nullptr;
                           return what.what == kind::wait_exception && first_ended(children, has_failed) != nullptr;
                         }};
    const bool asked = co_await end;
    limit->disarmed = true;
    if (asked) throw was_cancelled();
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

  /// The deadline asks the task to stop; what leaves the body for no other reason is a timeout.
  step_by_step timeout(sim_task& self, const node& what) {
    scope own;
    const std::size_t depth = self.open(own);
    std::shared_ptr<alarm> limit = std::make_shared<alarm>();
    if (what.time > 0) {
      limit = world_.at(world_.now() + what.time, [this, &self, &own] { world_.fire(self, own); });
    } else {
      world_.fire(self, own);
    }
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
    limit->disarmed = true;
    const bool foreign = self.level(depth) > own.seen_at_entry;
    self.close(own);
    if (error) std::rethrow_exception(error);
    if (!interrupted) co_return value;
    if (own.fired && !foreign) throw failure("timeout");
    if (foreign) self.deliver();
    throw was_cancelled();
  }

  step_by_step wait_for(sim_task& self, const node& what) {
    if (what.time <= 0) throw failure("timeout");  // the child never runs
    sim_task& child = *start(what.children[0]);
    bool asked_in_time = false;
    const auto limit = world_.at(world_.now() + what.time, [&] { asked_in_time = world_.request(child); });
    simulation::wait end{self, [&] { return child.done(); }, [&] { world_.request(child); }};
    const bool asked = co_await end;
    limit->disarmed = true;
    if (asked) throw was_cancelled();
    if (asked_in_time && child.now == sim_task::state::cancelled) throw failure("timeout");
    co_return result_of(child);
  }

  /// The first failure stops the body at once and the others in a turn of its own; all failures are told together.
  step_by_step group(sim_task& self, const node& what) {
    scope own;
    const std::size_t depth = self.open(own);
    const auto children = std::make_shared<group_children>();
    children->all = start_all(std::span(what.children).subspan(1));
    children->asked.resize(children->all.size());
    const auto abort = [this, children] {
      if (std::exchange(children->aborting, true)) return false;
      ++children->round;
      world_.post([this, children] { children->ask(world_); });
      return true;
    };
    for (sim_task* const each : children->all) {
      each->at_end.emplace_back([&, each, abort] {
        if (has_failed(*each) && abort()) world_.fire(self, own);
      });
    }
    std::int64_t value = 0;
    std::exception_ptr body_error, body_cancel;
    bool delivered = false;
    try {
      value = co_await evaluate(self, what.children[0]);
    } catch (const was_cancelled&) {
      body_cancel = std::current_exception();
      delivered = true;
    } catch (const other_was_cancelled&) {
      body_cancel = std::current_exception();
    } catch (...) {
      body_error = std::current_exception();
    }
    const bool asked_by_group = children->aborting;
    const bool asked_now = (body_cancel || body_error) && abort();
    int passed_on = asked_now ? self.level(depth) : self.seen_level(depth);
    const auto pass_on = [&] {
      const int asked = self.level(depth);
      if (asked <= passed_on) return;
      passed_on = asked;
      children->aborting = true;
      ++children->round;
      children->ask(world_);
    };
    simulation::wait end{self, [&] { return all_done(children->all); }, pass_on};
    const bool join_cancelled = co_await end;
    const bool foreign = self.level(depth) > own.seen_at_entry;
    std::vector<std::string> errors;
    for (const sim_task* const each : children->all) {
      if (has_failed(*each)) errors.push_back(describe(each->error));
    }
    if (body_error) errors.push_back(describe(body_error));
    if (!errors.empty()) self.ask_again(own, depth);  // what came from outside has not been told
    self.close(own);
    if (!errors.empty()) throw_together(std::move(errors));
    if (foreign && (join_cancelled || delivered)) self.deliver();
    if (foreign && join_cancelled) throw was_cancelled();
    if (body_cancel && (foreign || !asked_by_group)) std::rethrow_exception(body_cancel);
    if (body_cancel) throw other_was_cancelled();
    co_return value;
  }

  simulation world_;
  std::array<sim_task*, k_slots> slots_{};
};

}  // namespace

history run_by_the_rules(const node& program, guide& order) { return interpreter(order).run(program); }

history run_by_the_rules(const node& program) {
  first_of_all any_order;
  return run_by_the_rules(program, any_order);
}

}  // namespace sheaf::model
