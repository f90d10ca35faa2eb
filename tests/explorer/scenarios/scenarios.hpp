#pragma once
/// @file
/// A scenario has a name, what it is about, and how far it is explored by default.

#include <array>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <sheaf/detail/sync.hpp>
#include <sheaf/executor.hpp>
#include <sheaf/task.hpp>

#include "explorer/explorer.hpp"

namespace explorer {

struct scenario {
  std::string_view name;  ///< protocol.moment
  std::function<void()> body;
  options how = {};
};

std::span<const scenario> queue_scenarios();
std::span<const scenario> parking_scenarios();
std::span<const scenario> task_scenarios();
std::span<const scenario> live_task_scenarios();
std::span<const scenario> cancel_scenarios();
std::span<const scenario> time_scenarios();
std::span<const scenario> combinator_scenarios();
std::span<const scenario> gather_scenarios();
std::span<const scenario> blocking_scenarios();
std::span<const scenario> runtime_scenarios();

/// Plain memory that one thread writes and another reads afterwards: what is between the two must order them, or it is a race.
class written {
 public:
  void write() noexcept { value_ = 7; }
  void read() const { check(value_ == 7, "what came before is seen"); }

 private:
  int value_ = 0;
};

/// Of the scenario's own: alive once, destroyed once.
struct counted {
  explicit counted(int& alive) : alive_(&alive) { ++alive; }
  counted(counted&& other) noexcept : alive_(std::exchange(other.alive_, nullptr)) {}
  counted& operator=(counted&&) = delete;
  ~counted() {
    if (alive_ != nullptr) --*alive_;
  }
  int* alive_;  ///< null: moved from
};

/// A flag that orders nothing.
class mark {
 public:
  void set() noexcept { set_.store(true, std::memory_order_relaxed); }
  void await() const noexcept {
    while (!set_.load(std::memory_order_relaxed)) pause();
  }

 private:
  sheaf::detail::sync::atomic<bool> set_{false};
};

/// Until the task has ended, whatever it makes of that.
inline void wait_out(const sheaf::any_task& ending) {
  try {
    ending.get();
  } catch (...) {
  }
}

/// Runs its parts on explored threads and joins them.
inline void together(std::initializer_list<std::function<void()>> parts) {
  using sheaf::detail::sync::thread;
  std::vector<thread> threads;
  threads.reserve(parts.size());
  for (const std::function<void()>& part : parts) {
    threads.emplace_back(
        "", [](void* what) noexcept { (*static_cast<const std::function<void()>*>(what))(); },
        const_cast<std::function<void()>*>(&part));
  }
  for (thread& each : threads) each.join();
}

/// Runs `there` on an explored thread meanwhile.
template <class Here>
void beside(std::function<void()> there, Here here) {
  sheaf::detail::sync::thread other("", [](void* what) noexcept { (*static_cast<std::function<void()>*>(what))(); }, &there);
  here();
  other.join();
}

/// Each item waits in a slot of the scenario's choice, for a thread of its choice; whoever posts goes on when the scenario lets it.
class slots final : public sheaf::executor {
 public:
  void post(sheaf::work_item& item) noexcept override {
    const unsigned to = route(item);
    items_[to] = &item;
    filled_[to].signal();
    if (posted) posted(to);
  }
  [[nodiscard]] std::size_t concurrency() const noexcept override { return 2; }
  /// Waits for the item.
  void run(unsigned which) noexcept {
    filled_[which].wait();
    items_[which]->run();
  }

  std::function<unsigned(sheaf::work_item&)> route;
  std::function<void(unsigned)> posted;

 private:
  std::array<sheaf::detail::sync::parker, 5> filled_;
  std::array<sheaf::work_item*, 5> items_ = {};
};

}  // namespace explorer
