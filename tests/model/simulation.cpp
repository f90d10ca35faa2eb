#include "simulation.hpp"

#include <algorithm>

#include "rules.hpp"

namespace sheaf::model {

bool sim_task::pending() const {
  return request_pending || std::ranges::any_of(scopes, [](const scope* each) { return each->fired && !each->delivered; });
}

void sim_task::deliver() {
  request_pending = false;
  for (scope* const each : scopes) {
    if (!each->fired || each->delivered) continue;
    each->delivered = true;
    each->seen_in = scopes.back();
  }
}

int sim_task::level(std::size_t depth) const {
  int count = requests;
  for (std::size_t i = 0; i < depth; ++i) count += scopes[i]->fired ? 1 : 0;
  return count;
}

int sim_task::seen_level(std::size_t depth) const {
  int count = seen_requests();
  for (std::size_t i = 0; i < depth; ++i) count += scopes[i]->delivered ? 1 : 0;
  return count;
}

std::size_t sim_task::open(scope& own) {
  const std::size_t depth = scopes.size();
  own.seen_at_entry = seen_level(depth);
  own.counted_at_entry = seen_requests();
  scopes.push_back(&own);
  return depth;
}

void sim_task::close(scope& own) {
  scopes.pop_back();
  for (scope* const each : scopes) {
    if (each->seen_in == &own) each->seen_in = scopes.back();
  }
}

void sim_task::ask_again(const scope& own, std::size_t depth) {
  if (seen_requests() > own.counted_at_entry) request_pending = true;
  for (std::size_t i = 0; i < depth; ++i) {
    if (scopes[i]->delivered && scopes[i]->seen_in == &own) scopes[i]->delivered = false;
  }
}

sim_task& simulation::start(int number, const std::function<step_by_step(sim_task&)>& make_body) {
  sim_task& made = *tasks_.emplace_back(std::make_unique<sim_task>());
  made.number = number;
  made.body = std::make_unique<step_by_step>(make_body(made));
  made.ready = [] { return true; };
  return made;
}

sim_task& simulation::start_waiting(int number, const std::function<step_by_step(sim_task&)>& make_body) {
  sim_task& made = start(number, make_body);
  made.body->resume();
  return made;
}

bool simulation::request(sim_task& target) {
  if (target.done()) return false;
  ++target.requests;
  target.request_pending = target.poked = true;
  return true;
}

void simulation::fire(sim_task& owner, scope& own) {
  if (own.fired || std::ranges::find(owner.scopes, &own) == owner.scopes.end()) return;
  own.fired = owner.poked = true;
}

std::shared_ptr<alarm> simulation::at(std::int64_t time, std::function<void()> act) {
  const auto made = std::make_shared<alarm>(alarm{time, std::move(act)});
  const auto later = [time](const std::shared_ptr<alarm>& each) { return each->time > time; };
  alarms_.insert(std::ranges::find_if(alarms_, later), made);
  return made;
}

void simulation::note(entry ended) {
  noted_.push_back(std::move(ended));
  if (!stopped_) stopped_ = !order_.notes(noted_.back());
}

bool simulation::wait::await_suspend(std::coroutine_handle<> leaf) {
  suspended = true;
  self.poked = false;
  if (self.pending() && !yields) {  // told at once
    if (!on_cancel) return false;
    on_cancel();
  }
  self.ready = ready;
  self.on_cancel = on_cancel;
  self.leaf = leaf;
  return true;
}

bool simulation::wait::await_resume() const {
  const bool asked = suspended && self.pending();
  if (asked) self.deliver();
  return asked;
}

bool simulation::may_have_turn(sim_task& each) {
  if (each.done()) return false;
  if (each.leaf != nullptr && (each.on_cancel ? each.poked : each.pending())) return true;
  return each.ready();
}

void simulation::give_turn(sim_task& each) {
  if (each.leaf == nullptr) {
    if (each.pending()) {  // asked to stop before its first step
      each.now = sim_task::state::cancelled;
      return end(each);
    }
    each.body->resume();
  } else if (each.on_cancel && !each.ready()) {
    each.poked = false;
    each.on_cancel();
  } else {
    std::exchange(each.leaf, nullptr).resume();
  }
  if (!each.body->ended()) return;
  try {
    each.value = each.body->result();
    each.now = sim_task::state::value;
  } catch (const was_cancelled&) {
    each.now = sim_task::state::cancelled;
  } catch (const other_was_cancelled&) {
    each.now = sim_task::state::cancelled;
  } catch (...) {
    each.now = sim_task::state::error;
    each.error = std::current_exception();
  }
  end(each);
}

void simulation::end(sim_task& each) {
  each.ended_as = ++ended_;
  for (const auto& act : each.at_end) act();
}

history simulation::run(const sim_task& main) {
  std::vector<possible> these;
  while (!main.done() && !stopped_) {
    std::erase_if(alarms_, [](const std::shared_ptr<alarm>& each) { return each->disarmed; });
    these.clear();
    if (!alarms_.empty() && alarms_.front()->time <= now_) these.emplace_back();
    for (std::size_t i = 1; i <= posted_.size(); ++i) these.push_back({nullptr, i});
    for (const auto& each : tasks_) {
      if (may_have_turn(*each)) these.push_back({each.get(), 0});
    }
    if (these.empty()) {
      if (alarms_.empty() || !order_.moves_to(alarms_.front()->time)) break;
      now_ = alarms_.front()->time;
      continue;
    }
    const possible first = these[these.size() == 1 ? 0 : order_.choose(these)];
    if (first.task != nullptr) {
      give_turn(*first.task);
    } else if (first.posted != 0) {
      const auto act = std::move(posted_[first.posted - 1]);
      posted_.erase(posted_.begin() + static_cast<std::ptrdiff_t>(first.posted) - 1);
      act();
    } else {
      const std::shared_ptr<alarm> next = alarms_.front();
      alarms_.erase(alarms_.begin());
      next->fired = true;
      if (next->act) next->act();
    }
  }
  return std::move(noted_);
}

}  // namespace sheaf::model
