/// with_task_group: children that never outlive the call, and the value of the body.
#include <sheaf/task_group.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>

#include "support/children.hpp"
#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::boom;
using test::boom_after;
using test::bystander;
using test::drop_counter;
using test::gate;
using test::value_after;
using numbers = std::vector<int>;

SHEAF_ON_EVERY_FLAVOUR(TaskGroupOnEvery);
SHEAF_ON_NATIVE_POOLS(TaskGroupOnPools);

TEST_P(TaskGroupOnEvery, Tg01_LeavingWaitsForEveryChildAlsoForThoseAddedLater) {
  run([this]() -> coro<> {
    std::optional<task<int>> one, two;
    co_await with_task_group([&](task_group& group) -> coro<> {
      one = group.spawn(value_after(1s, 1));
      co_await this_task::yield();
      two = group.spawn(value_after(3s, 2));
      EXPECT_EQ(group.size(), 2U);
    });
    EXPECT_EQ(clock().now(), 3s);
    EXPECT_EQ(one->result(), 1);
    EXPECT_EQ(two->result(), 2);
  });
}

TEST_P(TaskGroupOnEvery, AnEmptyGroupEndsAtOnce) {
  run([this]() -> coro<> {
    const test::bystander other;
    co_await with_task_group([](task_group&) -> coro<> { co_return; });
    EXPECT_EQ(co_await with_task_group([](task_group&) -> coro<int> { co_return 4; }), 4);
    if (one_thread()) EXPECT_FALSE(other.has_run());
    co_await other.done();
  });
}

TEST_P(TaskGroupOnEvery, TakesEveryKindOfWork) {
  run([]() -> coro<> {
    std::vector<int> seen(4, 0);
    co_await with_task_group([&](task_group& group) -> coro<> {
      const auto set = [](int& to) -> coro<> {
        to = 1;
        co_return;
      };
      group.spawn(set(seen[0]));
      group.spawn(set, std::ref(seen[1]));
      group.spawn([](int& to) { to = 1; }, std::ref(seen[2]));
      group.spawn([](const cancel_token&, int& to) { to = 1; }, std::ref(seen[3]));
      co_return;
    });
    EXPECT_EQ(seen, (numbers{1, 1, 1, 1}));
  });
}

TEST_P(TaskGroupOnEvery, Tg31_TheBodysValueComesAfterTheChildren) {
  run([this]() -> coro<> {
    int target = 3;
    const int value = co_await with_task_group([](task_group& group) -> coro<int> {
      group.spawn(value_after(2s, 0));
      co_return 1;
    });
    EXPECT_EQ(value, 1);
    EXPECT_EQ(clock().now(), 2s);
    const auto box = co_await with_task_group([](task_group& group) -> coro<std::unique_ptr<int>> {
      for (int i = 0;; ++i) {
        group.spawn(value_after(1s, i));
        if (i == 2) co_return std::make_unique<int>(2);
      }
    });
    EXPECT_EQ(*box, 2);
    EXPECT_EQ(clock().now(), 3s);
    int& same = co_await with_task_group([&](task_group& group) -> coro<int&> {
      group.spawn(value_after(1s, 0));
      co_return target;
    });
    EXPECT_EQ(&same, &target);
  });
}

/// The body's locals are gone when the join begins: what children use must live outside the call.
TEST_P(TaskGroupOnEvery, TheBodysLocalsDieBeforeTheJoin) {
  drop_counter drops;
  run([&]() -> coro<> {
    bool checked = false;
    co_await with_task_group([&](task_group& group) -> coro<> {
      const auto local = drops.make();
      const auto checking = [](drop_counter& drops, bool& checked) -> coro<> {
        co_await sleep_for(1s);
        EXPECT_EQ(drops.alive(), 0);
        checked = true;
      };
      group.spawn(checking(drops, checked));
      co_return;
    });
    EXPECT_TRUE(checked);
  });
}

TEST_P(TaskGroupOnEvery, Tg17_FinishedChildrenAreForgottenAtOnce) {
  drop_counter drops;
  run([&]() -> coro<> {
    co_await with_task_group([&](task_group& group) -> coro<> {
      for (int i = 0; i < 10; ++i) {
        const auto making = [](drop_counter& drops) -> coro<drop_counter::payload> {
          co_await sleep_for(1s);
          co_return drops.make();
        };
        group.spawn(making(drops));
        co_await sleep_for(2s);
        EXPECT_EQ(group.size(), 0U);
        EXPECT_EQ(drops.alive(), 0);  // neither the child nor its result is kept
      }
    });
    EXPECT_EQ(drops.drops(), 10);
  });
}

TEST_P(TaskGroupOnEvery, Tg18_AChildAddsMoreAfterTheBodyHasEnded) {
  run([this]() -> coro<> {
    int ended = 0;
    struct tree {
      static coro<> grow(task_group& group, int depth, int& ended) {
        co_await sleep_for(1s);
        if (depth > 0) group.spawn(grow(group, depth - 1, ended));
        ++ended;
      }
    };
    co_await with_task_group([&](task_group& group) -> coro<> {
      group.spawn(tree::grow(group, 3, ended));
      co_return;
    });
    EXPECT_EQ(ended, 4);
    EXPECT_EQ(clock().now(), 4s);
  });
}

/// A group is there only while its call is; what can still meet it at its end is the body's value on its way out.
TEST_P(TaskGroupOnEvery, Tg21_AtItsEndItTakesNothingMoreAndCancelDoesNothing) {
  struct meets_the_end {
    meets_the_end(task_group& met, bool& has_ended, drop_counter& made, int& times)
        : group(&met), ended(&has_ended), drops(&made), refused(&times) {}
    meets_the_end(meets_the_end&& other) noexcept
        : group(other.group), ended(other.ended), drops(other.drops), refused(other.refused) {
      if (!*ended || *refused != 0) return;
      group->cancel();
      try {
        group->spawn([](const drop_counter::payload&) { ADD_FAILURE() << "it ran"; }, drops->make());
      } catch (const invalid_state&) {
        ++*refused;
      }
      EXPECT_EQ(drops->alive(), 0);
    }
    meets_the_end& operator=(meets_the_end&&) = delete;
    ~meets_the_end() = default;
    task_group* group;
    bool* ended;
    drop_counter* drops;
    int* refused;
  };
  drop_counter drops;
  run([&]() -> coro<> {
    const gate open;
    bool ended = false;
    int refused = 0;
    const auto body = [&](task_group& group) -> coro<meets_the_end> {
      const auto last = [](gate open, bool& ended) -> coro<> {
        co_await open;
        ended = true;
      };
      group.spawn(last(open, ended));
      co_return meets_the_end(group, ended, drops, refused);
    };
    const task<meets_the_end> parent = spawn(with_task_group(body));
    co_await test::until_parked(parent);  // in the join
    open.open();
    co_await parent;
    EXPECT_EQ(refused, 1);
    EXPECT_EQ(parent.status(), task_status::succeeded);
  });
}

/// A group is made by its call alone, so it is entered once.
TEST(TaskGroup, Tg22_NobodyElseMakesOne) {
  static_assert(!std::is_default_constructible_v<task_group> && !std::is_copy_constructible_v<task_group> &&
                !std::is_move_constructible_v<task_group> && !std::is_copy_assignable_v<task_group>);
}

TEST_P(TaskGroupOnEvery, Tg24_TheNameGivenIsTheChilds) {
  run([]() -> coro<> {
    std::string inside, outside;
    co_await with_task_group([&](task_group& group) -> coro<> {
      const auto asking = [](std::string& inside) -> coro<> {
        inside = this_task::name();
        co_return;
      };
      const task<> child = group.spawn(spawn_options{.name = "worker-7"}, asking(inside));
      outside = child.name();
      co_return;
    });
    EXPECT_EQ(inside, "worker-7");
    EXPECT_EQ(outside, "worker-7");
  });
}

/// TG-23: no parent task is needed, get() makes one.
/// TG-34: a group is made by the call that it is for, so none can be cancelled before.
static_assert(!std::is_default_constructible_v<task_group>);
TEST_P(TaskGroupOnEvery, FromAPlainThreadAndAddedToFromOne) {
  const entered here = rt().enter();
  std::optional<task<int>> child;
  const auto body = [&](task_group& group) -> coro<int> {
    std::thread([&] { child = group.spawn(value_after(1h, 5)); }).join();  // no runtime is current there
    co_return 2;
  };
  EXPECT_EQ(with_task_group(body).get(), 2);
  EXPECT_EQ(child->result(), 5);
  EXPECT_THROW(with_task_group([](task_group& group) -> coro<> {
                 group.spawn(boom_after(1h, 3));
                 co_return;
               }).get(),
               exception_group);
}

TEST_P(TaskGroupOnPools, Mt19_WhatChildrenWroteIsSeenAfterTheCall) {
  run([]() -> coro<> {
    for (int round = 0; round < 100; ++round) {
      std::vector<int> written(8, 0);
      co_await with_task_group([&written](task_group& group) -> coro<> {
        for (int& each : written) group.spawn([](int& to) { to = 1; }, std::ref(each));
        co_return;
      });
      for (const int each : written) EXPECT_EQ(each, 1);
    }
  });
}

/// Children end, fail and are added on all workers while the body ends: every one of them has ended when the call does.
TEST_P(TaskGroupOnPools, NoChildOutlivesTheCall) {
  run([]() -> coro<> {
    for (int round = 0; round < 100; ++round) {
      std::atomic<int> alive{0};
      struct counted {
        explicit counted(std::atomic<int>& in) : alive(&in) { alive->fetch_add(1); }
        counted(counted&& other) noexcept : alive(std::exchange(other.alive, nullptr)) {}
        counted& operator=(counted&&) = delete;
        ~counted() {
          if (alive != nullptr) alive->fetch_sub(1);
        }
        std::atomic<int>* alive;
      };
      struct tree {
        static coro<> grow(task_group& group, counted mine, int depth, int number) {
          if (number == 13) throw boom(13);
          co_await this_task::yield();
          if (depth == 0) co_return;
          try {
            group.spawn(grow(group, counted(*mine.alive), depth - 1, number * 2));
            group.spawn(grow(group, counted(*mine.alive), depth - 1, number * 2 + 1));
          } catch (const invalid_state&) {
          }
        }
      };
      try {
        co_await with_task_group([&](task_group& group) -> coro<> {
          group.spawn(tree::grow(group, counted(alive), 4, 1));
          co_return;
        });
        ADD_FAILURE() << "no error";
      } catch (const exception_group&) {
      }
      EXPECT_EQ(alive.load(), 0);
    }
  });
}

}  // namespace
}  // namespace sheaf
