/// A coroutine awaited by another: lazy, part of the same task, destroyed once, flat however deep.
#include <sheaf/coro.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include <sheaf/runtime.hpp>
#include <sheaf/this_task.hpp>

#include "support/drop_counter.hpp"
#include "support/flavour.hpp"

namespace sheaf {
namespace {

using test::drop_counter;

SHEAF_ON_EVERY_FLAVOUR(CoroOnEvery);

coro<int> value_of(int value) { co_return value; }
coro<> do_nothing() { co_return; }
coro<int&> reference_to(int& target) { co_return target; }
coro<std::unique_ptr<int>> boxed(int value) { co_return std::make_unique<int>(value); }
coro<int> failing(const char* text) {
  throw std::runtime_error(text);
  co_return 0;
}

struct no_default {
  explicit no_default(int v) : value(v) {}
  no_default(const no_default&) = delete;
  no_default(no_default&&) = default;
  no_default& operator=(const no_default&) = delete;
  no_default& operator=(no_default&&) = delete;
  int value;
};
coro<no_default> make_no_default(int value) { co_return no_default(value); }

TEST_P(CoroOnEvery, Task01_AwaitingTwoCoroutinesMakesNoTask) {
  const int sum = run([]() -> coro<int> {
    const std::uint64_t self = this_task::id();
    const auto same_task = [](std::uint64_t outer, int value) -> coro<int> {
      EXPECT_EQ(this_task::id(), outer);
      co_return value;
    };
    const int one = co_await same_task(self, 1);
    const int two = co_await same_task(self, 2);
    EXPECT_EQ(runtime::current()->tasks().size(), 1U);
    co_return one + two;
  });
  EXPECT_EQ(sum, 3);
}

TEST_P(CoroOnEvery, IsLazy) {
  run([]() -> coro<> {
    bool started = false;
    const auto start = [](bool& flag) -> coro<> {
      flag = true;
      co_return;
    };
    coro<> work = start(started);
    co_await this_task::yield();
    EXPECT_FALSE(started);
    co_await std::move(work);
    EXPECT_TRUE(started);
  });
}

TEST(Coro, DroppedUnstartedRunsNothingAndDestroysItsArgumentsOnce) {
  drop_counter drops;
  bool ran = false;
  const auto never = [](drop_counter::payload, bool& flag) -> coro<> {
    flag = true;
    co_return;
  };
  {
    coro<> work = never(drops.make(), ran);
    EXPECT_TRUE(work);
    EXPECT_EQ(drops.alive(), 1);
  }
  EXPECT_EQ(drops.alive(), 0);
  EXPECT_EQ(drops.drops(), 1);
  EXPECT_FALSE(ran);
}

TEST_P(CoroOnEvery, MovesLeaveOneOwner) {
  drop_counter drops;
  const auto holding = [](drop_counter::payload held) -> coro<int> { co_return held.value(); };
  coro<int> first = holding(drops.make(1));
  coro<int> second = std::move(first);
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): what moved-from means is the question
  EXPECT_TRUE(second);
  second = holding(drops.make(2));
  EXPECT_EQ(run(std::move(second)), 2);
}

TEST_P(CoroOnEvery, AwaitingOneThatWasUsedIsAnInvalidState) {
  run([]() -> coro<> {
    const auto value = []() -> coro<int> { co_return 1; };
    coro<int> once = value();
    EXPECT_EQ(co_await std::move(once), 1);
    EXPECT_THROW(co_await std::move(once), invalid_state);  // NOLINT(bugprone-use-after-move)
  });
}

TEST_P(CoroOnEvery, ResultsOfEveryKind) {
  run([]() -> coro<> {
    int target = 7;
    int& same = co_await reference_to(target);
    EXPECT_EQ(&same, &target);
    const std::unique_ptr<int> box = co_await boxed(8);
    EXPECT_EQ(*box, 8);
    const no_default made = co_await make_no_default(9);
    EXPECT_EQ(made.value, 9);
    co_await do_nothing();
    static_assert(std::is_same_v<decltype(do_nothing().operator co_await().await_resume()), void>);
    static_assert(std::is_same_v<decltype(reference_to(target).operator co_await().await_resume()), int&>);
    const std::string text =
        co_await [](std::string given) -> coro<std::string> { co_return given; }("long enough not to be kept in place");
    EXPECT_EQ(text, "long enough not to be kept in place");
  });
}

TEST_P(CoroOnEvery, AnErrorComesOutOfTheAwaitAsTheSameObject) {
  run([]() -> coro<> {
    std::exception_ptr thrown;
    const auto failing_with = [](std::exception_ptr& seen) -> coro<> {
      try {
        throw std::runtime_error("inner");
      } catch (...) {
        seen = std::current_exception();
        throw;
      }
      co_return;
    };
    try {
      co_await failing_with(thrown);
      ADD_FAILURE() << "the error was lost";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "inner");
      EXPECT_EQ(std::current_exception(), thrown);
    }
  });
}

TEST_P(CoroOnEvery, AnErrorPassesThroughSeveralLevelsDestroyingTheirLocals) {
  drop_counter drops;
  const auto leaf = [](drop_counter& drops) -> coro<int> {
    const auto local = drops.make();
    co_return co_await failing("deep");
  };
  const auto middle = [&leaf](drop_counter& drops) -> coro<int> {
    const auto local = drops.make();
    co_return co_await leaf(drops);
  };
  EXPECT_THROW(run(middle(drops)), std::runtime_error);
  EXPECT_EQ(drops.drops(), 2);
}

TEST_P(CoroOnEvery, AResultWhoseMoveThrowsIsAnError) {
  struct throwing {
    throwing() = default;
    throwing(throwing&&) { throw std::logic_error("no move"); }
    throwing(const throwing&) = delete;
    throwing& operator=(const throwing&) = delete;
    throwing& operator=(throwing&&) = delete;
    ~throwing() = default;
  };
  const auto make = []() -> coro<throwing> {
    throwing local;
    co_return std::move(local);
  };
  EXPECT_THROW(static_cast<void>(run([&]() -> coro<> { static_cast<void>(co_await make()); })), std::logic_error);
}

TEST_P(CoroOnEvery, AnErrorFromALocalsDestructionAfterTheValueDropsTheValue) {
  drop_counter drops;
  struct thrower {
    ~thrower() noexcept(false) { throw std::runtime_error("late"); }
  };
  const auto late = [](drop_counter& drops) -> coro<drop_counter::payload> {
    const thrower at_the_end;
    co_return drops.make();
  };
  EXPECT_THROW(static_cast<void>(run(late(drops))), std::runtime_error);
  EXPECT_EQ(drops.alive(), 0);
}

TEST(Coro, APassedParameterThatThrowsOnItsWayInLeavesNothing) {
  struct throws_when_moved {
    throws_when_moved() = default;
    throws_when_moved(const throws_when_moved&) { throw std::runtime_error("copy"); }
  };
  const auto taking = [](throws_when_moved) -> coro<> { co_return; };
  const throws_when_moved source;
  EXPECT_THROW(static_cast<void>(taking(source)), std::runtime_error);  // ASan: the block is freed
}

TEST_P(CoroOnEvery, MayBeMadeOnOneThreadAndAwaitedOnAnother) {
  drop_counter drops;
  const auto holding = [](drop_counter::payload held) -> coro<int> { co_return held.value(); };
  std::optional<coro<int>> made;
  std::thread([&] { made.emplace(holding(drops.make(5))); }).join();
  EXPECT_EQ(run(std::move(*made)), 5);
}

TEST_P(CoroOnEvery, GetWaitsOnAPlainThread) {
  const entered here = rt().enter();
  EXPECT_EQ(value_of(3).get(), 3);
  do_nothing().get();
  EXPECT_THROW(failing("out").get(), std::runtime_error);
}

TEST(Coro, GetOutsideAnyRuntimeThrowsAndDestroysTheCoroutine) {
  drop_counter drops;
  const auto holding = [](drop_counter::payload held) -> coro<int> { co_return held.value(); };
  EXPECT_THROW(holding(drops.make()).get(), no_runtime);
  EXPECT_EQ(drops.drops(), 1);
}

// ---- depth -------------------------------------------------------------------------------------------------------------------

coro<std::uint64_t> nested(std::uint64_t depth) {
  if (depth == 0) co_return 0;
  co_return 1 + co_await nested(depth - 1);
}

TEST_P(CoroOnEvery, AMillionNestedAwaitsDoNotGrowTheStack) {
  const int million = test::share_of(1'000'000, GetParam());
  EXPECT_EQ(run(nested(million)), static_cast<std::uint64_t>(million));
}

coro<> nested_failure(int depth) {
  if (depth == 0) throw std::runtime_error("bottom");
  co_await nested_failure(depth - 1);
}

TEST_P(CoroOnEvery, AnErrorUnwindsADeepChainWithoutGrowingTheStack) {
  EXPECT_THROW(run(nested_failure(test::share_of(20'000, GetParam()))), std::runtime_error);
}

TEST_P(CoroOnEvery, AMillionReadyAwaitsInARowDoNotGrowTheStack) {
  const auto summing = [](int times) -> coro<int> {
    int sum = 0;
    for (int i = 0; i < times; ++i) sum += co_await value_of(1);
    co_return sum;
  };
  const int million = test::share_of(1'000'000, GetParam());
  EXPECT_EQ(run(summing(million)), million);
}

/// A destructor leaves one return statement by an exception; the body ends in another. The first value is destroyed.
TEST_P(CoroOnEvery, AReturnThatIsLeftByAnExceptionLeavesNoValue) {
  struct thrower {
    ~thrower() noexcept(false) { throw std::runtime_error("left"); }  // NOLINT: that is the question
  };
  const auto value = std::make_shared<int>(1);
  const auto twice = [](std::shared_ptr<int> value) -> coro<std::shared_ptr<int>> {
    try {
      const thrower leaves;
      co_return std::shared_ptr<int>(value);
    } catch (const std::runtime_error&) {
    }
    co_return value;
  };
  EXPECT_EQ(run(twice(value)), value);
  EXPECT_EQ(value.use_count(), 1);
}

}  // namespace
}  // namespace sheaf
