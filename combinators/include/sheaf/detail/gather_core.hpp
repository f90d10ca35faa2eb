#pragma once
/// @file
/// The task behind gather: it has no coroutine, waits for its children, and runs once they are done, to collect their results.
///
///   word:  children not counted off yet, and one for start() itself (low 30 bits) | woke | joining
///
///   parked --a child fails (default mode), or the last one ends: sets woke--> woken, collects
///   woken by a failure but cancelled: asks the children to stop, sets joining, parks; the last child wakes it again
///
/// G1  Each wake has one author: the exchange that sets `woke`, or with `joining` set the decrement to zero. While start() registers,
///     `woke` is kept set, so nobody wakes the task before its registrations stand.
/// G2  The block is kept by one reference while anything is counted: what a child touches after an early failure is alive.
/// G3  Results are collected in the gather's own step: completing a child runs no user code.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <sheaf/detail/children.hpp>
#include <sheaf/detail/frame_cache.hpp>
#include <sheaf/detail/promise.hpp>
#include <sheaf/detail/start.hpp>
#include <sheaf/detail/task_core.hpp>

namespace sheaf::detail {

/// Type-erased part of a gather's state.
class gather_core final : public awaiter_base {
 public:
  /// Lies in front of its registrations, room_for(children.size()) bytes in all. From its first use on it has one counted handle of each
  /// child.
  gather_core(task_core& self, std::span<task_core* const> children, bool collect_failures) noexcept;
  gather_core(const gather_core&) = delete;
  gather_core& operator=(const gather_core&) = delete;
  ~gather_core() = default;

  [[nodiscard]] static constexpr std::size_t room_for(std::size_t children) noexcept;
  [[nodiscard]] std::size_t room() const noexcept;

  [[nodiscard]] bool all_done() const noexcept;
  /// Registers with the children, starts those that are not started, and at last the gather's own task. Once; all are reserved.
  void start(start_batch& batch, const child_list& children) noexcept;

  enum class verdict { wait_on, cancelled, failed, values };
  /// What the gather's step has to do. Role: running.
  [[nodiscard]] verdict decide() noexcept;
  /// The child whose failure ends the gather. After verdict::failed.
  [[nodiscard]] task_core& failed_child() noexcept { return *first_failure(); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] task_core& child(std::size_t index) noexcept { return *nodes()[index].child; }
  /// Fetches a child that will be collected soon, if there is one.
  void prefetch(std::size_t index) const noexcept {
    if (index >= size_) return;
    const auto* const block = reinterpret_cast<const std::byte*>(nodes()[index].child);
    __builtin_prefetch(block, 1);
    __builtin_prefetch(block + sizeof(task_core), 1);
  }
  /// The result of the next child has been taken: its handle goes. After verdict::values.
  void leave_child(std::size_t index) noexcept {
    task_core& left = child(index);
    ++left_;
    left.state.mark_observed();
    drop_handle(left);
  }
  /// Handles go, and registrations with children that still run, as soon as the outcome is there.
  void leave_children() noexcept;

  cancel_answer on_cancel(task_core& self) noexcept final;
  wait_reason reason() const noexcept final { return {"gathered tasks", nullptr}; }
  void add_targets(std::vector<const task_core*>& all) const final;

 private:
  struct node final : waiter_node {
    node(gather_core& owner, task_core& of) noexcept : waiter_node(&child_completed), gather(&owner), child(&of) {}
    gather_core* gather;
    task_core* child;
  };
  [[nodiscard]] node* nodes() noexcept { return std::launder(reinterpret_cast<node*>(this + 1)); }
  [[nodiscard]] const node* nodes() const noexcept { return const_cast<gather_core*>(this)->nodes(); }
  // order: acquire sees the child's outcome; peer: arrive(). start() may find the failure before that child has claimed the wake.
  [[nodiscard]] task_core* first_failure() const noexcept { return first_failure_.load(sync::acquire); }
  static void child_completed(waiter_node& node, outcome_kind ended_with) noexcept;
  /// A child has ended with this; unless it failed, it may be gone.
  void arrive(task_core& child, outcome_kind ended_with) noexcept;
  void count_off(std::uint32_t how_many) noexcept;
  void claim_wake() noexcept;
  void cancel_children() noexcept;

  static constexpr std::uint32_t k_woke = std::uint32_t{1} << 31, k_joining = std::uint32_t{1} << 30, k_count = k_joining - 1;

  task_core* self_;
  const std::size_t size_;
  std::size_t left_ = 0;  ///< under running: how many of the first children have been left
  const bool collect_failures_;
  bool watching_ = false;   ///< constant once live: start() was called
  unsigned passed_on_ = 0;  ///< under running: how many requests there were when the children were asked to stop
  sync::atomic<task_core*> first_failure_{nullptr};
  sync::atomic<std::uint32_t> word_;
};

constexpr std::size_t gather_core::room_for(std::size_t children) noexcept {
  static_assert(alignof(node) <= alignof(gather_core));
  return sizeof(gather_core) + children * sizeof(node);
}
inline std::size_t gather_core::room() const noexcept { return room_for(size_); }

/// Files the outcome of a failed child as the gather's own. Role: running.
void copy_failure(task_core& from, result_header& to) noexcept;

/// `Collect` makes the result: `using value_type; value_type operator()(gather_core&)`.
template <class Collect>
class gather_task {
  using value = typename Collect::value_type;
  static gather_core& state_of(task_core& core) noexcept {
    return *std::launder(reinterpret_cast<gather_core*>(reinterpret_cast<std::byte*>(&core) + k_block_header<value>));
  }
  static void run(task_core& core) noexcept {
    gather_core& state = state_of(core);
    result_slot<value>& slot = slot_of<value>(core);
    switch (state.decide()) {
      case gather_core::verdict::wait_on:
        return;  // parked in the same awaiter again
      case gather_core::verdict::cancelled:
        slot.set_error(outcome_kind::cancelled, nullptr);
        break;
      case gather_core::verdict::failed:
        copy_failure(state.failed_child(), slot);
        break;
      case gather_core::verdict::values:
        try {
          slot.emplace(Collect()(state));
        } catch (...) {
          slot.clear();
          slot.capture_current_exception();
        }
        break;
    }
    core.after = step_end::finished;
  }
  static void destroy_work(task_core& core) noexcept { state_of(core).leave_children(); }
  static void destroy_block(task_core& core) noexcept {
    const std::size_t bytes = k_block_header<value> + state_of(core).room();
    release_extras(core);
    std::destroy_at(&state_of(core));
    std::destroy_at(&slot_of<value>(core));
    std::destroy_at(&core);
    free_block(&core, bytes);
  }
  static void destroy_outcome(task_core& core) noexcept { slot_of<value>(core).clear(); }
  static constexpr task_ops ops{&run, &destroy_work, &destroy_block, &destroy_outcome};

 public:
  /// Takes the children over. @throws runtime_closed, std::bad_alloc: nothing has happened then
  static task_core& start(runtime_core& runtime, child_list& children, bool collect_failures) {
    task_core& core = make(children.all(), collect_failures);
    gather_core& state = state_of(core);
    if (state.all_done()) {
      core.runtime = &runtime;
      children.release();
      run(core);
      destroy_work(core);
      complete_unlisted(core);
      return core;
    }
    try {
      start_batch batch(children.all(), runtime, "gather");
      batch.reserve(core);
      state.start(batch, children);
    } catch (...) {
      destroy_block(core);
      throw;
    }
    children.release();
    return core;
  }

 private:
  static task_core& make(std::span<task_core* const> children, bool collect_failures) {
    auto* const block = static_cast<std::byte*>(allocate_block(k_block_header<value> + gather_core::room_for(children.size())));
    auto* const core = ::new (static_cast<void*>(block)) task_core(task_state::initial_parked, &run_task, ops);
    ::new (static_cast<void*>(block + k_block_header<value>)) gather_core(*core, children, collect_failures);
    ::new (static_cast<void*>(block + sizeof(task_core))) result_slot<value>();
    core->awaiting = &state_of(*core);
    core->started = true;
    return *core;
  }
};

}  // namespace sheaf::detail
