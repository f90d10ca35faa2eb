/// with_task_group: what a failure of a child or of the body does, and how all of them are reported.
#include <sheaf/task_group.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
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
using test::boom;
using test::boom_after;
using test::boom_at;
using test::boom_when_cancelled;
using test::drop_counter;
using test::failures_in;
using test::gate;
using test::until_complete;
using test::until_parked;
using test::value_after;
using test::value_at;
using numbers = std::vector<int>;

SHEAF_ON_EVERY_FLAVOUR(GroupFailureOnEvery);
SHEAF_ON_NATIVE_POOLS(GroupFailureOnPools);

/// What the exception_group has is not reported as unobserved besides.
TEST(GroupFailure, AFailureInTheGroupsErrorIsNotReported) {
  test::unobserved_errors unobserved;
  {
    runtime rt(unobserved.options());
    rt.run([]() -> coro<> {
      const auto body = [](task_group& group) -> coro<> {
        const gate open;
        open.open();
        group.spawn(boom_at(open, 1));
        co_return;
      };
      EXPECT_THROW(co_await with_task_group(body), exception_group);
    });
  }
  EXPECT_EQ(unobserved.count(), 0);
}

/// The failing child's request reaches each of the others once, although the group that waits for them is asked too.
TEST_P(GroupFailureOnEvery, OneFailureAsksTheOthersOnce) {
  run([]() -> coro<> {
    std::atomic<int> asked{0};
    const auto slow_to_stop = [](std::atomic<int>& asked) -> coro<> {
      const gate never;
      for (int i = 0; i < 2; ++i) {
        try {
          if (i == 0) {
            co_await never;
          } else {
            co_await sleep_for(1s);
          }
        } catch (const cancelled&) {
          asked.fetch_add(1);
        }
      }
    };
    const auto body = [&](task_group& group) -> coro<> {
      const task<> slow = group.spawn(slow_to_stop, std::ref(asked));
      co_await until_parked(slow);
      group.spawn(boom_after(1ms, 1));
    };
    EXPECT_THROW(co_await with_task_group(body), exception_group);
    EXPECT_EQ(asked.load(), 1);
  });
}

TEST_P(GroupFailureOnEvery, Tg02_AChildThatIsCancelledAloneIsIgnored) {
  run([this]() -> coro<> {
    const gate never;
    std::optional<task<int>> victim, sibling, added_later;
    co_await with_task_group([&](task_group& group) -> coro<> {
      victim = group.spawn(value_at(never, 1));
      sibling = group.spawn(value_after(2s, 2));
      const auto gives_up = []() -> coro<> {
        co_await sleep_for(1s);
        throw cancelled("of its own accord");
      };
      const task<> other = group.spawn(gives_up());
      co_await until_parked(*victim);
      victim->cancel();
      co_await test::join(other);
      EXPECT_TRUE(other.cancelled());
      added_later = group.spawn(value_after(3s, 3));
    });
    EXPECT_TRUE(victim->cancelled());
    EXPECT_EQ(sibling->result(), 2);
    EXPECT_EQ(added_later->result(), 3);
    EXPECT_EQ(clock().now(), 4s);
  });
}

TEST_P(GroupFailureOnEvery, Tg03_AFailureAfterTheBodysEndCancelsTheSiblingsAndIsThrownAlone) {
  run([]() -> coro<> {
    const gate never, fails;
    std::optional<task<int>> sibling, failing;
    bool went_on = false;
    const auto call = [&]() -> coro<> {
      co_await with_task_group([&](task_group& group) -> coro<> {
        sibling = group.spawn(value_at(never, 1));
        failing = group.spawn(boom_at(fails, 2));
        co_return;
      });
      went_on = true;
    };
    const task<> parent = spawn(call());
    co_await until_parked(parent);
    fails.open();
    co_await until_complete(parent);
    EXPECT_EQ(failures_in(parent.exception()), numbers{2});
    EXPECT_FALSE(went_on);
    EXPECT_TRUE(sibling->cancelled());
    try {
      std::rethrow_exception(parent.exception());
    } catch (const exception_group& error) {
      EXPECT_EQ(error.errors().at(0), failing->exception());  // that very object
      EXPECT_NE(std::string(error.what()).find("boom 2"), std::string::npos);
    }
  });
}

TEST_P(GroupFailureOnEvery, Tg04_AFailureInterruptsTheBody) {
  run([]() -> coro<> {
    const gate never;
    bool interrupted = false;
    const auto body = [&](task_group& group) -> coro<> {
      group.spawn(boom_after(1s, 1));
      group.spawn(boom_when_cancelled(2));
      group.spawn(value_at(never, 3));
      try {
        co_await never;
      } catch (const cancelled&) {
        interrupted = true;
        throw;
      }
    };
    const task<> parent = spawn(with_task_group(body));
    co_await test::join(parent);
    EXPECT_TRUE(interrupted);
    EXPECT_EQ(failures_in(parent.exception()), (numbers{1, 2}));
  });
}

TEST_P(GroupFailureOnEvery, Tg07_TheBodysOwnErrorCancelsTheChildrenAndIsInTheGroup) {
  for (const bool awaits_first : {true, false}) {
    run([awaits_first]() -> coro<> {
      const gate never;
      std::optional<task<int>> child;
      const auto body = [&child, &never, awaits_first](task_group& group) -> coro<int> {
        child = group.spawn(value_at(never, 1));
        if (awaits_first) co_await until_parked(*child);
        throw boom(5);
      };
      const task<int> parent = spawn(with_task_group(body));
      co_await test::join(parent);
      EXPECT_EQ(failures_in(parent.exception()), numbers{5});
      EXPECT_TRUE(child->cancelled());
    });
  }
}

TEST_P(GroupFailureOnEvery, Tg08_TheBodyTurnsItsCancelIntoAnError) {
  run([]() -> coro<> {
    const gate never;
    const auto body = [&](task_group& group) -> coro<> {
      group.spawn(value_at(never, 1));
      bool asked = false;
      try {
        co_await never;
      } catch (const cancelled&) {
        asked = true;
      }
      if (asked) throw boom(6);
    };
    const task<> parent = spawn(with_task_group(body));
    co_await until_parked(parent);
    parent.cancel();
    co_await test::join(parent);
    EXPECT_EQ(failures_in(parent.exception()), numbers{6});
  });
}

TEST_P(GroupFailureOnEvery, Tg09_AChildsAndTheInterruptedBodysError) {
  run([]() -> coro<> {
    const gate never;
    const auto body = [&](task_group& group) -> coro<> {
      group.spawn(boom_after(1s, 1));
      bool asked = false;
      try {
        co_await never;
      } catch (const cancelled&) {
        asked = true;
      }
      if (asked) throw boom(2);
    };
    const task<> parent = spawn(with_task_group(body));
    co_await test::join(parent);
    EXPECT_EQ(failures_in(parent.exception()), (numbers{1, 2}));
  });
}

TEST_P(GroupFailureOnEvery, Tg10_NestedInnerChildrenThatFailWhenCancelled) {
  run([]() -> coro<> {
    const gate first, second;
    const auto begins = [](gate begun, int number) -> coro<> {
      begun.open();
      co_await boom_when_cancelled(number);
    };
    const auto body = [&](task_group&) -> coro<> {
      co_await with_task_group([&](task_group& inner) -> coro<> {
        inner.spawn(begins(first, 1));
        inner.spawn(begins(second, 2));
        co_return;
      });
    };
    const task<> parent = spawn(with_task_group(body));
    co_await first;
    co_await second;
    co_await until_parked(parent);
    parent.cancel();
    co_await test::join(parent);
    try {
      std::rethrow_exception(parent.exception());
    } catch (const exception_group& outer) {
      EXPECT_EQ(outer.errors().size(), 1U);
      numbers inner = failures_in(outer.errors().at(0));
      std::ranges::sort(inner);
      EXPECT_EQ(inner, (numbers{1, 2}));
    }
  });
}

TEST_P(GroupFailureOnEvery, Tg12_AnInnerGroupsErrorIsAMemberOfTheOuterOnes) {
  run([]() -> coro<> {
    const gate never;
    bool sibling_stopped = false;
    const auto inner_group = [&]() -> coro<> {
      co_await with_task_group([&](task_group& inner) -> coro<> {
        inner.spawn(boom_after(1s, 1));
        co_return;
      });
    };
    const auto body = [&](task_group& outer) -> coro<> {
      outer.spawn(inner_group());
      try {
        co_await never;
      } catch (const cancelled&) {
        sibling_stopped = true;
        throw;
      }
    };
    const task<> parent = spawn(with_task_group(body));
    co_await test::join(parent);
    EXPECT_TRUE(sibling_stopped);
    try {
      std::rethrow_exception(parent.exception());
    } catch (const exception_group& outer) {
      EXPECT_EQ(outer.errors().size(), 1U);
      EXPECT_EQ(failures_in(outer.errors().at(0)), numbers{1});
    }
  });
}

/// TG-14, TG-15: there is no kind of exception that comes out bare.
TEST_P(GroupFailureOnEvery, Tg16_AllKindsOfExceptionsAreGrouped) {
  run([]() -> coro<> {
    const gate never;
    const auto body = [&](task_group& group) -> coro<> {
      const auto throws_an_int = []() -> coro<> {
        co_await sleep_for(1s);
        throw 3;
      };
      group.spawn(throws_an_int());
      bool asked = false;
      try {
        co_await never;
      } catch (const cancelled&) {
        asked = true;
      }
      if (asked) throw "text";
    };
    const task<> parent = spawn(with_task_group(body));
    co_await test::join(parent);
    try {
      std::rethrow_exception(parent.exception());
    } catch (const exception_group& error) {
      EXPECT_EQ(error.errors().size(), 2U);
      EXPECT_THROW(std::rethrow_exception(error.errors()[0]), int);
      EXPECT_THROW(std::rethrow_exception(error.errors()[1]), const char*);
      EXPECT_NE(std::string(error.what()).find("unknown type"), std::string::npos);
    }
  });
}

TEST_P(GroupFailureOnEvery, Tg20_AddingWhileItIsAbortingIsRefusedAndTheWorkDestroyedUnrun) {
  drop_counter drops;
  run([&]() -> coro<> {
    const gate never;
    bool ran = false;
    int refused = 0;
    const auto body = [&](task_group& group) -> coro<> {
      group.spawn(boom_after(1s, 1));
      try {
        co_await never;
      } catch (const cancelled&) {
        const auto holding = [](drop_counter::payload, bool& ran) -> coro<> {
          ran = true;
          co_return;
        };
        try {
          group.spawn(holding(drops.make(), ran));
        } catch (const invalid_state&) {
          ++refused;
        }
        try {
          group.spawn([&ran](const drop_counter::payload&) { ran = true; }, drops.make());
        } catch (const invalid_state&) {
          ++refused;
        }
        EXPECT_EQ(drops.alive(), 0);
        throw;
      }
    };
    const task<> parent = spawn(with_task_group(body));
    co_await test::join(parent);
    EXPECT_EQ(failures_in(parent.exception()), numbers{1});
    EXPECT_EQ(refused, 2);
    EXPECT_FALSE(ran);
  });
}

TEST_P(GroupFailureOnEvery, Tg27_TheInterruptedBodysCleanupFailsInANestedResource) {
  run([]() -> coro<> {
    const gate never;
    struct resource {
      gate never;
      coro<> use() const {
        bool asked = false;
        try {
          co_await never;
        } catch (const cancelled&) {
          asked = true;
        }
        if (asked) throw boom(9);
      }
    };
    const resource used{never};
    try {
      co_await with_task_group([&](task_group& group) -> coro<> {
        group.spawn(boom_after(1s, 1));
        co_await used.use();
      });
      ADD_FAILURE() << "no error";
    } catch (const exception_group&) {
      EXPECT_EQ(failures_in(std::current_exception()), (numbers{1, 9}));
    }
    EXPECT_EQ(this_task::cancelling(), 0U);
    co_await this_task::yield();
  });
}

TEST_P(GroupFailureOnEvery, Tg32_AHandledErrorLeavesNothingAlive) {
  struct carrying : std::runtime_error {
    explicit carrying(drop_counter::copyable held) : std::runtime_error("carrying"), payload(std::move(held)) {}
    drop_counter::copyable payload;
  };
  drop_counter drops;
  run([&]() -> coro<> {
    const gate both;
    const auto failing = [](gate both, drop_counter& drops) -> coro<> {
      co_await both;
      throw carrying(drops.make_copyable());
    };
    bool caught = false;
    try {
      co_await with_task_group([&](task_group& group) -> coro<> {
        group.spawn(failing(both, drops));
        group.spawn(failing(both, drops));
        both.open();
        co_return;
      });
    } catch (const exception_group& error) {
      caught = true;
      EXPECT_GE(drops.alive(), 1);
      EXPECT_EQ(static_cast<std::size_t>(drops.alive()), error.errors().size());
    }
    EXPECT_TRUE(caught);
    const auto gone = [&] { return drops.alive() == 0; };
    co_await test::until(gone);
  });
}

// ---- several threads ----------------------------------------------------------------------------------------------------------

TEST_P(GroupFailureOnPools, Mt32_ChildrenThatFailAtOnceAreAllInTheGroup) {
  run([]() -> coro<> {
    for (int round = 0; round < 100; ++round) {
      const gate open;
      std::atomic<int> failed{0};
      const auto body = [&](task_group& group) -> coro<> {
        const auto failing = [](gate open, std::atomic<int>& failed, int number) -> coro<> {
          co_await open;
          failed.fetch_add(1);
          throw boom(number);
        };
        for (int i = 1; i <= 16; ++i) group.spawn(failing(open, failed, i));
        open.open();
        co_return;
      };
      numbers thrown;
      try {
        co_await with_task_group(body);
        ADD_FAILURE() << "no error";
      } catch (const exception_group&) {
        thrown = failures_in(std::current_exception());
      }
      EXPECT_EQ(thrown.size(), static_cast<std::size_t>(failed.load()));  // the others were cancelled first
      std::ranges::sort(thrown);
      EXPECT_EQ(std::ranges::adjacent_find(thrown), thrown.end());
      EXPECT_EQ(this_task::cancelling(), 0U);
    }
  });
}

TEST_P(GroupFailureOnPools, Mt33_AddingFromManyChildrenWhileTheAbortBegins) {
  drop_counter drops;
  run([&]() -> coro<> {
    for (int round = 0; round < 100; ++round) {
      const gate open;
      std::atomic<int> added{0}, refused{0}, ended{0};
      const auto body = [&](task_group& group) -> coro<> {
        struct child {
          static coro<> leaf(drop_counter::payload, std::atomic<int>& ended) {
            const gate never;
            try {
              co_await never;
            } catch (const cancelled&) {
              ended.fetch_add(1);
              throw;
            }
          }
          static coro<> adds(task_group& group, drop_counter& drops, gate open, std::atomic<int>& added,
                             std::atomic<int>& refused, std::atomic<int>& ended) {
            co_await open;
            for (int i = 0; i < 5; ++i) {
              try {
                group.spawn(leaf(drops.make(), ended));
                added.fetch_add(1);
              } catch (const invalid_state&) {
                refused.fetch_add(1);
              }
            }
          }
        };
        for (int i = 0; i < 6; ++i) group.spawn(child::adds(group, drops, open, added, refused, ended));
        group.spawn(boom_at(open, 1));
        open.open();
        co_return;
      };
      try {
        co_await with_task_group(body);
        ADD_FAILURE() << "no error";
      } catch (const exception_group&) {
        EXPECT_EQ(failures_in(std::current_exception()), numbers{1});
      }
      EXPECT_EQ(drops.alive(), 0);
      EXPECT_LE(ended.load(), added.load());  // of the rest the body never ran
      EXPECT_EQ((added.load() + refused.load()) % 5, 0);
    }
  });
}

/// The group's own request, which interrupts its parent's join, is not passed on: the children have been asked.
TEST_P(GroupFailureOnEvery, AnAbortAsksEachChildOnce) {
  run([]() -> coro<> {
    const gate fails, leave;
    std::atomic<int> heard{0};
    unsigned requests = 0;
    const auto body = [&](task_group& group) -> coro<> {
      group.spawn(boom_at(fails, 1));
      const auto stays = [&heard, &requests, leave]() -> coro<> {
        co_await test::pass_stubbornly(leave, &heard);
        requests = this_task::cancelling();
      };
      group.spawn(stays);
      co_return;
    };
    const task<> parent = spawn(with_task_group(body));
    co_await until_parked(parent);
    const auto stays_parked = [&leave] { return leave.parked() == 1; };
    co_await test::until(stays_parked);
    fails.open();
    const auto was_heard = [&heard] { return heard.load() != 0; };
    co_await test::until(was_heard);
    co_await test::yield_times(10);
    co_await until_parked(parent);
    leave.open();
    co_await until_complete(parent);
    EXPECT_EQ(requests, 1U);
    EXPECT_NE(parent.exception(), nullptr);
  });
}

}  // namespace
}  // namespace sheaf
