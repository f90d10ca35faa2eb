/// The list of live tasks alone, where a task's way is plain stores and the walker pays for their order (live_tasks.hpp).
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <sheaf/detail/context.hpp>
#include <sheaf/detail/task_core.hpp>

#include "explorer/scenarios/scenarios.hpp"
#include "live_tasks.hpp"
#include "pool.hpp"

namespace explorer {

namespace {

using namespace sheaf::detail;

/// A task that is running, without work: what the list and its walkers touch, freed by its last claim.
class bare_task : public task_core {
 public:
  static bare_task& make(int& alive) {
    auto* const made = new bare_task(alive);
    check(made->state.begin_run() == task_state::begin::resume, "it runs");
    static_cast<void>(made->state.drop_handle());
    check(&made->outcome_ == &made->header(), "where the outcome is looked for");
    return *made;
  }
  void end() noexcept {
    outcome_.emplace();
    if (state.finish_unwatched() == task_state::finish::free) free(*this);
  }

 private:
  explicit bare_task(int& alive) : task_core(task_state::initial_posted, &never, k_ops), alive_(&alive) { ++alive; }
  ~bare_task() { --*alive_; }
  static void never(work_item&) noexcept {}
  static void free(task_core& core) noexcept { delete static_cast<bare_task*>(&core); }
  static constexpr task_ops k_ops{nullptr, nullptr, &free, nullptr};

  result_slot<void> outcome_;
  int* alive_;
};

constexpr std::uint32_t k_born = 7;
live_tasks::linked link(live_tasks& live, task_core& task, worker* on = nullptr) {
  task.born = k_born;
  return live.link(task, false, context(), on);
}
bool unlink(live_tasks& live, task_core& task, worker* on = nullptr) { return live.unlink(task, context(), on); }
std::size_t look(const live_tasks& live) {
  const std::vector<task_core*> found = live.snapshot();
  for (task_core* const each : found) {
    check(each->born == k_born, "a whole task");
    drop_reference(*each);
  }
  return found.size();
}

/// L2: whoever is found lives as long as the walk, and then by the reference.
void end_against_walk() {
  int alive = 0;
  live_tasks live(0);
  bare_task& task = bare_task::make(alive);
  check(link(live, task) == live_tasks::linked::yes, "linked");
  together({[&] {
              check(!unlink(live, task), "not closed");
              task.end();
            },
            [&] { look(live); }});
  check(alive == 0 && live.size() == 0, "freed once");
}

/// L3: refused, or found by every walk after the closing, or told of it.
void start_against_close() {
  int alive = 0;
  live_tasks live(0);
  bare_task& task = bare_task::make(alive);
  auto linked = live_tasks::linked::refused;
  std::size_t counted = 0, found = 0;
  together({[&] { linked = link(live, task); },
            [&] {
              live.close();
              counted = live.size();
              found = look(live);
            }});
  check(linked != live_tasks::linked::yes || (counted == 1 && found == 1), "seen by who closes");
  if (linked != live_tasks::linked::refused) check(unlink(live, task), "the last one");
  task.end();
}

/// L4: one of those that end, or who closes, sees that nobody is left.
void last_end_against_close() {
  std::array<int, 2> alive = {};
  std::array<bool, 3> told = {};
  live_tasks live(0);
  bare_task& one = bare_task::make(alive[0]);
  bare_task& other = bare_task::make(alive[1]);
  static_cast<void>(link(live, one));
  static_cast<void>(link(live, other));
  const auto ends = [&](bare_task& task, bool& told) {
    told = unlink(live, task);
    task.end();
  };
  together({[&] { ends(one, told[0]); }, [&] { ends(other, told[1]); },
            [&] {
              live.close();
              told[2] = live.size() == 0;
            }});
  check(told[0] || told[1] || told[2], "somebody is told");
  check(alive[0] == 0 && alive[1] == 0, "freed once");
}

/// A worker of which only the number is asked: its pool has not begun.
struct seat_of_no_pool {
  alignas(pool) std::array<std::byte, sizeof(pool)> room;
  worker seat{*reinterpret_cast<pool*>(&room), 0, false};
};

/// The second task of a table, whose chunk is there already, is found as a whole.
void second_start_against_walk() {
  int alive = 0;
  live_tasks live(1);
  seat_of_no_pool of;
  bare_task& first = bare_task::make(alive);
  bare_task& second = bare_task::make(alive);
  static_cast<void>(link(live, first, &of.seat));
  together({[&] { static_cast<void>(link(live, second, &of.seat)); }, [&] { look(live); }});
  for (bare_task* const each : {&first, &second}) {
    check(!unlink(live, *each, &of.seat), "not closed");
    each->end();
  }
  check(alive == 0 && live.size() == 0, "freed once");
}

/// L4: who counts while a task comes and goes on a worker counts it or not, and never fewer than none.
void size_against_a_worker() {
  int alive = 0;
  live_tasks live(1);
  seat_of_no_pool of;
  bare_task& task = bare_task::make(alive);
  live.reserve(task, context(), &of.seat);
  together({[&] {
              check(link(live, task, &of.seat) == live_tasks::linked::yes, "linked");
              check(!unlink(live, task, &of.seat), "not closed");
            },
            [&] { check(live.size() <= 1, "never too small"); }});
  task.end();
  check(alive == 0 && live.size() == 0, "freed once");
}

/// The same of a thread that is no worker.
void size_against_a_thread() {
  int alive = 0;
  live_tasks live(0);
  bare_task& task = bare_task::make(alive);
  together({[&] {
              check(link(live, task) == live_tasks::linked::yes, "linked");
              check(!unlink(live, task), "not closed");
              task.end();
            },
            [&] { check(live.size() <= 1, "never too small"); }});
  check(alive == 0 && live.size() == 0, "freed once");
}

const std::array k_scenarios{
    scenario{"live_tasks.end_against_walk", end_against_walk, {.preemptions = 2, .late_stores = true}},
    scenario{"live_tasks.start_against_close", start_against_close, {.preemptions = 3, .late_stores = true}},
    scenario{"live_tasks.last_end_against_close", last_end_against_close, {.preemptions = 3, .late_stores = true}},
    scenario{"live_tasks.second_start_against_walk", second_start_against_walk, {.preemptions = 2, .late_stores = true}},
    scenario{
        "live_tasks.size_against_a_worker", size_against_a_worker, {.preemptions = 4, .late_stores = true, .random_runs = 2000}},
    scenario{"live_tasks.size_against_a_thread", size_against_a_thread, {.preemptions = 3, .late_stores = true}},
};

}  // namespace

std::span<const scenario> live_task_scenarios() { return k_scenarios; }

}  // namespace explorer
