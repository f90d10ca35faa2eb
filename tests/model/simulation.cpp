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

sim_task& simulation::start(std::function<step_by_step(sim_task&)> make_body) {
  sim_task& made = *tasks_.emplace_back(std::make_unique<sim_task>());
  made.body = std::make_unique<step_by_step>(make_body(made));
  made.ready = [] { return true; };
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

bool simulation::give_turn(sim_task& each) {
  if (each.done()) return false;
  const bool begun = each.leaf != nullptr;
  if (begun && each.poked && each.on_cancel) {
    each.poked = false;
    each.on_cancel();
    return true;
  }
  const bool interrupted = begun && !each.on_cancel && each.pending();
  if (!interrupted && !each.ready()) return false;
  if (!begun && each.pending()) {  // asked to stop before its first step
    each.now = sim_task::state::cancelled;
  } else {
    if (begun) {
      std::exchange(each.leaf, nullptr).resume();
    } else {
      each.body->resume();
    }
    if (!each.body->ended()) return true;
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
  }
  each.ended_as = ++ended_;
  for (const auto& act : each.at_end) act();
  return true;
}

void simulation::run(const sim_task& main) {
  while (!main.done()) {
    bool moved = false;
    for (std::size_t i = 0; i < tasks_.size(); ++i) moved = give_turn(*tasks_[i]) || moved;
    if (moved) continue;
    const auto next = std::ranges::min_element(timers_, {}, [](const auto& each) { return each.first; });
    if (next == timers_.end()) return;
    now_ = next->first;
    const auto act = std::move(next->second);
    timers_.erase(next);
    if (act) act();
  }
}

}  // namespace sheaf::model
