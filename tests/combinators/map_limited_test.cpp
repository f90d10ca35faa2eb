/// map_limited: a function over many elements, so many at a time.
#include <sheaf/map_limited.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <sheaf/sleep.hpp>
#include <sheaf/this_task.hpp>

#include "support/children.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::boom;
using test::gate;
using test::until_complete;
using test::until_parked;

SHEAF_ON_EVERY_FLAVOUR(MapLimitedOnEvery);

std::vector<int> numbers(int count) {
  std::vector<int> all(static_cast<std::size_t>(count));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

/// How many calls are in progress, and how many were at most.
struct meter {
  std::atomic<int> now{0}, most{0}, begun{0}, ended{0}, asked{0};
  void enter() {
    begun.fetch_add(1);
    const int count = now.fetch_add(1) + 1;
    int seen = most.load();
    while (count > seen && !most.compare_exchange_weak(seen, count)) {
    }
  }
  void leave() {
    now.fetch_sub(1);
    ended.fetch_add(1);
  }
};

auto timed(meter& calls) {
  return [&calls](int element) -> coro<int> {
    calls.enter();
    try {
      co_await sleep_for(1s);
    } catch (const cancelled&) {
      calls.asked.fetch_add(1);
      calls.leave();
      throw;
    }
    calls.leave();
    co_return element* element;
  };
}

/// PROGRAM-49, PROGRAM-68 in small: ten of a second, three at a time, take four.
TEST_P(MapLimitedOnEvery, AtMostSoManyAreInProgressAndResultsComeInOrder) {
  run([this]() -> coro<> {
    meter calls;
    const auto function = timed(calls);
    const std::vector<int> squares = co_await map_limited(3, numbers(10), function);
    EXPECT_EQ(squares, (std::vector<int>{0, 1, 4, 9, 16, 25, 36, 49, 64, 81}));
    EXPECT_EQ(calls.most.load(), 3);
    EXPECT_EQ(clock().now(), 4s);
    EXPECT_EQ((co_await map_limited(1000, numbers(10), function)).size(), 10U);
    EXPECT_EQ(clock().now(), 5s);
    EXPECT_TRUE((co_await map_limited(3, numbers(0), function)).empty());
  });
}

TEST_P(MapLimitedOnEvery, CallablesAndResultsOfEveryKind) {
  run([]() -> coro<> {
    const auto boxed = [](int element) { return std::make_unique<int>(element); };
    const std::vector<std::unique_ptr<int>> boxes = co_await map_limited(2, numbers(3), boxed);
    EXPECT_EQ(*boxes.at(2), 2);
    const auto nothing = [](int) {};
    const std::vector<std::monostate> none = co_await map_limited(2, numbers(3), nothing);
    EXPECT_EQ(none.size(), 3U);
    const std::vector<std::string> words{"a", "bb", "ccc"};
    const auto length = [](const std::string& word) { return word.size(); };
    const std::vector<std::size_t> lengths = co_await map_limited(2, words, length);
    EXPECT_EQ(lengths, (std::vector<std::size_t>{1, 2, 3}));
    EXPECT_EQ(words.size(), 3U);
  });
}

TEST_P(MapLimitedOnEvery, TheSourceIsReadAsRoomComesFree) {
  run([]() -> coro<> {
    const gate open;
    std::atomic<int> read{0};
    const auto source = [](std::atomic<int>& read) -> stream<int> {
      for (int i = 0; i < 100; ++i) {
        read.fetch_add(1);
        co_yield i;
      }
    };
    const auto waits = [open](int element) -> coro<int> {
      co_await open;
      co_return element;
    };
    const task<std::vector<int>> mapped = map_limited(4, source(read), waits);
    co_await until_parked(mapped);
    EXPECT_EQ(read.load(), 4);
    open.open();
    EXPECT_EQ(co_await mapped, numbers(100));
    EXPECT_EQ(read.load(), 100);
  });
}

TEST_P(MapLimitedOnEvery, TheFirstFailureEndsItWhatRunsGoesOn) {
  test::unobserved_errors errors;
  start(errors.options());
  std::atomic<int> begun{0}, finished{0};
  run([&]() -> coro<> {
    const gate open;
    const auto function = [&, open](int element) -> coro<int> {
      begun.fetch_add(1);
      if (element == 2) throw boom(2);
      co_await open;
      finished.fetch_add(1);
      if (element == 1) throw boom(1);
      co_return element;
    };
    EXPECT_THROW(static_cast<void>(co_await map_limited(3, numbers(100), function)), boom);
    EXPECT_LE(begun.load(), 3);  // the others of the three may not have had a turn
    EXPECT_EQ(finished.load(), 0);
    open.open();
    while (runtime::current()->tasks().size() > 1) co_await this_task::yield();
  });
  EXPECT_EQ(begun.load(), 3);
  EXPECT_EQ(finished.load(), 2);
  EXPECT_EQ(errors.count(), 0);
}

TEST_P(MapLimitedOnEvery, CancelledItStopsWhatRunsAndWaits) {
  run([]() -> coro<> {
    meter calls;
    const gate never;
    const auto waits = [&calls, never](int) -> coro<int> {
      calls.enter();
      try {
        co_await never;
      } catch (const cancelled&) {
        calls.asked.fetch_add(1);
        calls.leave();
        throw;
      }
      co_return 0;
    };
    const task<std::vector<int>> mapped = map_limited(3, numbers(100), waits);
    co_await until_parked(mapped);
    const auto three_run = [&] { return calls.begun.load() == 3; };
    co_await test::until(three_run);
    mapped.cancel();
    co_await until_complete(mapped);
    EXPECT_TRUE(mapped.cancelled());
    EXPECT_EQ(calls.begun.load(), calls.ended.load());
    EXPECT_LE(calls.asked.load(), 3);
  });
}

/// What is read from the source may be gone when a call runs.
TEST_P(MapLimitedOnEvery, EachCallHasItsOwnElement) {
  run([]() -> coro<> {
    const auto lines = []() -> stream<const std::string&> {
      std::string buffer;
      for (const char* const word : {"first, and long enough to be on the heap", "second, and long enough to be on the heap"}) {
        buffer = word;
        co_yield buffer;
      }
    };
    const auto first_word = [](const std::string& line) -> coro<std::string> {
      co_await sleep_for(1s);
      co_return line.substr(0, line.find(','));
    };
    const std::vector<std::string> words = co_await map_limited(10, lines(), first_word);
    EXPECT_EQ(words, (std::vector<std::string>{"first", "second"}));
    const auto fails_then_reads = [](bool element) -> int {
      if (element) throw boom(1);
      return 0;
    };
    std::vector<bool> bits(200, false);
    bits.at(0) = true;
    EXPECT_THROW(static_cast<void>(co_await map_limited(200, std::move(bits), fails_then_reads)), boom);
    while (runtime::current()->tasks().size() > 1) co_await this_task::yield();
  });
}

TEST_P(MapLimitedOnEvery, AResultThatCannotBeTakenIsAnError) {
  run([]() -> coro<> {
    std::atomic<int> calls{0};
    any_task kept;
    const auto keeps_its_handle = [&](int element) {
      if (calls.fetch_add(1) == 1) kept = this_task::handle();
      return std::make_unique<int>(element);
    };
    EXPECT_THROW(static_cast<void>(co_await map_limited(1, numbers(3), keeps_its_handle)), invalid_state);
  });
}

TEST_P(MapLimitedOnEvery, ASourceThatTurnsTheRequestIntoAnErrorDoesNotHideIt) {
  run([]() -> coro<> {
    std::atomic<int> ended{0};
    const gate never, two_run;
    const auto source = [](gate never) -> stream<int> {
      co_yield 1;
      co_yield 2;
      try {
        co_await never;
      } catch (const cancelled&) {
        throw boom(3);
      }
    };
    const auto waits = [&ended, never](int) -> coro<int> {
      try {
        co_await never;
      } catch (const cancelled&) {
        ended.fetch_add(1);
        throw;
      }
      co_return 0;
    };
    const task<std::vector<int>> mapped = map_limited(10, source(never), waits);
    const auto all_wait = [&] { return never.parked() == 3; };
    co_await test::until(all_wait);
    mapped.cancel();
    co_await until_complete(mapped);
    EXPECT_EQ(test::boom_number(mapped.exception()), 3);
    EXPECT_EQ(ended.load(), 2);
  });
}

TEST_P(MapLimitedOnEvery, AFailureIsSeenBeforeTheNextElementIsUsed) {
  run([]() -> coro<> {
    std::atomic<int> begun{0};
    const auto slowly = []() -> stream<int> {
      for (int i = 0;; ++i) {
        co_yield i;
        co_await sleep_for(1s);
      }
    };
    const auto fails = [&begun](int) -> int {
      begun.fetch_add(1);
      throw boom(1);
    };
    EXPECT_THROW(static_cast<void>(co_await map_limited(10, slowly(), fails)), boom);
    EXPECT_EQ(begun.load(), 1);
  });
}

TEST_P(MapLimitedOnEvery, ALimitOfZeroIsRefused) {
  run([]() -> coro<> {
    const auto function = [](int element) { return element; };
    EXPECT_THROW(static_cast<void>(map_limited(0, numbers(1), function)), std::invalid_argument);
    co_return;
  });
}

}  // namespace
}  // namespace sheaf
