#pragma once
/// @file
/// The shared state of a task group: its children, their failures, and the request to stop.
///
///   open --a child fails, the body throws, cancel()--> aborting --+
///     \\--body ended, no child left--> closed <--no child left-----+
///
/// T1  Children and failures are under lock_. A child is linked before it can run, so none is forgotten. It is unlinked when it has
///     ended, and counted until its result has been destroyed, if nobody else has a handle. A failure stays for the exception_group.
/// T2  Whoever moves open to aborting fires the scope, while the child that failed is still counted: the scope outlives the call.
/// T3  Children are asked to stop outside the lock, by a work item on the runtime; each that is linked when it runs is asked.
/// T4  The core is counted: the owner, the work item while it is queued, who fires the scope. A child needs no count: the owner waits.
/// T5  children_ has how many are counted, and whether the parent waits for the last of them. It grows under lock_ only; while the parent
///     waits it reaches zero under lock_ only, and whoever makes it do so closes the group and wakes the parent.

#include <cstddef>
#include <cstdint>
#include <exception>
#include <utility>
#include <vector>

#include <sheaf/detail/awaiter.hpp>
#include <sheaf/detail/cancel_scope.hpp>
#include <sheaf/detail/task_core.hpp>
#include <sheaf/spawn.hpp>
#include <sheaf/work_item.hpp>

namespace sheaf::detail {

class group_core {
 public:
  [[nodiscard]] static group_core* make(task_core& parent);
  void drop() noexcept;

  [[nodiscard]] cancel_scope& scope() noexcept { return scope_; }
  [[nodiscard]] runtime_core& runtime() noexcept { return *runtime_; }
  // order: acquire: what the children did that are not counted any more; peer: release in count_off().
  [[nodiscard]] std::size_t size() const noexcept { return children_.load(sync::acquire) / k_child; }
  /// Body and children have been asked to stop.
  [[nodiscard]] bool aborting() const noexcept { return phase_.load(sync::relaxed) == phase::aborting; }
  /// @throws invalid_state unless open
  void check_open() const;
  struct member;
  /// Registers with and links a child that nobody else knows. @throws invalid_state unless open; std::bad_alloc
  void link(task_core& child);
  /// Asks children and body to stop, once. Any thread.
  void abort() noexcept;
  /// Asks the children only: the body has ended. Role: running of the parent.
  void abort_children() noexcept;
  /// After the join: the core may stay for a while.
  void forget_failures() noexcept;
  /// After the join.
  [[nodiscard]] bool any_failed() const noexcept { return failed_first_ != nullptr; }
  /// Throws the children's failures and `body_error`, unless that is null, in one exception_group. After the join.
  [[noreturn]] void throw_failures(std::exception_ptr body_error);

 private:
  friend class group_join;
  enum class phase : std::uint8_t { open, aborting, closed };
  struct abort_item final : work_item {
    explicit abort_item(group_core& owner) noexcept : work_item(&run), core(&owner) {}
    static void run(work_item& item) noexcept;
    group_core* core;
  };

  explicit group_core(task_core& parent) noexcept : parent_(&parent), runtime_(parent.runtime), abort_item_(*this) {}
  void child_ended(member& child, bool failed) noexcept;
  void file_failure(member& child) noexcept;
  /// The parent was asked to stop while it joins: what did not come from this group goes on to the children, which the abort item
  /// asks on the group's own behalf. Role: running of the parent.
  void pass_cancel_on() noexcept;
  [[nodiscard]] bool begin_abort() noexcept;
  void cancel_children() noexcept;
  void unlink(member& child) noexcept;
  void count_off() noexcept;
  void close() noexcept;

  static constexpr std::uint32_t k_joining = 1;
  static constexpr std::uint32_t k_child = 2;

  // What every child changes, not in the line of what every child reads.
  sync::mutex lock_;
  sync::atomic<std::uint32_t> children_{0};  ///< T5
  member* first_ = nullptr;
  member* last_ = nullptr;
  [[maybe_unused]] std::byte apart_[k_cache_line];

  task_core* parent_;      ///< alive while children are counted
  runtime_core* runtime_;  ///< alive while the abort item is queued too
  cancel_scope scope_;
  sync::atomic<std::uint32_t> references_{1};
  sync::atomic<phase> phase_{phase::open};  ///< changed under lock_
  std::uint32_t round_ = 0;                 ///< children have been asked to stop this often
  /// Under running of the parent, whose body has ended: its requests from outside that the children know of.
  unsigned passed_on_ = 0;
  member* failed_first_ = nullptr;
  member* failed_last_ = nullptr;
  abort_item abort_item_;
};

/// The group as its call owns it: its scope is open from construction to close().
class group_owner {
 public:
  explicit group_owner(task_core& parent) : core_(group_core::make(parent)) {}
  group_owner(const group_owner&) = delete;
  group_owner& operator=(const group_owner&) = delete;
  ~group_owner() {
    close();
    core_->forget_failures();
    core_->drop();
  }
  /// Ends the scope. Role: running. True: the group had asked the body to stop.
  bool close() noexcept { return !std::exchange(closed_, true) && core_->scope().close(); }
  [[nodiscard]] group_core& operator*() const noexcept { return *core_; }

 private:
  group_core* core_;
  bool closed_ = false;
};

/// Waits for the last child; gives whether the parent was asked to stop meanwhile. Never throws `cancelled`.
class group_join final : public awaiter_base {
 public:
  explicit group_join(group_core& core) noexcept : core_(&core) {}
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    begin_wait(*awaiting.promise().task, *this, awaiting);
    return suspend();
  }
  [[nodiscard]] bool await_resume() const noexcept { return cancelled(); }
  cancel_answer on_cancel(task_core& self) noexcept override;
  wait_reason reason() const noexcept override { return {"the children of a task group", nullptr}; }
  void add_targets(std::vector<const task_core*>& all) const override;

 private:
  bool suspend() noexcept;
  group_core* core_;
};

[[noreturn]] void throw_group_without_value();

/// Registers with the group before the child can run.
void start_in_group(group_core& group, task_core& child, const start_options& options);

struct group_start {
  static constexpr task_state::word initial = task_state::initial_held;
  group_core& group;
  void operator()(task_core& child, const start_options& options) const { start_in_group(group, child, options); }
  void operator()(task_core& child, no_options) const { start_in_group(group, child, {}); }
};
template <class... Work>
auto spawn_in_group(group_core& group, Work&&... work) {
  return start_given<runs_on::workers>(group_start{group}, std::forward<Work>(work)...);
}

}  // namespace sheaf::detail
