#pragma once
/// @file
/// Work items and gates for the tests of the pool and its queues.

#include <sheaf/work_item.hpp>

#include <atomic>
#include <cstddef>
#include <latch>
#include <memory>
#include <utility>

namespace sheaf::test {

/// Runs a callable; must outlive its run.
template <class F>
class action : public work_item {
 public:
  explicit action(F f) : work_item(&run_this), f_(std::move(f)) {}

 private:
  static void run_this(work_item& item) noexcept { static_cast<action&>(item).f_(); }
  F f_;
};

/// Counts its runs; `number` tells it apart.
class counted : public work_item {
 public:
  counted() : work_item(&run_this) {}
  [[nodiscard]] int runs() const noexcept { return runs_.load(); }
  std::size_t number = 0;

 private:
  static void run_this(work_item& item) noexcept { static_cast<counted&>(item).runs_.fetch_add(1); }
  std::atomic<int> runs_{0};
};

inline std::unique_ptr<counted[]> numbered_items(std::size_t count) {
  auto items = std::make_unique<counted[]>(count);
  for (std::size_t i = 0; i < count; ++i) items[i].number = i;
  return items;
}

/// Opened once, by anybody.
class gate {
 public:
  void open() noexcept { latch_.count_down(); }
  void wait() const noexcept { latch_.wait(); }
  [[nodiscard]] bool is_open() const noexcept { return latch_.try_wait(); }

 private:
  std::latch latch_{1};
};

/// Runs `work` on a worker of `p`, which has post(), and waits for it.
template <class Pool, class F>
void run_on(Pool& p, F work) {
  gate done;
  action item([&] {
    work();
    done.open();
  });
  p.post(item);
  done.wait();
}

}  // namespace sheaf::test
