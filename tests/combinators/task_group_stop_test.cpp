/// task_group::cancel(): an early end that is no error.
#include <sheaf/task_group.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>

#include "support/children.hpp"
#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/groups.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::boom_when_cancelled;
using test::cancelled_at_the_next_suspension;
using test::counts_requests;
using test::drop_counter;
using test::failures_in;
using test::gate;
using test::until_complete;
using test::until_parked;
using test::value_after;
using test::value_at;
using numbers = std::vector<int>;

SHEAF_ON_EVERY_FLAVOUR(GroupStopOnEvery);
SHEAF_ON_NATIVE_POOLS(GroupStopOnPools);

TEST_P(GroupStopOnEvery, Tg33_FromTheBodyItEndsWithoutAnError) {
  run([this]() -> coro<> {
    std::optional<task<int>> child;
    bool went_on = false;
    co_await with_task_group([&](task_group& group) -> coro<> {
      child = group.spawn(value_after(1h, 1));
      co_await sleep_for(1s);
      group.cancel();
      group.cancel();
      co_await sleep_for(1h);
      went_on = true;
    });
    EXPECT_FALSE(went_on);
    EXPECT_TRUE(child->cancelled());
    EXPECT_EQ(clock().now(), 1s);
    EXPECT_EQ(this_task::cancelling(), 0U);
    EXPECT_FALSE(co_await cancelled_at_the_next_suspension());
  });
}

TEST_P(GroupStopOnEvery, Tg33_FromAChildOrAnotherThread) {
  run([]() -> coro<> {
    const gate never;
    const auto cancels = [](task_group& group) -> coro<> {
      co_await this_task::yield();
      group.cancel();
    };
    for (const bool body_waits : {true, false}) {
      std::optional<task<int>> sibling;
      co_await with_task_group([&](task_group& group) -> coro<> {
        sibling = group.spawn(value_at(never, 1));
        group.spawn(cancels(group));
        if (body_waits) co_await never;
      });
      EXPECT_TRUE(sibling->cancelled());
      co_await with_task_group([&](task_group& group) -> coro<> {
        sibling = group.spawn(value_at(never, 1));
        spawn_blocking([](task_group& group) { group.cancel(); }, std::ref(group));
        co_await never;
      });
      EXPECT_TRUE(sibling->cancelled());
    }
    EXPECT_FALSE(co_await cancelled_at_the_next_suspension());
  });
}

TEST_P(GroupStopOnEvery, Tg33_ABodyThatGivesItsValueAllTheSameIsHeard) {
  run([]() -> coro<> {
    const gate never;
    const int value = co_await with_task_group([&](task_group& group) -> coro<int> {
      group.spawn(value_at(never, 1));
      group.cancel();
      co_return 5;
    });
    EXPECT_EQ(value, 5);
    const auto interrupted = [&](task_group& group) -> coro<int> {
      group.cancel();
      co_await never;
      co_return 5;
    };
    EXPECT_THROW(co_await with_task_group(interrupted), task_cancelled);
    EXPECT_FALSE(co_await cancelled_at_the_next_suspension());
  });
}

/// The body waits for a child, which the group cancels: that the child's outcome reaches it before its own request, or instead of
/// it, makes no difference.
TEST_P(GroupStopOnEvery, Tg33_ItEndsQuietlyAlsoWhenTheBodyMeetsItsCancelledChild) {
  run([]() -> coro<> {
    const gate never;
    for (int round = 0; round < 20; ++round) {
      co_await with_task_group([&](task_group& group) -> coro<> {
        const task<int> child = group.spawn(value_at(never, 1));
        const auto cancels = [](task_group& group) -> coro<> {
          group.cancel();
          co_return;
        };
        group.spawn(cancels(group));
        co_await child;
      });
      co_await with_task_group([&](task_group& group) -> coro<> {
        const task<int> child = group.spawn(value_at(never, 1));
        group.cancel();
        while (!child.done()) {
          try {
            co_await this_task::yield();
          } catch (const cancelled&) {
          }
        }
        co_await child;  // throws task_cancelled without a suspension
      });
    }
    EXPECT_FALSE(co_await cancelled_at_the_next_suspension());
  });
}

TEST_P(GroupStopOnEvery, Tg33_AddingAfterwardsIsRefused) {
  test::drop_counter drops;
  run([&]() -> coro<> {
    bool ran = false, refused = false;
    co_await with_task_group([&](task_group& group) -> coro<> {
      group.cancel();
      const auto holding = [](test::drop_counter::payload, bool& ran) -> coro<> {
        ran = true;
        co_return;
      };
      try {
        group.spawn(holding(drops.make(), ran));
      } catch (const invalid_state&) {
        refused = true;
      }
      EXPECT_EQ(drops.alive(), 0);
      co_return;
    });
    EXPECT_TRUE(refused);
    EXPECT_FALSE(ran);
  });
}

struct cancels_when_moved {
  explicit cancels_when_moved(task_group& group) : its(&group) {}
  cancels_when_moved(cancels_when_moved&& other) noexcept : its(other.its) { its->cancel(); }
  task_group* its;
};

/// Open when the call begins, the group is being cancelled when the child has its argument.
TEST_P(GroupStopOnEvery, AddingIsRefusedAlsoWhereTheGroupIsCancelledMeanwhile) {
  run([]() -> coro<> {
    bool ran = false, refused = false;
    co_await with_task_group([&](task_group& group) -> coro<> {
      const auto notes = [](const cancels_when_moved&, bool& ran) { ran = true; };
      cancels_when_moved argument(group);
      try {
        group.spawn(notes, std::move(argument), std::ref(ran));
      } catch (const invalid_state&) {
        refused = true;
      }
      EXPECT_EQ(group.size(), 0U);
      co_return;
    });
    EXPECT_TRUE(refused);
    EXPECT_FALSE(ran);
  });
}

TEST_P(GroupStopOnEvery, Tg36_AnEagerChildCancelsTheGroupAndLaterErrorsAreReported) {
  run([]() -> coro<> {
    const gate never;
    numbers errors;
    try {
      co_await with_task_group([&](task_group& group) -> coro<> {
        const task<int> fails = group.spawn(test::boom_when_cancelled(4));
        co_await until_parked(fails);
        const auto cancels = [](task_group& group) -> coro<> {
          group.cancel();
          co_return;
        };
        group.spawn(spawn_options{.eager = true}, cancels(group));
        co_await never;
      });
      ADD_FAILURE() << "no error";
    } catch (const exception_group&) {
      errors = failures_in(std::current_exception());
    }
    EXPECT_EQ(errors, numbers{4});
    EXPECT_FALSE(co_await cancelled_at_the_next_suspension());
  });
}

TEST_P(GroupStopOnEvery, Tg33_ItDoesNotEatACancelFromOutside) {
  run([]() -> coro<> {
    const gate never;
    for (const bool body_waits : {true, false}) {
      const auto body = [&, body_waits](task_group& group) -> coro<> {
        group.spawn(value_at(never, 1));
        this_task::handle().cancel();
        group.cancel();
        if (body_waits) co_await never;
      };
      const task<> parent = spawn(with_task_group(body));
      co_await until_complete(parent);
      EXPECT_TRUE(parent.cancelled());
    }
  });
}

TEST_P(GroupStopOnEvery, NestedOnlyTheOuterGroupsCancelEndsBoth) {
  run([]() -> coro<> {
    const gate never;
    bool after_inner = false, after_outer = false;
    co_await with_task_group([&](task_group& outer) -> coro<> {
      co_await with_task_group([&](task_group& inner) -> coro<> {
        inner.spawn(value_at(never, 1));
        outer.cancel();
        co_return;
      });
      after_inner = true;
    });
    after_outer = true;
    EXPECT_FALSE(after_inner);  // the inner join was interrupted, and passes that on
    EXPECT_TRUE(after_outer);
    co_await with_task_group([&](task_group& outer) -> coro<> {
      outer.spawn(value_after(1s, 1));
      co_await with_task_group([&](task_group& inner) -> coro<> {
        inner.spawn(value_at(never, 1));
        inner.cancel();
        co_return;
      });
      after_inner = true;
    });
    EXPECT_TRUE(after_inner);  // the inner one's is its own affair
  });
}

TEST_P(GroupStopOnPools, CancelledFromSeveralThreadsAtOnce) {
  for (int round = 0; round < 100; ++round) {
    const gate never, entered;
    task_group* group = nullptr;
    std::atomic<int> asked{0};
    bool hit_afterwards = false;
    const gate open;
    const task<> parent = rt().spawn([&]() -> coro<> {
      co_await with_task_group([&](task_group& mine) -> coro<> {
        mine.spawn(counts_requests(open, asked));  // keeps the group, and so the reference to it, alive
        group = &mine;
        entered.open();
        co_await never;
      });
      hit_afterwards = co_await cancelled_at_the_next_suspension();
    });
    entered.wait();
    test::spin_until([&] { return open.parked() == 1; });
    {
      test::racing_threads race;
      for (int i = 0; i < 4; ++i) race.add([group] { group->cancel(); });
      race.go();
    }
    test::spin_until([&] { return asked.load() == 1; });
    open.open();
    test::spin_until([&] { return parent.done(); });
    EXPECT_EQ(parent.status(), task_status::succeeded);
    EXPECT_EQ(asked.load(), 1);
    EXPECT_FALSE(hit_afterwards);
  }
}

}  // namespace
}  // namespace sheaf
