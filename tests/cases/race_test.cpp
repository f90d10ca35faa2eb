/// race and first_success, case by case.
#include <sheaf/race.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
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
using test::boom_number;
using test::gate;
using test::until_complete;
using test::until_parked;
using test::value_after;
using test::value_at;

SHEAF_ON_EVERY_FLAVOUR(RaceOnEvery);

/// What one candidate has been through.
struct notes {
  std::atomic<int> started{0}, asked{0}, ended{0};
};
coro<int> noted(notes& mine, std::chrono::nanoseconds length, int value) {
  mine.started.fetch_add(1);
  try {
    co_await sleep_for(length);
  } catch (const cancelled&) {
    mine.asked.fetch_add(1);
    mine.ended.fetch_add(1);
    throw;
  }
  mine.ended.fetch_add(1);
  if (value < 0) throw boom(-value);
  co_return value;
}

std::vector<int> numbers_in(const exception_group& group) {
  std::vector<int> numbers;
  for (const std::exception_ptr& each : group.errors()) numbers.push_back(boom_number(each));
  return numbers;
}

// ---- race ----------------------------------------------------------------------------------------------------------------------

TEST_P(RaceOnEvery, TheFirstToCompleteWinsTheOthersAreStoppedAndAwaited) {
  run([this]() -> coro<> {
    notes quick, slow, cleaning;
    EXPECT_EQ(co_await race(noted(slow, 1h, 1), noted(quick, 1s, 2)), 2);
    EXPECT_EQ(clock().now(), 1s);
    EXPECT_EQ(slow.asked.load(), 1);
    EXPECT_EQ(slow.ended.load(), 1);
    const auto cleans_up = [](notes& mine) -> coro<int> {
      bool asked = false;
      try {
        co_await sleep_for(1h);
      } catch (const cancelled&) {
        asked = true;
      }
      if (asked) co_await sleep_for(5s);
      mine.ended.fetch_add(1);
      co_return 3;
    };
    EXPECT_EQ(co_await race(cleans_up(cleaning), noted(quick, 1s, 4)), 4);
    EXPECT_EQ(cleaning.ended.load(), 1);
    EXPECT_EQ(clock().now(), 7s);
  });
}

TEST_P(RaceOnEvery, TheWinnersErrorComesOut) {
  run([]() -> coro<> {
    notes slow;
    EXPECT_THROW(co_await race(noted(slow, 1h, 1), boom_after(1s, 2)), boom);
    EXPECT_EQ(slow.ended.load(), 1);
    const auto gives_up = []() -> coro<int> {
      co_await this_task::yield();
      throw cancelled("no longer");
    };
    EXPECT_THROW(co_await race(value_after(1h, 1), gives_up()), task_cancelled);
  });
}

TEST_P(RaceOnEvery, DifferentTypesComeAsAVariantThatNamesTheWinner) {
  run([]() -> coro<> {
    const auto text = []() -> coro<std::string> {
      co_await sleep_for(1s);
      co_return "text";
    };
    const auto nothing = []() -> coro<> { co_await sleep_for(1ms); };
    const std::variant<int, std::string> second = co_await race(value_after(1h, 1), text());
    EXPECT_EQ(second.index(), 1U);
    EXPECT_EQ(std::get<1>(second), "text");
    const std::variant<std::string, std::monostate> none = co_await race(text(), nothing());
    EXPECT_EQ(none.index(), 1U);
    co_await race(nothing(), nothing());
    const std::unique_ptr<int> box = co_await race([] { return std::make_unique<int>(5); });
    EXPECT_EQ(*box, 5);
  });
}

TEST_P(RaceOnEvery, TasksAreOwnedWhateverTheirValueCategory) {
  run([]() -> coro<> {
    const gate never;
    const task<int> kept = spawn(value_at(never, 1));
    EXPECT_EQ(co_await race(kept, value_after(1s, 2)), 2);
    EXPECT_TRUE(kept.cancelled());
    const task<int> done = spawn([] { return 3; });
    co_await until_complete(done);
    EXPECT_EQ(co_await race(done, value_after(1h, 2)), 3);
    EXPECT_EQ(done.result(), 3);
  });
}

TEST_P(RaceOnEvery, ARangeOfCandidates) {
  run([]() -> coro<> {
    std::vector<coro<int>> many;
    for (int i = 0; i < 100; ++i) many.push_back(value_after(std::chrono::seconds(i == 42 ? 1 : 2 + i), i));
    EXPECT_EQ(co_await race(std::move(many)), 42);
    std::vector<coro<int>> none;
    bool refused = false;
    try {
      static_cast<void>(co_await race(std::move(none)));
    } catch (const exception_group& group) {
      refused = group.errors().empty();
    }
    EXPECT_TRUE(refused);
  });
}

TEST_P(RaceOnEvery, ACancelledCallerStopsEveryCandidateAndWaits) {
  run([]() -> coro<> {
    notes first, second;
    const auto racing = [](notes& first, notes& second) -> coro<int> {
      co_return co_await race(noted(first, 1h, 1), noted(second, 2h, 2));
    };
    const task<int> caller = spawn(racing, std::ref(first), std::ref(second));
    const auto both_run = [&] { return first.started.load() + second.started.load() == 2; };
    co_await test::until(both_run);
    co_await until_parked(caller);
    caller.cancel("enough");
    co_await until_complete(caller);
    EXPECT_TRUE(caller.cancelled());
    EXPECT_EQ(first.ended.load() + second.ended.load(), 2);
    EXPECT_EQ(first.asked.load() + second.asked.load(), 2);
  });
}

TEST_P(RaceOnEvery, ErrorsOfLosersAreNotReported) {
  test::unobserved_errors errors;
  start(errors.options());
  run([]() -> coro<> {
    EXPECT_EQ(co_await race(value_after(1s, 1), test::boom_when_cancelled(2)), 1);
    EXPECT_EQ(co_await first_success(boom_after(1s, 1), value_after(2s, 2)), 2);
  });
  EXPECT_EQ(errors.count(), 0);
}

TEST_P(RaceOnEvery, ATaskCannotRaceItself) {
  run([]() -> coro<> {
    const auto races = []() -> coro<> {
      const any_task other = spawn([] { return 1; });
      co_await until_complete(other);
      co_await race(this_task::handle(), other);
    };
    EXPECT_THROW(co_await spawn(races), invalid_state);
  });
}

/// A candidate that runs already is in the race from the beginning, whatever the stagger.
TEST_P(RaceOnEvery, RunningCandidatesAreStoppedAndAwaitedToo) {
  run([]() -> coro<> {
    notes running;
    const task<int> kept = spawn(noted(running, 1h, 2));
    const auto begun = [&] { return running.started.load() == 1; };
    co_await test::until(begun);
    EXPECT_EQ(co_await first_success(first_success_options{.stagger = 1h}, value_after(1s, 1), kept), 1);
    EXPECT_TRUE(kept.cancelled());
    EXPECT_EQ(running.asked.load(), 1);
  });
}

TEST_P(RaceOnEvery, InACleanupDuringShutdown) {
  leaves_tasks_on_purpose();
  std::atomic<int> won{0};
  const gate waiting;
  const auto cleans_up = [](gate waiting, std::atomic<int>& won) -> coro<> {
    const gate never;
    waiting.open();
    bool asked = false;
    try {
      co_await never;
    } catch (const cancelled&) {
      asked = true;
    }
    const auto quick = []() -> coro<int> { co_return 7; };
    if (asked) won.store(co_await race(quick(), quick()));
  };
  run([&]() -> coro<> {
    static_cast<void>(spawn(cleans_up, waiting, std::ref(won)));
    co_await waiting;
  });
  rt().shutdown();
  EXPECT_EQ(won.load(), 7);
}

TEST_P(RaceOnEvery, TasksWhoseTypesAreErased) {
  run([]() -> coro<> {
    const any_task first = spawn(value_after(1s, 1));
    const any_task second = spawn(value_after(2s, 2));
    static_cast<void>(co_await race(first, second));
    EXPECT_EQ(first.status(), task_status::succeeded);
    EXPECT_TRUE(second.cancelled());
  });
}

TEST_P(RaceOnEvery, CandidatesAreDestroyedOnceStartedOrNot) {
  test::drop_counter drops;
  run([&drops]() -> coro<> {
    const auto holds = [](test::drop_counter::payload, std::chrono::nanoseconds length) -> coro<int> {
      co_await sleep_for(length);
      co_return 1;
    };
    {
      const auto never_awaited = race(holds(drops.make(), 1s), holds(drops.make(), 2s));
    }
    EXPECT_EQ(drops.alive(), 0);
    co_await race(holds(drops.make(), 1s), holds(drops.make(), 2s));
    EXPECT_EQ(drops.alive(), 0);
    co_await first_success(first_success_options{.stagger = 1h}, holds(drops.make(), 1s), holds(drops.make(), 2s));
    EXPECT_EQ(drops.alive(), 0);
  });
  EXPECT_EQ(drops.drops(), 6);
}

// ---- first_success ---------------------------------------------------------------------------------------------------------------

TEST_P(RaceOnEvery, Race01_WithoutASuccessEveryErrorIsListed) {
  run([]() -> coro<> {
    std::vector<int> listed;
    std::string text;
    try {
      static_cast<void>(co_await first_success(boom_after(2s, 1), boom_after(1s, 2), boom_after(3s, 3)));
    } catch (const exception_group& group) {
      listed = numbers_in(group);
      text = group.what();
    }
    EXPECT_EQ(listed, (std::vector<int>{1, 2, 3}));
    EXPECT_EQ(text.rfind("first_success: none succeeded", 0), 0U) << text;
    std::optional<std::size_t> errors;
    std::vector<coro<int>> none;
    try {
      static_cast<void>(co_await first_success(std::move(none)));
    } catch (const exception_group& group) {
      errors = group.errors().size();
    }
    EXPECT_EQ(errors, 0U);
  });
}

TEST_P(RaceOnEvery, Race02_WhoSucceedsInTimeKeepsTheNextFromStarting) {
  run([this]() -> coro<> {
    notes first, second;
    EXPECT_EQ(co_await first_success(first_success_options{.stagger = 2s}, noted(first, 1s, 1), noted(second, 1s, 2)), 1);
    EXPECT_EQ(second.started.load(), 0);
    EXPECT_EQ(clock().now(), 1s);
    co_await sleep_for(1h);
    EXPECT_EQ(second.started.load(), 0);
  });
}

TEST_P(RaceOnEvery, Race02_WhoFailsIsFollowedAtOnce) {
  run([this]() -> coro<> {
    notes first, second, third;
    EXPECT_EQ(co_await first_success(first_success_options{.stagger = 1h}, noted(first, 1s, -1), noted(second, 1s, 2),
                                     noted(third, 1s, 3)),
              2);
    EXPECT_EQ(clock().now(), 2s);
    EXPECT_EQ(third.started.load(), 0);
    const auto start = clock().now();
    EXPECT_EQ(co_await first_success(first_success_options{.stagger = std::nullopt}, noted(first, 50h, -1), noted(second, 1s, 2)),
              2);
    EXPECT_EQ(clock().now() - start, 50h + 1s);
  });
}

TEST_P(RaceOnEvery, Race03_WhoIsTooSlowIsOvertakenStoppedAndAwaited) {
  run([this]() -> coro<> {
    notes first, second;
    EXPECT_EQ(co_await first_success(first_success_options{.stagger = 1s}, noted(first, 1h, 1), noted(second, 1s, 2)), 2);
    EXPECT_EQ(clock().now(), 2s);
    EXPECT_EQ(first.asked.load(), 1);
    EXPECT_EQ(first.ended.load(), 1);
  });
}

TEST_P(RaceOnEvery, WithoutAStaggerAllStartTogether) {
  run([this]() -> coro<> {
    notes first, second, third;
    EXPECT_EQ(co_await first_success(noted(first, 3s, 1), noted(second, 1s, -2), noted(third, 2s, 3)), 3);
    EXPECT_EQ(clock().now(), 2s);
    EXPECT_EQ(first.asked.load(), 1);
    EXPECT_EQ(second.asked.load(), 0);
  });
}

TEST_P(RaceOnEvery, ACancelledCandidateIsNoSuccess) {
  run([]() -> coro<> {
    const auto gives_up = []() -> coro<int> {
      co_await this_task::yield();
      throw cancelled("no longer");
    };
    EXPECT_EQ(co_await first_success(gives_up(), value_after(1s, 2)), 2);
    std::vector<int> listed;
    try {
      static_cast<void>(co_await first_success(gives_up(), boom_after(1s, 2)));
    } catch (const exception_group& group) {
      listed = numbers_in(group);
    }
    EXPECT_EQ(listed, (std::vector<int>{-1, 2}));
  });
}

}  // namespace
}  // namespace sheaf
