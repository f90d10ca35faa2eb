/// Every item comes out once, whoever pushes, pops and steals: deque.hpp, injection_queue.hpp.
#include <array>
#include <cstddef>

#include "deque.hpp"
#include "explorer/scenarios/scenarios.hpp"
#include "injection_queue.hpp"

namespace explorer {

namespace {

using namespace sheaf::detail;

struct item final : sheaf::work_item {
  item() noexcept : work_item([](work_item& self) noexcept { static_cast<item&>(self).take(); }) {}
  void take() noexcept {
    check(prepared, "what its pusher wrote is seen");
    ++taken;
  }
  /// By whoever pushes it, at once before.
  item& made_ready() noexcept {
    prepared = true;
    return *this;
  }
  bool prepared = false;
  unsigned taken = 0;
};

template <std::size_t N>
void check_each_taken_once(std::array<item, N>& items) {
  for (const item& each : items) check(each.taken == 1, "an item was lost, or came out twice");
}
void run_if(sheaf::work_item* taken) {
  if (taken != nullptr) taken->run();
}
template <deque_use Use>
void steal_into(deque<Use>& from, int times) {
  for (int i = 0; i < times; ++i) {
    sheaf::work_item* got = nullptr;
    if (from.steal(got) == steal_result::got) got->run();
  }
}
void steal_batch(deque<deque_use::fifo>& from) {
  std::array<sheaf::work_item*, 4> got = {};
  const std::size_t count = from.steal_half(got.data(), got.size());
  for (std::size_t i = 0; i < count; ++i) got[i]->run();
}
template <class Deque>
void empty_out(Deque& from) {
  for (;;) {
    sheaf::work_item* got = nullptr;
    switch (from.steal(got)) {
      case steal_result::got:
        got->run();
        continue;
      case steal_result::lost:
        continue;
      case steal_result::empty:
        return;
    }
  }
}

void pop_against_steal() {
  deque<deque_use::lifo> stack(true, 2);
  std::array<item, 2> items;
  check(stack.push(items[0].made_ready()), "pushed");
  together({[&] {
              check(stack.push(items[1].made_ready()), "pushed");
              run_if(stack.pop());
              run_if(stack.pop());
            },
            [&] { steal_into(stack, 2); }});
  empty_out(stack);
  check_each_taken_once(items);
}

void pop_against_two_thieves() {
  deque<deque_use::lifo> stack(true, 2);
  std::array<item, 2> items;
  for (item& each : items) check(stack.push(each.made_ready()), "pushed");
  together({[&] {
              run_if(stack.pop());
              run_if(stack.pop());
            },
            [&] { steal_into(stack, 1); }, [&] { steal_into(stack, 1); }});
  empty_out(stack);
  check_each_taken_once(items);
}

void growth_against_steal() {
  deque<deque_use::lifo> stack(true, 1);
  std::array<item, 3> items;
  check(stack.push(items[0].made_ready()), "pushed");
  together({[&] {
              check(stack.push(items[1].made_ready()), "pushed");
              check(stack.push(items[2].made_ready()), "pushed");
              run_if(stack.pop());
            },
            [&] { steal_into(stack, 2); }});
  empty_out(stack);
  check_each_taken_once(items);
}

/// The owner wraps over slots that a thief has read and not yet claimed.
void reuse_against_steal() {
  deque<deque_use::fifo> queue(true, 2);
  std::array<item, 4> items;
  for (std::size_t i = 0; i < 2; ++i) check(queue.push(items[i].made_ready()), "pushed");
  together({[&] {
              run_if(queue.take());
              check(queue.push(items[2].made_ready()), "pushed");
              run_if(queue.take());
              check(queue.push(items[3].made_ready()), "pushed");
            },
            [&] { steal_batch(queue); }});
  empty_out(queue);
  check_each_taken_once(items);
}

/// Two batches at once, from a ring that the owner replaces.
void batches_against_growth() {
  deque<deque_use::fifo> queue(true, 2);
  std::array<item, 4> items;
  for (std::size_t i = 0; i < 2; ++i) check(queue.push(items[i].made_ready()), "pushed");
  const auto thief = [&] { steal_batch(queue); };
  together({[&] {
              check(queue.push(items[2].made_ready()), "pushed");
              check(queue.push(items[3].made_ready()), "pushed");
            },
            thief, thief});
  empty_out(queue);
  check_each_taken_once(items);
}

void run_all(work_chain chain) {
  for (sheaf::work_item* each = chain.first; each != nullptr;) {
    sheaf::work_item* const next = each->next;
    each->run();
    each = next;
  }
}
void injection() {
  injection_queue queue;
  std::array<item, 3> items;
  together({[&] {
              queue.push(items[0].made_ready());
              queue.push(items[1].made_ready());
            },
            [&] { queue.push(items[2].made_ready()); }, [&] { run_all(queue.drain()); }});
  run_all(queue.drain());
  check(queue.empty(), "empty at the end");
  check_each_taken_once(items);
}

const std::array k_scenarios{
    scenario{"deque.pop_against_steal", pop_against_steal, {.preemptions = 4, .late_stores = true}},
    scenario{"deque.pop_against_two_thieves", pop_against_two_thieves, {.preemptions = 3, .late_stores = true}},
    scenario{"deque.growth_against_steal", growth_against_steal, {.preemptions = 3, .late_stores = true}},
    scenario{"deque.reuse_against_steal", reuse_against_steal, {.preemptions = 3, .late_stores = true}},
    scenario{"deque.batches_against_growth", batches_against_growth, {.preemptions = 3, .late_stores = true}},
    scenario{"injection_queue.pushes_against_drain", injection, {.preemptions = 4, .late_stores = true}},
};

}  // namespace

std::span<const scenario> queue_scenarios() { return k_scenarios; }

}  // namespace explorer
