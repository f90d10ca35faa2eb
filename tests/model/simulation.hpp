#pragma once
/// @file
/// What the reference interpreter runs on: tasks that take turns on one thread, and a clock that jumps to the next deadline when none can
/// go on. Conditions are looked at again and again, which is slow and hard to get wrong. Nothing here is Sheaf's.

#include <coroutine>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <set>
#include <utility>
#include <vector>

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
};

class simulation {
 public:
  /// Returns a started task; it has its first turn later.
  sim_task& start(std::function<step_by_step(sim_task&)> make_body);
  /// False: too late.
  bool request(sim_task& target);
  void fire(sim_task& owner, scope& own);
  void at(std::int64_t time, std::function<void()> act) { timers_.emplace_back(time, std::move(act)); }
  [[nodiscard]] std::int64_t now() const { return now_; }
  /// Until `main` has ended, or nothing can go on.
  void run(const sim_task& main);

  /// Suspends the task until `ready()`. The await says whether a cancel request was delivered with the end of the wait. With `on_cancel`
  /// it waits on, and that is called for each request.
  struct wait {
    sim_task& self;
    std::function<bool()> ready;
    std::function<void()> on_cancel{};

    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> leaf) {
      self.ready = std::move(ready);
      self.on_cancel = std::move(on_cancel);
      self.leaf = leaf;
      self.poked = self.pending();
    }
    bool await_resume() const {
      const bool asked = self.pending();
      if (asked) self.deliver();
      return asked;
    }
  };

 private:
  bool give_turn(sim_task& each);

  std::int64_t now_ = 0;
  int ended_ = 0;
  std::vector<std::unique_ptr<sim_task>> tasks_;
  std::vector<std::pair<std::int64_t, std::function<void()>>> timers_;
};

}  // namespace sheaf::model
