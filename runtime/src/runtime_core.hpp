#pragma once
/// @file
/// What a runtime is made of. The public `runtime` owns one; wakers from elsewhere and left-behind blocking threads keep it alive
/// by reference while they touch it.
///
///   open --shutdown begins--> closing (spawn refused, all tasks cancelled) --live tasks gone--> stopped (threads joined)

#include <memory>
#include <optional>
#include <string_view>

#include <sheaf/detail/manual_clock_core.hpp>
#include <sheaf/runtime.hpp>

#include "blocking_pool.hpp"
#include "live_tasks.hpp"
#include "outside_waits.hpp"
#include "pool.hpp"
#include "timer_queue.hpp"

namespace sheaf::detail {

inline constexpr std::string_view k_shutdown = "runtime shutdown";  ///< why shutdown asks tasks to stop

class runtime_core {
 public:
  runtime_core(runtime& owner, runtime_options options);
  runtime_core(const runtime_core&) = delete;
  runtime_core& operator=(const runtime_core&) = delete;

  void add_reference() noexcept { claims_.fetch_add(k_reference, sync::relaxed); }
  void drop_reference() noexcept { drop_claim(k_reference); }
  /// A reference of a foreign thread for the length of one call; shutdown waits for these before it stops anything.
  void enter_visit() noexcept { claims_.fetch_add(k_visit, sync::relaxed); }
  void leave_visit() noexcept { drop_claim(k_visit); }
  /// What the runtime's owner gave with the options, its clock and its hooks, is in use; ~runtime waits for these. Role: under the
  /// registry's lock, registered.
  void enter_use() noexcept { uses_.fetch_add(1, sync::relaxed); }
  void leave_use() noexcept;
  /// Role: ~runtime, unregistered.
  void wait_for_uses() noexcept;
  /// Never given twice; not 0.
  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }

  // ---- scheduling: any thread that keeps the core alive ----
  void post(work_item& item) noexcept;
  /// `count` items linked by `next`, of a runtime that has not been left behind.
  void post_chain(work_item* first, std::size_t count) noexcept;
  /// A task that was woken by the task now running here: likely the next to run.
  void post_newest(work_item& item) noexcept;
  void post_last(work_item& item) noexcept;
  /// post() from the worker in `seat`, which is of this runtime.
  void post_from(worker& seat, work_item& item) noexcept {
    item_begun();
    native_->post_from(seat, item);
  }
  /// Throws std::system_error when no blocking thread can be had.
  /// Role: who has called begin_call().
  void post_blocking(work_item& item);
  /// Before the call can be seen by others: whoever ends it calls call_ended().
  void begin_call() noexcept;
  /// The item popped or claimed by this thread has been run. Pairs with each post.
  void item_done() noexcept {
    if (counts_items_) count_item_done();
  }
  /// Some are queued, or run. A hint.
  [[nodiscard]] bool calls_are_out() const noexcept { return (calls_out_.load(sync::relaxed) & ~k_abandoned) != 0; }
  /// The clock does not count calls any more, nor their ends.
  [[nodiscard]] bool calls_are_abandoned() const noexcept { return (calls_out_.load(sync::relaxed) & k_abandoned) != 0; }
  /// A blocking call has returned, or was ended before it began. Once per begin_call(), before the entry's reference goes.
  void call_ended() noexcept;
  void item_begun() noexcept {
    if (counts_items_) count_item_begun();
  }
  /// The seat of the thread whose context this is, null unless it sits on a worker of this runtime.
  [[nodiscard]] worker* seat_of(const thread_context& here) const noexcept { return here.owner == this ? here.seat : nullptr; }
  [[nodiscard]] pool* native() noexcept { return native_ ? &*native_ : nullptr; }
  [[nodiscard]] executor* foreign_executor() noexcept { return options_.executor; }
  /// The foreign executor may have gone: who waits, waits elsewhere. Asked in a task that a thread outside runs in place.
  [[nodiscard]] bool executor_is_gone() const noexcept { return (foreign_items_.load(sync::relaxed) & k_drained) != 0; }
  /// A thread outside waits in the foreign executor. False: it may have gone, for this runtime was left behind.
  [[nodiscard]] bool begin_outside_wait(outside_waits::wait& wait) noexcept { return outside_waits_.begin(wait); }
  void end_outside_wait(outside_waits::wait& wait) noexcept;

  // ---- parts ----
  [[nodiscard]] live_tasks& live() noexcept { return live_; }
  [[nodiscard]] timer_queue& timers() noexcept { return timers_; }
  [[nodiscard]] manual_clock_core* clock() noexcept { return clock_.get(); }
  [[nodiscard]] bool debug() const noexcept { return options_.debug; }
  [[nodiscard]] const runtime_options& options() const noexcept { return options_; }
  [[nodiscard]] runtime& owner() noexcept { return *owner_; }
  [[nodiscard]] runtime_metrics metrics() const noexcept;
  /// Since this runtime began, on its clock; coarse on the steady one.
  [[nodiscard]] std::uint32_t milliseconds() const noexcept;

  // ---- shutdown ----
  [[nodiscard]] bool closed() const noexcept { return closing_.load(sync::relaxed); }
  /// The last live task of a closing runtime has gone.
  void drained() noexcept { drained_.signal(); }
  /// Left behind: what is posted is dropped. Some of what was posted before may still run.
  /// order: acquire: the clock has forgotten this runtime's waits; peer: release in abandon_calls().
  [[nodiscard]] bool gone() const noexcept { return gone_.load(sync::acquire); }
  /// Set when that begins. Relaxed: who reads an old value looks again.
  [[nodiscard]] const sync::atomic<bool>& leaving_behind() const noexcept { return leaving_behind_; }
  /// False: the limit passed first. `detach`: the blocking calls that are out are then left behind,
  /// with this core kept alive; otherwise nothing is stopped yet. Plain threads only.
  bool shutdown(time_limit limit, bool detach);

 private:
  ~runtime_core() = default;
  void count_item_begun() noexcept;
  [[nodiscard]] bool post_foreign(work_item& item, void (executor::*how)(work_item&) noexcept) noexcept;
  void foreign_item_gone() noexcept;
  void refused(work_item& item) noexcept;
  [[nodiscard]] bool kept_for_instant(work_item& item) noexcept;
  void post_kept() noexcept;
  void count_item_done() noexcept;
  void name_what_is_left() noexcept;
  void drop_claim(std::uint64_t claim) noexcept;
  /// True: no visitor and no task. False: a visitor has brought a task.
  [[nodiscard]] bool wait_for_visits() noexcept;
  void wait_for_foreign_items() noexcept;
  bool wait_until_drained(sync::nanoseconds deadline, bool only_calls_may_stay) noexcept;
  void abandon_calls() noexcept;

  runtime* owner_;
  const std::uint64_t number_;
  runtime_options options_;
  const std::shared_ptr<manual_clock_core> clock_;  ///< shared: who is left behind may come to it when its owner has gone
  struct kept_items final : instant_end {
    explicit kept_items(runtime_core& of) noexcept
        : instant_end([](instant_end& end) noexcept { static_cast<kept_items&>(end).runtime->post_kept(); }), runtime(&of) {}
    runtime_core* runtime;
    work_item* first = nullptr;
    work_item** last = &first;
    std::size_t count = 0;
  } kept_{*this};            ///< what an instant of the clock has woken, until it has fired: its mover's
  const bool counts_items_;  ///< a manual clock or a foreign executor must know of every item
  const sync::nanoseconds began_;
  const unsigned workers_;  ///< of the native pool; 0: a foreign executor
  live_tasks live_;
  timer_queue timers_;
  std::optional<blocking_pool> blocking_;
  std::optional<pool> native_;
  sync::mutex shutdown_lock_;
  bool stopped_ = false;    ///< under shutdown_lock_
  bool timed_out_ = false;  ///< under shutdown_lock_: shutdown_for() has returned false
  sync::atomic<bool> closing_{false};
  static constexpr std::size_t k_abandoned = ~(~std::size_t{0} >> 1);
  sync::atomic<std::size_t> calls_out_{
      0};  ///< blocking calls queued or running; and k_abandoned, once the clock does not count them
  sync::atomic<bool> leaving_behind_{false};
  sync::atomic<bool> gone_{false};  ///< stopped with calls left behind: posts are dropped
  static constexpr std::size_t k_closed = k_abandoned, k_drained = k_closed >> 1;
  /// Posted to options_.executor and not done, or being posted; k_closed; and k_drained, once nothing more is.
  sync::atomic<std::size_t> foreign_items_{0};
  outside_waits outside_waits_;
  sync::parker drained_;
  static constexpr std::uint64_t k_reference = 1, k_visit = k_reference | std::uint64_t{1} << 32;
  sync::atomic<std::uint64_t> claims_{k_reference};  ///< low half: references; high half: those of them that are visits
  sync::atomic<std::uint32_t> uses_{1};              ///< one is ~runtime's
  sync::parker unused_;
};

/// Keeps a runtime that cannot have ended yet from ending under this thread. Free on the runtime's own threads.
class runtime_visit {
 public:
  explicit runtime_visit(runtime_core& core) noexcept;
  runtime_visit(const runtime_visit&) = delete;
  runtime_visit& operator=(const runtime_visit&) = delete;
  ~runtime_visit() {
    if (core_ != nullptr) core_->leave_visit();
  }

 private:
  runtime_core* core_;  ///< null: nothing to leave
};

/// Runtimes that have not been destroyed; under a lock.
void register_runtime(runtime_core& core);
void unregister_runtime(runtime_core& core) noexcept;

/// The runtime that a task was started on, if it has not been destroyed; ~runtime waits meanwhile.
class alive_runtime {
 public:
  explicit alive_runtime(const task_core& task) noexcept;
  alive_runtime(const alive_runtime&) = delete;
  alive_runtime& operator=(const alive_runtime&) = delete;
  ~alive_runtime() {
    if (core_ != nullptr) core_->leave_use();
  }
  [[nodiscard]] explicit operator bool() const noexcept { return core_ != nullptr; }
  [[nodiscard]] runtime_core* operator->() const noexcept { return core_; }
  [[nodiscard]] runtime_core& operator*() const noexcept { return *core_; }

 private:
  runtime_core* core_ = nullptr;
};

/// The hook's call for a failure that nobody will look at any more. The task is complete; its runtime may be gone.
void report_unobserved(task_core& task) noexcept;
/// The same for the exception being handled, which a callback of this task threw.
void report_failed_callback(const runtime_core& runtime, task_core& task) noexcept;

/// Keeps a task's runtime from being destroyed while this thread touches it. Free on the runtime's own threads.
class runtime_pin {
 public:
  struct incomplete_tag {};
  static constexpr incomplete_tag incomplete{};
  /// Null if the task has completed (its runtime may be gone).
  explicit runtime_pin(task_core& task) noexcept;
  /// The caller knows that the task cannot complete before it has acted.
  runtime_pin(task_core& task, incomplete_tag) noexcept;
  runtime_pin(const runtime_pin&) = delete;
  runtime_pin& operator=(const runtime_pin&) = delete;
  ~runtime_pin() {
    if (counted_) core_->leave_visit();
  }
  [[nodiscard]] explicit operator bool() const noexcept { return core_ != nullptr; }
  [[nodiscard]] runtime_core* operator->() const noexcept { return core_; }
  [[nodiscard]] runtime_core& operator*() const noexcept { return *core_; }

 private:
  runtime_core* core_ = nullptr;
  bool counted_ = false;
};

}  // namespace sheaf::detail
