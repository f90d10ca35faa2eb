#include <sheaf/race.hpp>

#include <algorithm>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include <sheaf/as_completed.hpp>
#include <sheaf/cancel_and_join.hpp>
#include <sheaf/detail/completion_core.hpp>
#include <sheaf/wait.hpp>

namespace sheaf::detail {

namespace {

/// The candidates that run, as the deciding coroutine sees them.
class entered_candidates {
 public:
  entered_candidates(const contest& how, child_list& all, runtime_core& runtime)
      : how_(how), all_(all.all()), runtime_(runtime), ended_(completion_core::make(0)) {}

  /// Those that run already. Once, first. @throws std::bad_alloc
  void enter_running() {
    for (task_core* const each : all_) {
      if (each->is_started()) add(*each);
    }
    skip_running();
  }
  [[nodiscard]] bool any_left() const noexcept { return next_ != all_.size(); }
  /// @throws std::bad_alloc: it has not been started
  void start_next() {
    task_core& next = *all_[next_];
    reserve_start(next, runtime_);
    add(next);
    next.header().borrows = false;                                // the race awaits it
    start_task(next, runtime_, {.structured = true}, how_.name);  // reserved, and a structured child is always admitted
    skip_running();
  }
  void stop() noexcept {
    for (task_core* const each : all_) {
      if (each->is_started()) request_cancel(*each, how_.must_succeed ? "another one succeeded" : "the race is over");
    }
  }
  /// Until one has ended, or that time is over.
  [[nodiscard]] set_wait one_or_after(sync::nanoseconds limit) noexcept {
    const wait_options options{.timeout = time_limit(std::chrono::nanoseconds(limit)), .return_when = first_completed};
    return {ended_.get(), options};
  }
  [[nodiscard]] bool one_has_ended() noexcept { return ended_->ready() != 0; }
  /// The next to end; nullopt when all that run have.
  [[nodiscard]] auto next() noexcept { return next_operation<any_result>(ended_.get(), sync::k_forever); }
  [[nodiscard]] std::size_t place_of(const any_task& candidate) const noexcept {
    return static_cast<std::size_t>(std::ranges::find(all_, &task_access::core(candidate)) - all_.begin());
  }

 private:
  void add(task_core& task) {
    task.state.add_handle();
    try {
      ended_->add(task);
    } catch (...) {
      drop_handle(task);
      throw;
    }
  }
  void skip_running() noexcept {
    while (any_left() && all_[next_]->is_started()) ++next_;
  }

  const contest& how_;
  std::span<task_core* const> all_;
  runtime_core& runtime_;
  completion_owner ended_;
  std::size_t next_ = 0;  ///< the first that has not been started
};

}  // namespace

coro<std::size_t> decide_contest(contest how, child_list& candidates) {
  task_core* const self = co_await this_core();
  if (std::ranges::find(candidates.all(), self) != candidates.all().end()) {
    throw invalid_state(std::string(how.name) + ": task " + label_of(*self) + " waits for itself");
  }
  entered_candidates entered(how, candidates, *self->runtime);
  entered.enter_running();
  std::size_t winner = k_no_winner;
  std::exception_ptr ends_with;  // the caller's cancel, or what kept a candidate from starting
  bool start_another = true;
  bool stopping = false;
  for (;;) {
    bool stop = false;
    try {
      while (!stopping && start_another && entered.any_left()) {
        entered.start_next();
        start_another = how.stagger <= 0;
      }
      if (!stopping && entered.any_left() && how.stagger != sync::k_forever) {
        co_await entered.one_or_after(how.stagger);
        if (!entered.one_has_ended()) {
          start_another = true;
          continue;
        }
      }
      const std::optional<any_task> ended = co_await entered.next();
      if (!ended) break;
      if (winner == k_no_winner && !ends_with && (!how.must_succeed || ended->status() == task_status::succeeded)) {
        winner = entered.place_of(*ended);
        stop = true;
      }
      start_another = true;
    } catch (...) {
      ends_with = std::current_exception();
      stop = true;
    }
    if (stop) {
      stopping = true;
      entered.stop();
    }
  }
  for (task_core* const each : candidates.all()) {
    if (each->is_started()) each->state.mark_observed();
  }
  if (ends_with) std::rethrow_exception(std::move(ends_with));
  co_return winner;
}

void throw_no_winner(contest how, const child_list& candidates) {
  std::vector<std::exception_ptr> errors;
  errors.reserve(candidates.all().size());
  for (task_core* const each : candidates.all()) errors.push_back(exception_of(*each));
  const std::string what = std::string(how.name) + (errors.empty() ? ": no candidates" : ": none succeeded");
  throw exception_group(what, std::move(errors));
}

}  // namespace sheaf::detail
