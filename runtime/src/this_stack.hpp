#pragma once
/// @file
/// Which items a thread's stack is of: one that was queued for it, and those that get() and eager starts run in place on top of it.
///
/// Their runtimes count each until it ends, for a manual clock and for shutdown. A blocked wait tells the clock of the items here that no
/// wait beneath has told it of; a thread that stays behind for ever gives all back. So does it with its waits in an executor, in which such
/// items may run.

#include <sheaf/detail/context.hpp>

#include "outside_waits.hpp"

namespace sheaf::detail {

class manual_clock_core;

/// Something that runs in place, in a list from the innermost one down. On the stack it is about.
struct stack_item {
  runtime_core* runtime;        ///< that counts it; null: an executor runs from here on whatever is queued with it
  manual_clock_core* told;      ///< by a wait that is in progress: of everything beneath; null: none
  inside outer_step;            ///< of what runs beneath it,
  runtime_core* outer_runtime;  ///< and whose
  stack_item* beneath;
  outside_waits::wait* wait;  ///< of a thread outside, in the executor; else null
};

/// While it lives, an item is on this stack.
class item_on_this_stack {
 public:
  item_on_this_stack(thread_context& here, runtime_core* runtime, manual_clock_core* told,
                     outside_waits::wait* wait = nullptr) noexcept
      : here_(here), item_{runtime, told, here.step, here.runtime, here.in_place, wait} {
    here.in_place = &item_;
  }
  item_on_this_stack(const item_on_this_stack&) = delete;
  item_on_this_stack& operator=(const item_on_this_stack&) = delete;
  ~item_on_this_stack() { here_.in_place = item_.beneath; }

 private:
  thread_context& here_;
  stack_item item_;
};

/// `visit(runtime, step)` for each item, the innermost first, down to those that `untold` has been told of; null: for all.
template <class Visit>
void visit_items(const thread_context& here, const manual_clock_core* untold, Visit visit) {
  inside step = here.step;
  runtime_core* runtime = here.runtime;
  for (const stack_item* top = here.in_place;; top = top->beneath) {
    if (top != nullptr && top->runtime != nullptr) {
      visit(*top->runtime, step);
    } else if (step != inside::nothing) {
      visit(*runtime, step);
    }
    if (top == nullptr || (untold != nullptr && top->told == untold)) return;
    step = top->outer_step;
    runtime = top->outer_runtime;
  }
}

/// `visit(wait)` for each wait of this stack in an executor, from outside of all tasks.
template <class Visit>
void visit_outside_waits(const thread_context& here, Visit visit) {
  for (const stack_item* top = here.in_place; top != nullptr; top = top->beneath)
    if (top->wait != nullptr) visit(*top->wait);
}

}  // namespace sheaf::detail
