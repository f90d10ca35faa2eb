/// when_all: one failure for all, a request for all, never a child left behind.
#include <sheaf/when_all.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>

#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/notes.hpp"
#include "support/run_test.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::drop_counter;
using test::gate;
using test::run_test;
using test::until_complete;
using test::until_parked;

SHEAF_ON_EVERY_FLAVOUR(WhenAllCancelOnEvery);

coro<> wait_at(gate at) { co_await at; }
coro<int> fail(const char* text) {
  throw std::runtime_error(text);
  co_return 0;
}

// ---- failure -----------------------------------------------------------------------------------------------------------------

TEST_P(WhenAllCancelOnEvery, TheFirstFailureCancelsTheOthersAndWaitsForThem) {
  run([]() -> coro<> {
    const gate never;
    int cleaned_up = 0;
    const auto cleans_up = [](gate never, int& cleaned_up) -> coro<> {
      bool asked = false;
      try {
        co_await never;
      } catch (const cancelled&) {
        asked = true;
      }
      co_await sleep_for(1s);  // takes its time
      cleaned_up += asked ? 1 : 0;
      throw cancelled();
    };
    const auto fails_later = [](gate never) -> coro<> {
      while (never.parked() == 0) co_await this_task::yield();
      throw std::runtime_error("first");
    };
    try {
      co_await when_all(cleans_up(never, cleaned_up), fails_later(never));
      ADD_FAILURE() << "it returned";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "first");
    }
    EXPECT_EQ(cleaned_up, 1);
    EXPECT_EQ(this_task::cancelling(), 0U);
    co_await this_task::yield();  // the parent itself was not asked to stop
  });
}

TEST(WhenAllCancel, AFailureBeforeTheOthersHaveStartedEndsThemUnrun) {
  drop_counter drops;
  run_test(
      [&]() -> coro<> {
        const auto never = [](drop_counter::payload) -> coro<int> {
          ADD_FAILURE() << "it ran";
          co_return 0;
        };
        EXPECT_THROW(co_await when_all(fail("at once"), never(drops.make()), never(drops.make())), std::runtime_error);
        EXPECT_EQ(drops.drops(), 2);
      },
      1);
}

TEST_P(WhenAllCancelOnEvery, OfSeveralFailuresOneComesOutAndNoneIsReported) {
  int reports = 0;
  start({.on_unobserved_error = [&reports](std::string_view, const std::exception_ptr&) { ++reports; }});
  run([]() -> coro<> {
    for (int i = 0; i < 50; ++i) {
      const gate together;
      const auto fails = [](gate together, int which) -> coro<> {
        co_await together;
        throw which;
      };
      const auto opens = [](gate together) -> coro<> {
        while (together.parked() != 3) co_await this_task::yield();
        together.open();
      };
      bool caught = false;
      try {
        co_await when_all(fails(together, 0), fails(together, 1), fails(together, 2), opens(together));
      } catch (int which) {
        caught = 0 <= which && which < 3;
      }
      EXPECT_TRUE(caught);
    }
  });
  EXPECT_EQ(reports, 0);
}

TEST_P(WhenAllCancelOnEvery, ValuesOfTheOthersAreDestroyedOnFailure) {
  drop_counter drops;
  run([&]() -> coro<> {
    const auto makes = [](drop_counter& drops) -> coro<drop_counter::payload> { co_return drops.make(); };
    const auto fails_last = [](drop_counter& drops) -> coro<> {
      while (drops.alive() != 2) co_await this_task::yield();
      throw std::runtime_error("last");
    };
    EXPECT_THROW(co_await when_all(makes(drops), makes(drops), fails_last(drops)), std::runtime_error);
    EXPECT_EQ(drops.alive(), 0);
  });
  EXPECT_EQ(drops.drops(), 2);
}

TEST_P(WhenAllCancelOnEvery, AChildThatEndsCancelledByItselfFailsTheWhole) {
  run([]() -> coro<> {
    const gate never;
    const auto gives_up = [](gate never) -> coro<> {
      while (never.parked() == 0) co_await this_task::yield();
      throw cancelled("no more");
    };
    try {
      co_await when_all(wait_at(never), gives_up(never));
      ADD_FAILURE() << "it returned";
    } catch (const task_cancelled& caught) {
      EXPECT_EQ(caught.reason(), "no more");
    }
    EXPECT_EQ(never.parked(), 0U);
    EXPECT_EQ(this_task::cancelling(), 0U);
  });
}

TEST_P(WhenAllCancelOnEvery, AChildCancelledFromOutsideFailsTheWhole) {
  run([]() -> coro<> {
    const gate never;
    any_task sibling;
    const auto parks = [](gate never, any_task& self) -> coro<> {
      self = this_task::handle();
      co_await never;
    };
    const auto cancels_the_other = [](gate never, any_task& sibling) -> coro<> {
      while (never.parked() == 0) co_await this_task::yield();
      sibling.cancel("by a sibling");
      co_await sleep_for(1h);  // it is cancelled in turn
    };
    try {
      co_await when_all(parks(never, sibling), cancels_the_other(never, sibling));
      ADD_FAILURE() << "it returned";
    } catch (const task_cancelled& caught) {
      EXPECT_EQ(caught.reason(), "by a sibling");
    }
  });
  EXPECT_EQ(clock().now(), 0ns);
}

// ---- cancellation ------------------------------------------------------------------------------------------------------------

TEST_P(WhenAllCancelOnEvery, ACancelledParentCancelsEveryChildAndWaitsForAll) {
  run([]() -> coro<> {
    const gate first, second, leave;
    std::atomic<int> asked{0};
    const auto stubborn = [](gate leave, std::atomic<int>& asked) -> coro<> {
      co_await test::pass_stubbornly(leave, &asked);
      EXPECT_EQ(this_task::cancelling(), 1U);
    };
    const auto whole = [&stubborn](gate first, gate second, gate leave, std::atomic<int>& asked) -> coro<> {
      co_await when_all(wait_at(first), wait_at(second), stubborn(leave, asked));
    };
    const task<> parent = spawn(whole, first, second, leave, std::ref(asked));
    while (first.parked() + second.parked() + leave.parked() != 3) co_await this_task::yield();
    co_await until_parked(parent);
    parent.cancel("stop");
    while (first.parked() + second.parked() != 0) co_await this_task::yield();
    const auto heard = [&] { return asked.load() != 0; };
    co_await test::until(heard);
    co_await test::yield_times(20);
    EXPECT_FALSE(parent.done());  // one has not ended
    leave.open();
    co_await until_complete(parent);
    EXPECT_TRUE(parent.cancelled());
    EXPECT_EQ(asked.load(), 1);
    try {
      parent.result();
    } catch (const task_cancelled& caught) {
      EXPECT_EQ(caught.reason(), "stop");
    }
  });
}

TEST_P(WhenAllCancelOnEvery, EveryRequestOfTheParentIsPassedOnWithItsReason) {
  run([]() -> coro<> {
    const gate leave;
    test::notes reasons;
    const auto listens = [](gate leave, test::notes& reasons) -> coro<> {
      while (!leave.is_open()) {
        try {
          co_await leave;
        } catch (const cancelled& request) {
          reasons += request.reason() + ' ';
        }
      }
    };
    const auto whole = [&listens](gate leave, test::notes& reasons) -> coro<> { co_await when_all(listens(leave, reasons)); };
    const task<> parent = spawn(whole, leave, std::ref(reasons));
    co_await until_parked(parent);
    for (const char* const reason : {"first", "second"}) {
      while (leave.parked() == 0) co_await this_task::yield();
      const std::size_t seen = reasons.size();
      parent.cancel(reason);
      while (reasons.size() == seen) co_await this_task::yield();
    }
    while (leave.parked() == 0) co_await this_task::yield();
    leave.open();
    co_await until_complete(parent);
    EXPECT_EQ(reasons.text(), "first second ");
    EXPECT_TRUE(parent.cancelled());
  });
}

TEST_P(WhenAllCancelOnEvery, ACancelledParentEndsCancelledEvenIfEveryChildSwallows) {
  drop_counter drops;
  run([&]() -> coro<> {
    const gate never;
    const auto swallows = [](gate never, drop_counter& drops) -> coro<drop_counter::payload> {
      try {
        co_await never;
      } catch (const cancelled&) {
      }
      co_return drops.make();
    };
    const auto whole = [&swallows](gate never, drop_counter& drops) -> coro<> {
      co_await when_all(swallows(never, drops), swallows(never, drops));
      ADD_FAILURE() << "it went on";
    };
    const task<> parent = spawn(whole, never, std::ref(drops));
    while (never.parked() != 2) co_await this_task::yield();
    parent.cancel();
    co_await until_complete(parent);
    EXPECT_TRUE(parent.cancelled());
  });
  EXPECT_EQ(drops.drops(), 2);
}

TEST_P(WhenAllCancelOnEvery, AParentAskedBeforeTheForkEndsCancelledAfterItsChildren) {
  run([]() -> coro<> {
    int ended = 0;
    const auto whole = [](int& ended) -> coro<> {
      const auto child = [](int& ended) -> coro<> {
        struct counts_its_end {
          explicit counts_its_end(int& to) : to_(&to) {}
          counts_its_end(const counts_its_end&) = delete;
          counts_its_end& operator=(const counts_its_end&) = delete;
          ~counts_its_end() { ++*to_; }
          int* to_;
        };
        const counts_its_end end(ended);
        co_await sleep_for(1h);
      };
      this_task::handle().cancel();
      co_await when_all(child(ended));
    };
    const task<> parent = spawn(whole, std::ref(ended));
    co_await until_complete(parent);
    EXPECT_TRUE(parent.cancelled());
    EXPECT_LE(ended, 1);  // asked before its start, or at its sleep
  });
  EXPECT_EQ(clock().now(), 0ns);
}

TEST_P(WhenAllCancelOnEvery, ARequestGoesDownThroughNestedWholes) {
  run([]() -> coro<> {
    const gate never;
    struct nest {
      static coro<> down(int depth, gate never) {
        if (depth == 0) {
          co_await never;
        } else {
          co_await when_all(down(depth - 1, never), down(depth - 1, never));
        }
      }
    };
    const task<> top = spawn(&nest::down, 6, never);
    while (never.parked() != 64) co_await this_task::yield();
    top.cancel("all of you");
    co_await until_complete(top);
    EXPECT_TRUE(top.cancelled());
    EXPECT_EQ(never.parked(), 0U);
  });
}

/// The request comes as the children end: value or cancelled, each child destroyed once either way.
TEST_P(WhenAllCancelOnEvery, CancelAgainstTheLastArrival) {
  drop_counter drops;
  run([&]() -> coro<> {
    int ended_cancelled = 0;
    for (int i = 0; i < 100; ++i) {
      const gate open;
      const auto makes = [](gate open, drop_counter& drops) -> coro<drop_counter::payload> {
        co_await open;
        co_return drops.make();
      };
      const auto whole = [&makes](gate open, drop_counter& drops) -> coro<int> {
        const auto values = co_await when_all(makes(open, drops), makes(open, drops));
        co_return std::get<0>(values) && std::get<1>(values) ? 1 : 0;
      };
      const task<int> parent = spawn(whole, open, std::ref(drops));
      while (open.parked() != 2) co_await this_task::yield();
      auto cancels = spawn([](task<int> target) { target.cancel(); }, parent);
      open.open();
      co_await until_complete(parent);
      co_await std::move(cancels);
      if (parent.cancelled()) {
        ++ended_cancelled;
      } else {
        EXPECT_EQ(parent.result(), 1);
      }
      EXPECT_EQ(drops.alive(), 0);
    }
    RecordProperty("cancelled", ended_cancelled);
  });
}

}  // namespace
}  // namespace sheaf
