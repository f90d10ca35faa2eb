/// What a cancel request means, and how far it travels.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <sheaf/runtime.hpp>
#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>

#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::drop_counter;
using test::gate;
using test::until_complete;
using test::until_parked;

SHEAF_ON_EVERY_FLAVOUR(CancelOnEvery);

coro<> wait_at(gate at) { co_await at; }
coro<int> value_after(gate at, int value) {
  co_await at;
  co_return value;
}

// ---- the request -------------------------------------------------------------------------------------------------------------

TEST_P(CancelOnEvery, Task11_CancelASleepingTask) {
  run([this]() -> coro<> {
    const task<> sleeper = spawn([]() -> coro<> { co_await sleep_for(1h); });
    co_await until_parked(sleeper);
    EXPECT_TRUE(sleeper.cancel());
    EXPECT_THROW(co_await sleeper, task_cancelled);
    EXPECT_TRUE(sleeper.done());
    EXPECT_TRUE(sleeper.cancelled());
    EXPECT_FALSE(sleeper.cancel());
    EXPECT_EQ(clock().now(), 0ns);
  });
}

TEST_P(CancelOnEvery, Task12_CancelBeforeTheFirstStepNeverRunsTheBody) {
  drop_counter drops;
  bool ran = false;
  const auto body = [](drop_counter::payload, bool& ran) -> coro<> {
    ran = true;
    co_return;
  };
  const gate release;
  occupy(release);
  const std::vector<task<>> never{
      rt().spawn(body, drops.make(), std::ref(ran)),
      rt().spawn(body(drops.make(), ran)),
      rt().spawn([](const drop_counter::payload&, bool& ran) { ran = true; }, drops.make(), std::ref(ran)),
  };
  for (const task<>& each : never) {
    EXPECT_TRUE(each.cancel("too early"));
    EXPECT_EQ(each.status(), task_status::pending);  // its end is the runtime's to bring about
  }
  release.open();
  for (const task<>& each : never) {
    try {
      each.get();
      ADD_FAILURE() << "it ended otherwise";
    } catch (const task_cancelled& caught) {
      EXPECT_EQ(caught.reason(), "too early");
    }
  }
  EXPECT_EQ(drops.drops(), 3);
  EXPECT_FALSE(ran);
}

/// MT-03: the last handle goes right after the request.
TEST_P(CancelOnEvery, Mt03_CancelledUnstartedAndForgottenAtOnce) {
  drop_counter drops;
  bool ran = false;
  const gate release;
  occupy(release);
  for (int i = 0; i < 10; ++i) {
    rt().spawn([](const drop_counter::payload&, bool& ran) { ran = true; }, drops.make(), std::ref(ran)).cancel();
  }
  release.open();
  run([&drops]() -> coro<> {
    while (drops.drops() != 10) co_await this_task::yield();
  });
  EXPECT_FALSE(ran);
}

TEST_P(CancelOnEvery, RequestsMadeBeforeDeliveryCoalesce) {
  run([]() -> coro<> {
    const any_task self = this_task::handle();
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(self.cancel());
    EXPECT_THROW(co_await this_task::yield(), cancelled);
    co_await this_task::yield();
    co_await sleep_for(1ms);
    EXPECT_EQ(this_task::cancelling(), 3U);
    while (this_task::uncancel() != 0) {
    }
  });
}

TEST_P(CancelOnEvery, Task16_ATaskThatCancelsItselfIsCancelledAtItsNextSuspension) {
  run([]() -> coro<> {
    int reached = 0;
    const task<> self_stopping = spawn(
        [](int& reached) -> coro<> {
          const any_task self = this_task::handle();
          EXPECT_TRUE(self.cancel());
          EXPECT_TRUE(self.cancel());
          reached = 1;
          co_await this_task::yield();
          reached = 2;
        },
        std::ref(reached));
    co_await until_complete(self_stopping);
    EXPECT_TRUE(self_stopping.cancelled());
    EXPECT_EQ(reached, 1);
  });
}

/// "That await is cancelled at once; a nested task it blocks on is cancelled too."
TEST_P(CancelOnEvery, Task16_ThenTheChildItOwnsIsCancelledToo) {
  run([]() -> coro<> {
    const gate never;
    const task<> self_stopping = spawn(
        [](gate never) -> coro<> {
          task<> owned = spawn(wait_at, never);
          co_await until_parked(owned);
          this_task::handle().cancel();
          co_await std::move(owned);
        },
        never);
    co_await until_complete(self_stopping);
    EXPECT_TRUE(self_stopping.cancelled());
    EXPECT_EQ(never.parked(), 0U);
  });
}

TEST_P(CancelOnEvery, Task17_ARequestAfterTheLastSuspensionLeavesTheValue) {
  run([]() -> coro<> {
    const task<int> coroutine = spawn([]() -> coro<int> {
      co_await this_task::yield();
      EXPECT_TRUE(this_task::handle().cancel());
      co_return 1;
    });
    const task<int> callable = spawn([] {
      EXPECT_TRUE(this_task::handle().cancel());
      return 2;
    });
    EXPECT_EQ(co_await coroutine, 1);
    EXPECT_EQ(co_await callable, 2);
    EXPECT_FALSE(coroutine.cancelled());
  });
}

TEST_P(CancelOnEvery, Task18_CancelOfADoneTaskChangesNothing) {
  run([]() -> coro<> {
    const task<int> done = spawn([] { return 1; });
    co_await done;
    EXPECT_FALSE(done.cancel("late"));
    EXPECT_FALSE(done.cancelled());
    EXPECT_EQ(done.result(), 1);
  });
}

TEST_P(CancelOnEvery, Task19_RequestsAreCountedAndTakenBack) {
  run([]() -> coro<> {
    const any_task self = this_task::handle();
    EXPECT_EQ(this_task::cancelling(), 0U);
    EXPECT_EQ(this_task::uncancel(), 0U);
    EXPECT_TRUE(self.cancel());
    EXPECT_TRUE(self.cancel());
    EXPECT_EQ(this_task::cancelling(), 2U);
    EXPECT_THROW(co_await this_task::yield(), cancelled);
    EXPECT_EQ(this_task::cancelling(), 2U);
    co_await this_task::yield();  // delivered once
    EXPECT_EQ(this_task::uncancel(), 1U);
    EXPECT_EQ(this_task::uncancel(), 0U);
    EXPECT_EQ(this_task::uncancel(), 0U);
    EXPECT_TRUE(self.cancel());  // a new one works again
    EXPECT_THROW(co_await this_task::yield(), cancelled);
    this_task::uncancel();
  });
}

TEST_P(CancelOnEvery, Task19_ARequestTakenBackBeforeDeliveryIsNotDelivered) {
  run([]() -> coro<> {
    const any_task self = this_task::handle();
    self.cancel();
    EXPECT_EQ(this_task::uncancel(), 0U);
    co_await this_task::yield();
    co_await sleep_for(1ms);
    self.cancel();
    self.cancel();
    EXPECT_EQ(this_task::uncancel(), 1U);
    EXPECT_THROW(co_await sleep_for(1ms), cancelled);  // the other one stands
    EXPECT_EQ(this_task::uncancel(), 0U);
  });
}

/// A hand-made block that turns its own request into a result and leaves foreign ones alone.
TEST_P(CancelOnEvery, Task22_AHandMadeScopeKeepsTheCountBalanced) {
  run([]() -> coro<> {
    const auto block = [](std::chrono::milliseconds limit, std::chrono::milliseconds work) -> coro<bool> {
      const any_task self = this_task::handle();
      const unsigned level = this_task::cancelling();
      auto killer = spawn(
          [](any_task target, std::chrono::milliseconds limit) -> coro<> {
            co_await sleep_for(limit);
            target.cancel();
          },
          self, limit);
      bool timed_out = false;
      try {
        co_await sleep_for(work);
        killer.cancel();
      } catch (const cancelled&) {
        if (this_task::uncancel() > level) throw;
        timed_out = true;
      }
      co_await until_complete(killer);
      co_return timed_out;
    };
    EXPECT_FALSE(co_await block(20ms, 10ms));
    EXPECT_EQ(this_task::cancelling(), 0U);
    EXPECT_TRUE(co_await block(10ms, 20ms));
    EXPECT_EQ(this_task::cancelling(), 0U);
    co_await sleep_for(1h);
  });
}

TEST_P(CancelOnEvery, Task23_TheReasonArrives) {
  run([]() -> coro<> {
    const gate never;
    std::string seen;
    const task<> waiting = spawn(
        [](gate never, std::string& seen) -> coro<> {
          try {
            co_await never;
          } catch (const cancelled& request) {
            seen = request.reason();
            throw;
          }
        },
        never, std::ref(seen));
    co_await until_parked(waiting);
    waiting.cancel("budget spent");
    EXPECT_THROW(co_await waiting, task_cancelled);
    EXPECT_EQ(seen, "budget spent");
    const auto reason_of = [](const std::exception_ptr& error) -> std::string {
      try {
        std::rethrow_exception(error);
      } catch (const task_cancelled& caught) {
        EXPECT_NE(std::string(caught.what()).find("budget spent"), std::string::npos) << caught.what();
        return caught.reason();
      }
      return "another error";
    };
    EXPECT_EQ(reason_of(waiting.exception()), "budget spent");

    const task<> wordless = spawn(wait_at, never);
    wordless.cancel();
    co_await until_complete(wordless);
    try {
      wordless.result();
    } catch (const task_cancelled& caught) {
      EXPECT_EQ(caught.reason(), "");
    }
  });
}

// ---- who catches what --------------------------------------------------------------------------------------------------------

TEST_P(CancelOnEvery, AHandlerForOrdinaryErrorsDoesNotEatARequest) {
  run([]() -> coro<> {
    const gate never;
    bool eaten = false;
    const task<> careless = spawn(
        [](gate never, bool& eaten) -> coro<> {
          try {
            co_await never;
          } catch (const std::exception&) {
            eaten = true;
          }
        },
        never, std::ref(eaten));
    co_await until_parked(careless);
    careless.cancel();
    co_await until_complete(careless);
    EXPECT_TRUE(careless.cancelled());
    EXPECT_FALSE(eaten);
  });
}

TEST_P(CancelOnEvery, Task14_ATaskMaySwallowTheRequest) {
  run([]() -> coro<> {
    const gate never;
    const task<int> swallows = spawn(
        [](gate never) -> coro<int> {
          try {
            co_await never;
          } catch (const cancelled&) {
          }
          co_return 42;
        },
        never);
    co_await until_parked(swallows);
    EXPECT_TRUE(swallows.cancel());
    EXPECT_EQ(co_await swallows, 42);
    EXPECT_FALSE(swallows.cancelled());
  });
}

TEST_P(CancelOnEvery, Task25_ATaskMayAnswerWithAnErrorOfItsOwn) {
  run([]() -> coro<> {
    const gate never;
    const task<> answers = spawn(
        [](gate never) -> coro<> {
          try {
            co_await never;
          } catch (const cancelled&) {
            throw std::runtime_error("cleanup failed");
          }
        },
        never);
    co_await until_parked(answers);
    answers.cancel();
    EXPECT_THROW(co_await answers, std::runtime_error);
    EXPECT_EQ(answers.status(), task_status::failed);
  });
}

/// Met by an observer it is an ordinary error; uncaught it ends the observer cancelled.
TEST_P(CancelOnEvery, Task13_AnAwaitedTaskCancelledBySomebodyElse) {
  run([]() -> coro<> {
    const gate never;
    const task<> target = spawn(wait_at, never);
    const task<> passes_it_on = spawn([](task<> target) -> coro<> { co_await target; }, target);
    const task<int> handles_it = spawn(
        [](task<> target) -> coro<int> {
          bool handled = false;
          try {
            co_await target;
          } catch (const std::exception&) {
            handled = true;
          }
          EXPECT_EQ(this_task::cancelling(), 0U);  // it was not asked to stop itself
          co_await this_task::yield();
          co_return handled ? 5 : 0;
        },
        target);
    co_await until_parked(passes_it_on);
    co_await until_parked(handles_it);
    target.cancel();
    EXPECT_EQ(co_await handles_it, 5);
    EXPECT_THROW(co_await passes_it_on, task_cancelled);
    EXPECT_TRUE(passes_it_on.cancelled());
  });
}

TEST_P(CancelOnEvery, ThrowingCancelledOfOnesOwnAccordEndsTheTaskCancelled) {
  run([]() -> coro<> {
    struct special : cancelled {
      using cancelled::cancelled;
    };
    const task<> coroutine = spawn([]() -> coro<> {
      throw cancelled("done early");
      co_return;
    });
    const task<> callable = spawn([] { throw special("derived"); });
    try {
      co_await coroutine;
    } catch (const task_cancelled& caught) {
      EXPECT_EQ(caught.reason(), "done early");
    }
    EXPECT_TRUE(coroutine.cancelled());
    co_await until_complete(callable);
    EXPECT_TRUE(callable.cancelled());
  });
}

// ---- how far it travels ------------------------------------------------------------------------------------------------------

/// `co_await std::move(t)` of the only handle owns.
TEST_P(CancelOnEvery, Task13_CancelGoesDownToAnOwnedChildAndWaitsForItsEnd) {
  run([]() -> coro<> {
    const gate leave;
    std::atomic<int> asked{0};
    const task<> parent = spawn(
        [](gate leave, std::atomic<int>& asked) -> coro<> {
          auto child = spawn([](gate leave, std::atomic<int>& asked) -> coro<> { co_await test::pass_stubbornly(leave, &asked); },
                             leave, std::ref(asked));
          co_await std::move(child);
        },
        leave, std::ref(asked));
    while (leave.parked() == 0) co_await this_task::yield();
    parent.cancel();
    const auto heard = [&] { return asked.load() != 0; };
    co_await test::until(heard);
    co_await test::yield_times(20);
    EXPECT_FALSE(parent.done());  // the child has not ended
    leave.open();
    co_await until_complete(parent);
    EXPECT_TRUE(parent.cancelled());  // although the child swallowed
    EXPECT_EQ(asked.load(), 1);
  });
}

TEST_P(CancelOnEvery, TheValueOfAnOwnedChildThatSwallowedIsDestroyed) {
  drop_counter drops;
  run([&drops]() -> coro<> {
    const gate never;
    bool went_on = false;
    const task<> parent = spawn(
        [](gate never, drop_counter& drops, bool& went_on) -> coro<> {
          const auto child = [](gate never, drop_counter& drops) -> coro<drop_counter::payload> {
            try {
              co_await never;
            } catch (const cancelled&) {
            }
            co_return drops.make();
          };
          const auto value = co_await spawn(child, never, std::ref(drops));
          went_on = true;
        },
        never, std::ref(drops), std::ref(went_on));
    while (never.parked() == 0) co_await this_task::yield();
    parent.cancel();
    co_await until_complete(parent);
    EXPECT_TRUE(parent.cancelled());
    EXPECT_FALSE(went_on);
  });
  EXPECT_EQ(drops.drops(), 1);
}

TEST_P(CancelOnEvery, Mt14_ASharedTaskSurvivesAnImpatientObserver) {
  run([]() -> coro<> {
    const gate open;
    const task<int> shared = spawn(value_after, open, 3);
    const auto observe = [](task<int> target) -> coro<int> { co_return co_await target; };
    const task<int> impatient = spawn(observe, shared);
    const task<int> patient = spawn(observe, shared);
    co_await until_parked(impatient);
    co_await until_parked(patient);
    EXPECT_EQ(test::waiters_of(shared), 2U);
    impatient.cancel();
    co_await until_complete(impatient);
    EXPECT_TRUE(impatient.cancelled());
    EXPECT_EQ(test::waiters_of(shared), 1U);
    EXPECT_FALSE(shared.done());
    open.open();
    EXPECT_EQ(co_await patient, 3);
  });
}

TEST_P(CancelOnEvery, WhileOtherHandlesExistEvenAwaitingByValueObserves) {
  run([]() -> coro<> {
    const gate open;
    const task<int> shared = spawn(value_after, open, 3);
    const task<int> waiting = spawn([](task<int> target) -> coro<int> { co_return co_await std::move(target); }, shared);
    co_await until_parked(waiting);
    waiting.cancel();
    co_await until_complete(waiting);
    EXPECT_TRUE(waiting.cancelled());
    EXPECT_FALSE(shared.done());
    open.open();
    EXPECT_EQ(co_await shared, 3);
  });
}

TEST_P(CancelOnEvery, ARequestReachesTheBottomOfACoroutineStack) {
  run([]() -> coro<> {
    const gate never;
    std::string unwound;
    const auto leaf = [](gate never, std::string& unwound) -> coro<> {
      try {
        co_await never;
      } catch (const cancelled&) {
        unwound += "leaf ";
        throw;
      }
    };
    const auto middle = [&leaf](gate never, std::string& unwound) -> coro<> {
      try {
        co_await leaf(never, unwound);
      } catch (const cancelled&) {
        unwound += "middle";
        throw;
      }
    };
    const task<> stacked = spawn(middle, never, std::ref(unwound));
    co_await until_parked(stacked);
    stacked.cancel();
    co_await until_complete(stacked);
    EXPECT_EQ(unwound, "leaf middle");
    EXPECT_TRUE(stacked.cancelled());
  });
}

/// A long task waited on again and again by waiters that give up costs constant memory.
TEST_P(CancelOnEvery, CancelledWaitersLeaveNoEntryBehind) {
  run([]() -> coro<> {
    const gate open;
    const task<int> target = spawn(value_after, open, 1);
    for (int i = 0; i < 100; ++i) {
      const task<int> waiter = spawn([](task<int> target) -> coro<int> { co_return co_await target; }, target);
      co_await until_parked(waiter);
      waiter.cancel();
      co_await until_complete(waiter);
      EXPECT_EQ(test::waiters_of(target), 0U);
    }
    open.open();
    co_await target;
  });
}

// ---- chains ------------------------------------------------------------------------------------------------------------------

coro<int> chained(int length, gate at) {
  if (length == 0) {
    co_await at;
    co_return 0;
  }
  co_return 1 + co_await spawn(chained, length - 1, at);
}

TEST_P(CancelOnEvery, AHundredThousandTasksEachAwaitingTheNextCompleteAtOnce) {
  run([]() -> coro<> {
    constexpr int length = 100'000;
    const gate open;
    auto first = spawn(chained, length, open);
    while (open.parked() == 0) co_await this_task::yield();
    open.open();
    EXPECT_EQ(co_await std::move(first), length);
  });
}

TEST_P(CancelOnEvery, AChainOfAHundredThousandOwnedTasksIsCancelledWithoutRecursion) {
  constexpr int whole = test::k_sanitized ? 20'000 : 100'000;  // two throws a level
  const int length = GetParam() == test::flavour::native_2 ? whole : whole / 10;
  run([length]() -> coro<> {
    const gate never;
    const task<int> first = spawn(chained, length, never);
    while (never.parked() == 0) co_await this_task::yield();
    first.cancel("from the top");
    co_await until_complete(first);
    EXPECT_TRUE(first.cancelled());
    EXPECT_EQ(runtime::current()->tasks().size(), 1U);
    try {
      static_cast<void>(first.result());
    } catch (const task_cancelled& caught) {
      EXPECT_EQ(caught.reason(), "from the top");
    }
  });
}

/// The request is walked down and the ends come up, with two thousand observers on each other.
TEST_P(CancelOnEvery, AChainOfObserversEndsWithTheTaskAtItsBottom) {
  run([]() -> coro<> {
    const gate never;
    const task<> bottom = spawn(wait_at, never);
    task<> top = bottom;
    for (int i = 0; i < 2'000; ++i) top = spawn([](task<> below) -> coro<> { co_await below; }, top);
    bottom.cancel();
    co_await until_complete(top);
    EXPECT_TRUE(top.cancelled());
  });
}

}  // namespace
}  // namespace sheaf
