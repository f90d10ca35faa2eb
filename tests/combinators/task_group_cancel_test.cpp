/// with_task_group: cancelled from outside, also while a child fails; what is left of the requests afterwards.
#include <sheaf/task_group.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <optional>
#include <vector>

#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>

#include "support/children.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/groups.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::boom;
using test::boom_after;
using test::boom_at;
using test::boom_when_cancelled;
using test::cancelled_at_the_next_suspension;
using test::counts_requests;
using test::failures_in;
using test::gate;
using test::until_complete;
using test::until_parked;
using test::value_at;
using numbers = std::vector<int>;

SHEAF_ON_EVERY_FLAVOUR(GroupCancelOnEvery);
SHEAF_ON_NATIVE_POOLS(GroupCancelOnPools);

// ---- from outside -------------------------------------------------------------------------------------------------------------

TEST_P(GroupCancelOnEvery, Tg05_TheParentIsCancelledWhileItJoins) {
  run([]() -> coro<> {
    const gate never;
    std::optional<task<int>> child;
    const auto body = [&](task_group& group) -> coro<> {
      child = group.spawn(value_at(never, 1));
      co_return;
    };
    const task<> parent = spawn(with_task_group(body));
    co_await until_parked(parent);
    EXPECT_TRUE(parent.cancel("enough"));
    co_await until_complete(parent);
    EXPECT_TRUE(parent.cancelled());
    EXPECT_TRUE(child->cancelled());
    try {
      static_cast<void>(parent.result());
    } catch (const task_cancelled& error) {
      EXPECT_EQ(error.reason(), "enough");
    }
  });
}

TEST_P(GroupCancelOnEvery, Tg05_InTheBodyThatOneSeesItFirst) {
  run([]() -> coro<> {
    const gate never;
    std::optional<task<int>> child;
    bool child_ran_on = false;
    const auto body = [&](task_group& group) -> coro<> {
      child = group.spawn(value_at(never, 1));
      co_await until_parked(*child);
      try {
        co_await never;
      } catch (const cancelled&) {
        child_ran_on = !child->done();
        throw;
      }
    };
    const task<> parent = spawn(with_task_group(body));
    const auto both_wait = [&] { return never.parked() == 2; };
    co_await test::until(both_wait);
    parent.cancel();
    co_await until_complete(parent);
    EXPECT_TRUE(parent.cancelled());
    EXPECT_TRUE(child_ran_on);
    EXPECT_TRUE(child->cancelled());
  });
}

TEST_P(GroupCancelOnEvery, Tg05_WithoutAnyChild) {
  run([]() -> coro<> {
    const gate never;
    const auto body = [&](task_group&) -> coro<> { co_await never; };
    const task<> parent = spawn(with_task_group(body));
    co_await until_parked(parent);
    parent.cancel();
    co_await until_complete(parent);
    EXPECT_TRUE(parent.cancelled());
  });
}

/// The request was made before the group was entered and is delivered inside it, in the body or at the join: it is not the group's.
TEST_P(GroupCancelOnEvery, ARequestThatIsPendingAtTheEntryIsNotLost) {
  run([]() -> coro<> {
    const gate never;
    const auto waits_in_the_body = [&](task_group&) -> coro<> { co_await never; };
    const auto waits_at_the_join = [&](task_group& group) -> coro<> {
      group.spawn(value_at(never, 1));
      co_return;
    };
    const auto waits_nowhere = [](task_group&) -> coro<> { co_return; };
    const auto in_the_body = [&]() -> coro<> {
      this_task::handle().cancel();
      co_await with_task_group(waits_in_the_body);
    };
    const auto at_the_join = [&]() -> coro<> {
      this_task::handle().cancel();
      co_await with_task_group(waits_at_the_join);
    };
    const auto afterwards = [&]() -> coro<> {
      this_task::handle().cancel();
      co_await with_task_group(waits_nowhere);
      EXPECT_TRUE(co_await cancelled_at_the_next_suspension());
    };
    const task<> first = spawn(in_the_body());
    const task<> second = spawn(at_the_join());
    const task<> third = spawn(afterwards());
    for (const task<>& each : {first, second, third}) co_await test::join(each);
    EXPECT_TRUE(first.cancelled());
    EXPECT_TRUE(second.cancelled());
    EXPECT_EQ(third.status(), task_status::succeeded);
  });
}

/// The group's own failure is delivered together with a request that was pending at the entry.
TEST_P(GroupCancelOnEvery, ARequestThatIsPendingAtTheEntrySurvivesGroupCancel) {
  run([]() -> coro<> {
    const gate never;
    const auto body = [&](task_group& group) -> coro<> {
      group.cancel();
      co_await never;
    };
    const auto parent = spawn([&]() -> coro<> {
      this_task::handle().cancel();
      co_await with_task_group(body);
    });
    co_await test::join(parent);
    EXPECT_TRUE(parent.cancelled());
  });
}

/// The body unwinds from the group's own request, and is asked to stop from outside on its way: one delivery stands for both.
TEST_P(GroupCancelOnEvery, ARequestDuringTheUnwindingFromTheGroupsOwnIsDeliveredOnce) {
  for (const bool with_child : {true, false}) {
    run([with_child]() -> coro<> {
      const gate never;
      bool delivered = false, hit_again = false;
      unsigned cancelling = 0;
      const auto body = [&](task_group& group) -> coro<> {
        if (with_child) group.spawn(value_at(never, 1));
        group.cancel();
        try {
          co_await never;
        } catch (const cancelled&) {
          this_task::handle().cancel("from outside");
          throw;
        }
      };
      const task<> parent = spawn([&]() -> coro<> {
        try {
          co_await with_task_group(body);
        } catch (const cancelled&) {
          delivered = true;
        }
        cancelling = this_task::cancelling();
        hit_again = co_await cancelled_at_the_next_suspension();
      });
      co_await until_complete(parent);
      EXPECT_TRUE(delivered);
      EXPECT_EQ(cancelling, 1U);
      EXPECT_FALSE(hit_again);
    });
  }
}

/// The same with a failure to report: then the request is delivered after it, once.
TEST_P(GroupCancelOnEvery, ARequestDuringTheUnwindingFromAFailureIsDeliveredOnceAfterIt) {
  run([]() -> coro<> {
    const gate never;
    bool hit_again = false, hit_twice = false;
    numbers seen;
    const auto body = [&](task_group& group) -> coro<> {
      group.spawn(spawn_options{.eager = true}, []() -> coro<> {
        throw boom(1);
        co_return;
      });
      try {
        co_await never;
      } catch (const cancelled&) {
        this_task::handle().cancel();
        throw;
      }
    };
    const task<> parent = spawn([&]() -> coro<> {
      try {
        co_await with_task_group(body);
      } catch (const exception_group&) {
        seen = failures_in(std::current_exception());
      }
      hit_again = co_await cancelled_at_the_next_suspension();
      hit_twice = co_await cancelled_at_the_next_suspension();
    });
    co_await until_complete(parent);
    EXPECT_EQ(seen, numbers{1});
    EXPECT_TRUE(hit_again);
    EXPECT_FALSE(hit_twice);
  });
}

/// A body that ends with another task's cancelled outcome has not seen its own request yet: that one stays to be delivered.
TEST_P(GroupCancelOnEvery, AnotherTasksCancelledOutcomeDoesNotStandForOnesOwnRequest) {
  run([]() -> coro<> {
    const gate never;
    bool got_outcome = false, hit_once = false, hit_twice = false;
    const task<int> other = spawn(value_at(never, 1));
    other.cancel();
    co_await until_complete(other);
    const auto body = [&](task_group& group) -> coro<> {
      group.cancel();
      this_task::handle().cancel();
      static_cast<void>(other.result());
      co_return;
    };
    const task<> parent = spawn([&]() -> coro<> {
      try {
        co_await with_task_group(body);
      } catch (const task_cancelled&) {
        got_outcome = true;
      }
      hit_once = co_await cancelled_at_the_next_suspension();
      hit_twice = co_await cancelled_at_the_next_suspension();
    });
    co_await until_complete(parent);
    EXPECT_TRUE(got_outcome);
    EXPECT_TRUE(hit_once);
    EXPECT_FALSE(hit_twice);
  });
}

TEST_P(GroupCancelOnEvery, ItEndsOnlyAfterTheLastStubbornChild) {
  run([]() -> coro<> {
    const gate open;
    std::atomic<int> asked{0};
    const auto body = [&](task_group& group) -> coro<> {
      group.spawn(counts_requests(open, asked));
      co_return;
    };
    const task<> parent = spawn(with_task_group(body));
    co_await until_parked(parent);
    const auto waits = [&] { return open.parked() == 1; };
    co_await test::until(waits);
    parent.cancel();
    const auto heard = [&] { return asked.load() == 1; };
    co_await test::until(heard);
    EXPECT_FALSE(parent.done());
    open.open();
    co_await until_complete(parent);
    EXPECT_TRUE(parent.cancelled());  // although its only child gave a value
  });
}

TEST_P(GroupCancelOnEvery, WhileItJoinsEachRequestGoesOnToTheChildrenOnce) {
  run([]() -> coro<> {
    const gate open;
    std::atomic<int> asked{0};
    const auto body = [&](task_group& group) -> coro<> {
      group.spawn(counts_requests(open, asked));
      co_return;
    };
    const task<> parent = spawn(with_task_group(body));
    co_await until_parked(parent);
    const auto waits = [&] { return open.parked() == 1; };
    co_await test::until(waits);
    for (int times = 1; times <= 3; ++times) {
      parent.cancel();
      const auto heard = [&] { return asked.load() >= times; };
      co_await test::until(heard);
      co_await test::yield_times(5);
      EXPECT_EQ(asked.load(), times);
    }
    open.open();
    co_await until_complete(parent);
    EXPECT_TRUE(parent.cancelled());
  });
}

// ---- a child fails ------------------------------------------------------------------------------------------------------------

/// However the group learns of the failure, while the body runs or while it joins, a sibling is asked to stop once: a cleanup that
/// waits is not interrupted by a second request.
TEST_P(GroupCancelOnEvery, AFailureAsksEachSiblingOnce) {
  for (const bool body_waits : {true, false}) {
    run([body_waits]() -> coro<> {
      const gate open, fails, never;
      std::atomic<int> asked{0};
      const auto body = [&](task_group& group) -> coro<> {
        group.spawn(counts_requests(open, asked));
        group.spawn(boom_at(fails, 1));
        if (body_waits) co_await never;
      };
      const task<> parent = spawn(with_task_group(body));
      co_await until_parked(parent);
      const auto both_wait = [&] { return open.parked() == 1 && fails.parked() == 1; };
      co_await test::until(both_wait);
      fails.open();
      const auto heard = [&] { return asked.load() != 0; };
      co_await test::until(heard);
      co_await test::yield_times(10);
      EXPECT_FALSE(parent.done());
      open.open();
      co_await until_complete(parent);
      EXPECT_EQ(asked.load(), 1);
      EXPECT_EQ(failures_in(parent.exception()), numbers{1});
    });
  }
}

/// Nor for a request that the body had heard before, and that the inner group's error repeats at that moment.
TEST_P(GroupCancelOnEvery, AFailureAsksEachSiblingOnceThoughItRepeatsARequest) {
  run([]() -> coro<> {
    const gate open, fails, never;
    std::atomic<int> asked{0};
    const auto inner = [&](task_group& group) -> coro<> {
      group.spawn(boom_at(fails, 1));
      try {
        co_await never;
      } catch (const cancelled&) {
      }
    };
    const auto outer = [&](task_group& group) -> coro<> {
      group.spawn(counts_requests(open, asked));
      co_await with_task_group(inner);
    };
    const task<> parent = spawn(with_task_group(outer));
    const auto all_wait = [&] { return open.parked() + fails.parked() + never.parked() == 3; };
    co_await test::until(all_wait);
    parent.cancel();
    const auto body_heard = [&] { return never.parked() == 0; };
    co_await test::until(body_heard);
    fails.open();
    const auto child_heard = [&] { return asked.load() != 0; };
    co_await test::until(child_heard);
    co_await test::yield_times(10);
    open.open();
    co_await until_complete(parent);
    EXPECT_EQ(asked.load(), 1);
  });
}

TEST_P(GroupCancelOnEvery, Tg26_AfterAHandledErrorTheParentIsNotBeingCancelled) {
  for (const bool body_waits : {true, false}) {
    run([body_waits]() -> coro<> {
      const gate never;
      const auto body = [&](task_group& group) -> coro<> {
        group.spawn(boom_after(1s, 1));
        if (body_waits) co_await never;
      };
      for (int times = 0; times < 3; ++times) {
        bool caught = false;
        try {
          co_await with_task_group(body);
        } catch (const exception_group&) {
          caught = true;
        }
        EXPECT_TRUE(caught);
        EXPECT_EQ(this_task::cancelling(), 0U);
        EXPECT_FALSE(this_task::token().requested());
        EXPECT_FALSE(co_await cancelled_at_the_next_suspension());
      }
    });
  }
}

/// The body never suspends after the failure: the request that was made for it must not hit what follows.
TEST_P(GroupCancelOnEvery, AFailureThatTheBodyNeverSawHitsNothingAfterTheGroup) {
  run([]() -> coro<> {
    const auto body = [](task_group& group) -> coro<> {
      const task<> child = group.spawn(spawn_options{.eager = true}, []() -> coro<> {
        throw boom(1);
        co_return;
      });
      EXPECT_TRUE(child.done());
      co_return;
    };
    bool caught = false;
    try {
      co_await with_task_group(body);
    } catch (const exception_group&) {
      caught = true;
    }
    EXPECT_TRUE(caught);
    EXPECT_FALSE(co_await cancelled_at_the_next_suspension());
  });
}

TEST_P(GroupCancelOnEvery, Tg13_AChildFailsWhileTheCancelledBodyCleansUp) {
  run([]() -> coro<> {
    const auto body = [](task_group& group) -> coro<> {
      group.spawn(boom_after(300ms, 1));
      bool asked = false;
      try {
        co_await sleep_for(10s);
      } catch (const cancelled&) {
        asked = true;
      }
      if (asked) {
        co_await sleep_for(500ms);
        throw cancelled();
      }
    };
    const task<> parent = spawn(with_task_group(body));
    const task<> outer = spawn([](task<> parent) -> coro<> { co_await parent; }, parent);
    co_await sleep_for(100ms);
    parent.cancel();
    co_await test::join(outer);
    EXPECT_EQ(failures_in(parent.exception()), numbers{1});
    EXPECT_EQ(outer.exception(), parent.exception());
  });
}

/// Cancelled from outside, and a child fails on its way out: the failure is reported, and the cancel is not lost over it.
TEST_P(GroupCancelOnEvery, ACancelThatMeetsAFailureIsDeliveredAgainAfterTheGroup) {
  for (const bool body_waits : {true, false}) {
    run([body_waits]() -> coro<> {
      const gate never, begun;
      numbers seen;
      unsigned cancelling = 0;
      bool hit_again = false, hit_twice = false;
      const auto body = [&](task_group& group) -> coro<> {
        const auto fails = [](gate begun) -> coro<> {
          begun.open();
          co_await test::boom_when_cancelled(1);
        };
        group.spawn(fails(begun));
        if (body_waits) co_await never;
      };
      const task<> parent = spawn([&]() -> coro<> {
        try {
          co_await with_task_group(body);
        } catch (const exception_group&) {
          seen = failures_in(std::current_exception());
        }
        cancelling = this_task::cancelling();
        hit_again = co_await cancelled_at_the_next_suspension();
        hit_twice = co_await cancelled_at_the_next_suspension();
      });
      co_await begun;
      co_await until_parked(parent);
      parent.cancel();
      co_await until_complete(parent);
      EXPECT_EQ(seen, numbers{1});
      EXPECT_EQ(cancelling, 1U);
      EXPECT_TRUE(hit_again);
      EXPECT_FALSE(hit_twice);
    });
  }
}

/// The inner group's error is handled inside the outer body, which has to learn that its own group is being cancelled too.
TEST_P(GroupCancelOnEvery, Tg28_InnerAndOuterChildFailTogether) {
  run([]() -> coro<> {
    const gate never, both;
    bool asked = false;
    unsigned counted = 0;
    numbers inner_error, outer_error;
    const auto fails = [](gate open, int number) -> coro<> {  // also when it is asked to stop
      co_await test::pass_stubbornly(open);
      throw boom(number);
    };
    const auto outer_body = [&](task_group& outer) -> coro<> {
      try {
        co_await with_task_group([&](task_group& inner) -> coro<> {
          inner.spawn(fails(both, 1));
          outer.spawn(fails(both, 2));
          const auto parked = [&] { return both.parked() == 2; };
          co_await test::until(parked);
          both.open();
          co_await never;
        });
      } catch (const exception_group&) {
        inner_error = failures_in(std::current_exception());
      }
      asked = co_await test::until_asked_to_stop();
      counted = this_task::cancelling();
    };
    try {
      co_await with_task_group(outer_body);
      ADD_FAILURE() << "no error";
    } catch (const exception_group&) {
      outer_error = failures_in(std::current_exception());
    }
    EXPECT_EQ(inner_error, numbers{1});
    EXPECT_TRUE(asked);
    EXPECT_EQ(counted, 0U);  // a group's request is its own, apart from the counted ones
    EXPECT_EQ(outer_error, numbers{2});
    EXPECT_EQ(this_task::cancelling(), 0U);
    EXPECT_FALSE(co_await cancelled_at_the_next_suspension());
  });
}

/// The same with the order fixed: one delivery stands for both requests, and the inner group makes an error of it.
TEST_P(GroupCancelOnEvery, TheOuterGroupsRequestOutlivesTheInnerGroupsError) {
  run([]() -> coro<> {
    const gate never;
    bool interrupted = false;
    const auto fails_at_once = [](int number) -> coro<> {
      throw boom(number);
      co_return;
    };
    const auto outer_body = [&](task_group& outer) -> coro<> {
      bool inner_handled = false;
      try {
        co_await with_task_group([&](task_group& inner) -> coro<> {
          outer.spawn(spawn_options{.eager = true}, fails_at_once(2));
          inner.spawn(spawn_options{.eager = true}, fails_at_once(1));
          co_await never;
        });
      } catch (const exception_group&) {
        inner_handled = true;
      }
      EXPECT_TRUE(inner_handled);
      try {
        co_await never;
      } catch (const cancelled&) {
        interrupted = true;
        throw;
      }
    };
    numbers outer_error;
    try {
      co_await with_task_group(outer_body);
    } catch (const exception_group&) {
      outer_error = failures_in(std::current_exception());
    }
    EXPECT_TRUE(interrupted);
    EXPECT_EQ(outer_error, numbers{2});
    EXPECT_FALSE(co_await cancelled_at_the_next_suspension());
  });
}

// ---- several threads ----------------------------------------------------------------------------------------------------------

/// A foreign cancel, a failing child and the normal end at once. Whatever wins: no request leaks out of the group, none is lost.
TEST_P(GroupCancelOnPools, AForeignCancelAgainstAFailureAndTheEnd) {
  int failed = 0, cancelled_ones = 0, succeeded = 0;
  for (int round = 0; round < 150; ++round) {
    const gate ends, fails;
    bool hit_afterwards = false;
    bool group_failed = false;
    unsigned requests = 0;
    const task<> parent = rt().spawn([&]() -> coro<> {
      const auto body = [&](task_group& group) -> coro<> {
        group.spawn(value_at(ends, 1));
        group.spawn(boom_at(fails, 2));
        if (round % 2 == 0) co_await ends;
      };
      try {
        co_await with_task_group(body);
      } catch (const exception_group&) {
        group_failed = true;
      }
      requests = this_task::cancelling();
      hit_afterwards = co_await cancelled_at_the_next_suspension();
    });
    test::spin_until([&] { return ends.parked() == (round % 2 == 0 ? 2U : 1U) && fails.parked() == 1; });
    {
      test::racing_threads race;
      race.add([ends] { ends.open(); });
      race.add([fails] { fails.open(); });
      race.add([parent] { parent.cancel(); });
      race.go();
    }
    test::spin_until([&] { return parent.done(); });
    if (parent.cancelled()) {
      ++cancelled_ones;
    } else if (group_failed) {
      ++failed;
    } else {
      ++succeeded;
    }
    EXPECT_NE(parent.status(), task_status::failed);
    if (!parent.cancelled() && requests != 0) EXPECT_TRUE(hit_afterwards);
  }
  EXPECT_EQ(failed + cancelled_ones + succeeded, 150);
}

}  // namespace
}  // namespace sheaf
