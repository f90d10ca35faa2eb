#pragma once
/// @file
/// What the reference interpreter runs on: tasks that take turns on one thread, and a clock that jumps to the next deadline when none can
/// go on. Conditions are looked at again and again, which is slow and hard to get wrong. What of all that is possible at one instant comes
/// first is left to a guide. Nothing here is Sheaf's.

#include <coroutine>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "program.hpp"

namespace sheaf::model {

/// A computation within a simulated task.
class step_by_step {
 public:
  struct promise_type {
    std::int64_t value = 0;
    std::exception_ptr error;
    std::coroutine_handle<> caller;

    struct at_end {
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> self) const noexcept {
        return self.promise().caller ? self.promise().caller : std::noop_coroutine();
      }
      void await_resume() const noexcept {}
    };
    step_by_step get_return_object() { return step_by_step(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    at_end final_suspend() const noexcept { return {}; }
    void return_value(std::int64_t given) { value = given; }
    void unhandled_exception() { error = std::current_exception(); }
  };

  explicit step_by_step(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  step_by_step(step_by_step&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  step_by_step& operator=(step_by_step&&) = delete;
  ~step_by_step() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) const noexcept {
    handle_.promise().caller = caller;
    return handle_;
  }
  std::int64_t await_resume() const { return result(); }

  void resume() const { handle_.resume(); }
  [[nodiscard]] bool ended() const { return handle_.done(); }
  [[nodiscard]] std::int64_t result() const {
    if (handle_.promise().error) std::rethrow_exception(handle_.promise().error);
    return handle_.promise().value;
  }

 private:
  std::coroutine_handle<promise_type> handle_;
};

/// A part of a task with requests of its own: a deadline's, or a group's.
struct scope {
  bool fired = false;
  bool delivered = false;
  scope* seen_in = nullptr;  ///< where the task was when that request was delivered
  int seen_at_entry = 0;
  int counted_at_entry = 0;
};

struct sim_task {
  enum class state { alive, value, error, cancelled };

  int number = 0;  ///< of the node that it evaluates; negative: of the node whose children it gathers
  state now = state::alive;
  std::int64_t value = 0;
  std::exception_ptr error;
  int ended_as = 0;  ///< 1 for the first to end
  std::vector<std::function<void()>> at_end{};

  int requests = 0;
  bool request_pending = false;  ///< one that has not been delivered
  bool poked = false;            ///< a request that the wait has not heard of
  std::vector<scope*> scopes{};  ///< outermost first

  std::function<bool()> ready{};      ///< of the wait it is suspended in
  std::function<void()> on_cancel{};  ///< empty: a request ends the wait
  std::coroutine_handle<> leaf{};
  std::unique_ptr<step_by_step> body{};

  [[nodiscard]] bool done() const { return now != state::alive; }
  [[nodiscard]] bool pending() const;
  [[nodiscard]] int seen_requests() const { return requests - (request_pending ? 1 : 0); }
  void deliver();

  /// Requests from outside a scope: all, and those that the task has seen. `depth`: how many scopes are around it.
  [[nodiscard]] int level(std::size_t depth) const;
  [[nodiscard]] int seen_level(std::size_t depth) const;
  /// Returns how many scopes are around it.
  std::size_t open(scope& own);
  void close(scope& own);
  /// What was delivered within a scope, but came from outside, is pending again.
  void ask_again(const scope& own, std::size_t depth);
};

/// Fires once, in the order of times, and in the order of making among equal ones.
struct alarm {
  std::int64_t time = 0;
  std::function<void()> act{};
  bool fired = false;
  bool disarmed = false;
};

/// What can happen next: a task's turn, or (null) the next alarm, or something posted.
struct possible {
  sim_task* task = nullptr;
  std::size_t posted = 0;  ///< 0: the alarm; else counted from 1
};

class guide {
 public:
  guide() = default;
  virtual ~guide() = default;
  guide(const guide&) = delete;
  guide& operator=(const guide&) = delete;

  /// Which of these, more than one, comes first.
  virtual std::size_t choose(std::span<const possible> these) = 0;
  /// False: the run is to end here.
  virtual bool notes(const entry& ended) = 0;
  virtual bool moves_to(std::int64_t time) = 0;
};

class first_of_all final : public guide {
 public:
  std::size_t choose(std::span<const possible>) override { return 0; }
  bool notes(const entry&) override { return true; }
  bool moves_to(std::int64_t) override { return true; }
};

class simulation {
 public:
  explicit simulation(guide& order) : order_(order) {}

  /// Returns a started task; it has its first turn later.
  sim_task& start(int number, const std::function<step_by_step(sim_task&)>& make_body);
  /// Returns a task that waits already.
  sim_task& start_waiting(int number, const std::function<step_by_step(sim_task&)>& make_body);
  /// False: too late.
  bool request(sim_task& target);
  void fire(sim_task& owner, scope& own);
  std::shared_ptr<alarm> at(std::int64_t time, std::function<void()> act = {});
  /// Happens at this instant, in a turn of its own.
  void post(std::function<void()> act) { posted_.push_back(std::move(act)); }
  void note(entry ended);
  [[nodiscard]] std::int64_t now() const { return now_; }
  /// Until `main` has ended, or nothing can go on, or the guide has had enough. Returns what was noted.
  history run(const sim_task& main);

  /// Suspends the task until `ready()`, unless that holds at once. The await says whether a cancel request was delivered with the end of
  /// the suspension. With `on_cancel` it waits on, and that is called for each request.
  struct wait {
    sim_task& self;
    std::function<bool()> ready;
    std::function<void()> on_cancel{};
    bool yields = false;  ///< suspends in any case
    bool suspended = false;

    bool await_ready() const { return !yields && ready(); }
    bool await_suspend(std::coroutine_handle<> leaf);
    bool await_resume() const;
  };

 private:
  static bool may_have_turn(sim_task& each);
  void give_turn(sim_task& each);
  void end(sim_task& each);

  guide& order_;
  std::int64_t now_ = 0;
  int ended_ = 0;
  bool stopped_ = false;
  history noted_;
  std::vector<std::unique_ptr<sim_task>> tasks_;
  std::vector<std::shared_ptr<alarm>> alarms_;  ///< the first is the next
  std::vector<std::function<void()>> posted_;
};

}  // namespace sheaf::model
