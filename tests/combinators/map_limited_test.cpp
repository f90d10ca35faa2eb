/// map_limited: a function over many elements, so many at a time.
#include <sheaf/map_limited.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <iterator>
#include <memory>
#include <numeric>
#include <ranges>
#include <sstream>
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
SHEAF_ON_NATIVE_POOLS(MapLimitedOnPools);

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

/// Numbers that can be read once; counts how many have been. As with std::views::istream, begin() reads the first one, `++` the next.
class single_pass {
 public:
  single_pass(int count, std::atomic<int>& read) : count_(count), read_(&read) {}
  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    explicit iterator(const single_pass& of) : of_(&of), element_(of.read_->fetch_add(1)) {}
    iterator(iterator&&) noexcept = default;
    iterator& operator=(iterator&&) noexcept = default;
    int operator*() const { return element_; }
    iterator& operator++() {
      element_ = of_->read_->fetch_add(1);
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return element_ == of_->count_; }

   private:
    const single_pass* of_;
    int element_;
  };
  [[nodiscard]] iterator begin() const { return iterator(*this); }
  [[nodiscard]] std::default_sentinel_t end() const { return {}; }

 private:
  int count_;
  std::atomic<int>* read_;
};
static_assert(std::input_iterator<single_pass::iterator> && !std::copyable<single_pass::iterator>);

TEST_P(MapLimitedOnEvery, ASinglePassRangeIsReadAsRoomComesFree) {
  run([]() -> coro<> {
    constexpr int k_limit = 4, k_all = 20;
    std::atomic<int> read{0}, begun{0};
    const std::vector<gate> ends(k_all);
    const auto waits = [&begun, &ends](int element) -> coro<int> {
      begun.fetch_add(1);
      co_await ends.at(static_cast<std::size_t>(element));
      co_return element;
    };
    const task<std::vector<int>> mapped = map_limited(k_limit, single_pass(k_all, read), waits);
    for (int ended = 0; ended + k_limit <= k_all; ++ended) {
      const auto full = [&] { return begun.load() == ended + k_limit; };
      co_await test::until(full);
      co_await until_parked(mapped);
      EXPECT_EQ(read.load(), ended + k_limit);
      ends.at(static_cast<std::size_t>(ended)).open();
    }
    for (const gate& each : ends) each.open();
    EXPECT_EQ(co_await mapped, numbers(k_all));
  });
}

TEST_P(MapLimitedOnEvery, AStreamOfTheStandardLibrary) {
  run([]() -> coro<> {
    std::istringstream text("1 2 3 4 5");
    const auto twice = [](int element) { return 2 * element; };
    const std::vector<int> doubled = co_await map_limited(2, std::ranges::istream_view<int>(text), twice);
    EXPECT_EQ(doubled, (std::vector<int>{2, 4, 6, 8, 10}));
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

/// A range that takes its time to read an element, on the thread of the map.
TEST_P(MapLimitedOnPools, AFailureIsSeenAlsoWhenItComesWhileARangeIsRead) {
  run([]() -> coro<> {
    std::atomic<int> begun{0};
    const auto fails = [&begun](int) -> int {
      begun.fetch_add(1);
      throw boom(1);
    };
    const auto slowly = [](int element) {
      sleep_for(1s).get();
      return element;
    };
    EXPECT_THROW(static_cast<void>(co_await map_limited(10, std::views::transform(numbers(5), slowly), fails)), boom);
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
