/// Children being started, or just done, against everybody who can see them: shutdown, tasks(), a sibling's failure.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <sheaf/as_completed.hpp>
#include <sheaf/completion_queue.hpp>
#include <sheaf/gather.hpp>
#include <sheaf/runtime.hpp>
#include <sheaf/spawn.hpp>
#include <sheaf/wait.hpp>

#include "support/children.hpp"
#include "support/drop_counter.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::drop_counter;

/// Shutdown asks the gather to stop while its worker has started some of its children: it must find no child without a runtime.
TEST(StartRace, ShutdownAgainstAGatherThatStartsItsChildren) {
  for (int round = 0; round < 30; ++round) {
    std::atomic<bool> begun{false};
    runtime rt({.workers = 2});
    auto gathers = rt.spawn([&begun] {
      std::vector<std::function<int()>> work(3000, [] { return 1; });
      begun = true;
      try {
        static_cast<void>(gather(std::move(work)));
      } catch (const runtime_closed&) {
      }
    });
    while (!begun) std::this_thread::yield();
    for (int i = 0; i < round; ++i) std::this_thread::yield();
  }
}

/// A plain thread starts children while the runtime shuts down: they are refused, or they end.
TEST(StartRace, ShutdownAgainstStreamsOfAPlainThread) {
  for (int round = 0; round < 100; ++round) {
    runtime rt({.workers = 2});
    std::atomic<bool> begun{false};
    const std::vector<std::function<int()>> work(50, [] { return 1; });
    std::thread user([&] {
      const auto here = rt.enter();
      try {
        begun = true;
        auto stream = as_completed(work);
        const auto left = stream.unfinished();
        for (const auto& each : left) test::spin_until([&each] { return each.done(); });
      } catch (const runtime_closed&) {
      }
    });
    while (!begun) std::this_thread::yield();
    for (int i = 0; i < round % 20; ++i) std::this_thread::yield();
    rt.shutdown();
    user.join();
  }
}

/// The gather ends by one child's failure and lets go of a sibling that is complete and about to tell its waiters.
TEST(StartRace, AFailureAgainstTheEndOfASibling) {
  runtime rt({.workers = 3});
  const auto here = rt.enter();
  for (int round = 0; round < 2000; ++round) {
    std::vector<task<int>> children;
    for (int i = 0; i < 4; ++i) {
      children.push_back(spawn(
          [](int number) {
            if (number % 2 != 0) throw test::boom(number);
            return number;
          },
          i));
    }
    auto all = gather(std::move(children));
    EXPECT_THROW(all.get(), test::boom);
  }
}

/// A task that tasks() shows is claimed by get() before its creator has posted it, or run its first step: it runs once.
TEST(StartRace, GetThroughTasksAgainstTheStart) {
  for (const bool eager : {false, true}) {
    std::atomic<bool> stop{false};
    std::atomic<int> runs{0};
    runtime rt({.workers = 2});
    const auto getter = rt.spawn([&stop] {
      runtime& home = *runtime::current();
      while (!stop) {
        for (const any_task& each : home.tasks()) {
          if (each.name() == "claimed" && each.status() == task_status::pending) each.get();
        }
      }
    });
    constexpr int k_rounds = 300;
    {
      const auto here = rt.enter();
      for (int round = 0; round < k_rounds; ++round) {
        const spawn_options options{.name = "claimed", .eager = eager};
        spawn(options, [&runs] { ++runs; }).get();
      }
    }
    stop = true;
    getter.get();
    EXPECT_EQ(runs, k_rounds);
  }
}

/// A completion queue's consumer drops the only handle of a task before add() has returned.
TEST(StartRace, TheLastHandleGoesWhileAWaiterIsAdded) {
  runtime rt({.workers = 2});
  const auto here = rt.enter();
  for (int round = 0; round < 2000; ++round) {
    completion_queue<int> queue;
    auto child = spawn([] { return 1; });
    try {
      static_cast<void>(child.get_for(0ns));  // somebody has waited, and perhaps left
    } catch (const timeout_error&) {
    }
    queue.add(std::move(child));
    EXPECT_EQ(queue.next().get()->result(), 1);
  }
}

/// The third element cannot be taken: what was made of the first two is destroyed, unrun.
TEST(StartRace, AnElementThatThrowsLeavesNothingBehind) {
  drop_counter drops;
  runtime rt({.workers = 1});
  const auto here = rt.enter();
  const auto holds = [](drop_counter::payload mine) -> coro<int> {
    ADD_FAILURE() << "it ran";
    co_return mine.value();
  };
  std::vector<coro<int>> children;
  for (int i = 0; i < 3; ++i) children.push_back(holds(drops.make()));
  {
    const coro<int> taken = std::move(children[2]);
  }
  EXPECT_THROW(static_cast<void>(gather(std::move(children))), invalid_state);
  std::vector<task<int>> handles{spawn([] { return 1; }), task<int>()};
  EXPECT_THROW(static_cast<void>(task_set<int>(handles)), invalid_state);
  handles[0].get();
}

}  // namespace
}  // namespace sheaf
