/// Streams of completions that several consumers share, and that completing threads race with.
#include <sheaf/as_completed.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <vector>

#include "runtime_core.hpp"
#include "support/children.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::gate;
using test::until_complete;
using test::until_parked;
using test::value_at;

SHEAF_ON_EVERY_FLAVOUR(StreamOnEvery);
SHEAF_ON_NATIVE_POOLS(StreamOnPools);

coro<std::optional<task<int>>> next_of(completion_stream<int>& stream) { co_return co_await stream.next(); }

TEST_P(StreamOnEvery, ConsumersAreServedInTheOrderInWhichTheyCame) {
  run([]() -> coro<> {
    std::vector<gate> gates(4);
    std::vector<task<int>> given;
    for (int i = 0; i < 4; ++i) given.push_back(spawn(value_at(gates[static_cast<std::size_t>(i)], i)));
    auto stream = as_completed(given);
    std::vector<task<std::optional<task<int>>>> consumers;
    for (int i = 0; i < 4; ++i) {
      consumers.push_back(spawn(next_of(stream)));
      co_await until_parked(consumers.back());
    }
    for (std::size_t i = 0; i < 4; ++i) {
      gates[3 - i].open();
      co_await until_complete(consumers[i]);
      EXPECT_EQ(consumers[i].result(), given[3 - i]);
      for (std::size_t later = i + 1; later < 4; ++later) EXPECT_FALSE(consumers[later].done());
    }
  });
}

TEST_P(StreamOnEvery, MoreConsumersThanItemsGetTheEnd) {
  run([]() -> coro<> {
    const gate open;
    const std::vector<task<int>> given{spawn(value_at(open, 1))};
    auto stream = as_completed(given);
    std::vector<task<std::optional<task<int>>>> consumers;
    for (int i = 0; i < 3; ++i) {
      consumers.push_back(spawn(next_of(stream)));
      co_await until_parked(consumers.back());
    }
    open.open();
    const auto& first = co_await consumers[0];
    EXPECT_EQ(first, given[0]);
    const auto& second = co_await consumers[1];
    EXPECT_FALSE(second.has_value());
    const auto& third = co_await consumers[2];
    EXPECT_FALSE(third.has_value());
  });
}

TEST_P(StreamOnEvery, AConsumerThatIsCancelledLeavesItsPlaceToTheNext) {
  run([]() -> coro<> {
    const gate open;
    const std::vector<task<int>> given{spawn(value_at(open, 1))};
    auto stream = as_completed(given);
    const auto first = spawn(next_of(stream));
    co_await until_parked(first);
    const auto second = spawn(next_of(stream));
    co_await until_parked(second);
    EXPECT_TRUE(first.cancel());
    co_await until_complete(first);
    EXPECT_TRUE(first.cancelled());
    open.open();
    const auto& item = co_await second;
    EXPECT_EQ(item, given[0]);
  });
}

/// The item is granted to the first consumer, which is cancelled before it resumes: the next one gets it.
TEST_P(StreamOnEvery, AnItemGrantedToACancelledConsumerGoesToTheNext) {
  run([]() -> coro<> {
    for (int round = 0; round < 50; ++round) {
      const gate open;
      std::optional<task<std::optional<task<int>>>> first;
      // Cancels the first consumer as its last act before it completes; which of the two that one sees first is open.
      const auto child = spawn(
          [](gate open, std::optional<task<std::optional<task<int>>>>& first) -> coro<int> {
            co_await open;
            first->cancel();
            co_return 1;
          },
          open, std::ref(first));
      const std::vector<task<int>> given{child};
      auto stream = as_completed(given);
      first.emplace(spawn(next_of(stream)));
      co_await until_parked(*first);
      const auto second = spawn(next_of(stream));
      co_await until_parked(second);
      open.open();
      co_await until_complete(*first);
      co_await until_complete(second);
      EXPECT_TRUE(first->cancelled());
      EXPECT_EQ(second.result(), child);
    }
  });
}

/// The last item is with a consumer that has not resumed yet. Until it has, the other one must not be told the end: the item may
/// come back. Here the second consumer cancels the first one as soon as it is told anything.
TEST_P(StreamOnEvery, TheEndIsToldOnlyWhenTheLastItemCannotComeBack) {
  run([]() -> coro<> {
    for (int round = 0; round < 50; ++round) {
      const gate open;
      const std::vector<task<int>> given{spawn(value_at(open, 1))};
      auto stream = as_completed(given);
      const auto first = spawn(next_of(stream));
      co_await until_parked(first);
      const auto second = spawn([&]() -> coro<std::optional<task<int>>> {
        auto told = co_await stream.next();
        first.cancel();
        co_return told;
      });
      co_await until_parked(second);
      open.open();
      co_await until_complete(first);
      co_await until_complete(second);
      const bool first_got_it = !first.cancelled() && first.result().has_value();
      EXPECT_NE(first_got_it, second.result().has_value());
    }
  });
}

TEST_P(StreamOnEvery, ItemsThatCameBackStandInInputOrderAgain) {
  run([]() -> coro<> {
    const gate open, never;
    std::vector<task<int>> given{spawn(value_at(never, 0)), spawn(value_at(open, 1)), spawn(value_at(never, 2))};
    auto stream = as_completed(given);
    const auto consumer = spawn(next_of(stream));
    co_await until_parked(consumer);
    const auto canceller = spawn([&]() -> coro<> {
      co_await given[1];  // registered after the consumer
      consumer.cancel();
    });
    co_await until_parked(canceller);
    open.open();
    co_await until_complete(consumer);
    co_await until_complete(canceller);
    if (consumer.cancelled()) {
      EXPECT_EQ(stream.unfinished(), given);
      const auto again = co_await stream.next();
      EXPECT_EQ(again, given[1]);
    } else {
      EXPECT_EQ(consumer.result(), given[1]);
    }
    EXPECT_EQ(stream.unfinished(), (std::vector<task<int>>{given[0], given[2]}));
    never.open();
    co_await until_complete(given[0]);
    co_await until_complete(given[2]);
  });
}

TEST_P(StreamOnEvery, OfSeveralConsumersOneIsToldOfTheTimeoutAndTheOthersOfTheEnd) {
  run([]() -> coro<> {
    const gate open;
    const std::vector<task<int>> given{spawn(value_at(open, 1)), spawn(value_at(open, 2))};
    auto stream = as_completed(given, 1s);
    std::vector<task<std::optional<task<int>>>> consumers;
    for (int i = 0; i < 4; ++i) consumers.push_back(spawn(next_of(stream)));
    int timeouts = 0, ends = 0;
    for (const auto& each : consumers) {
      co_await test::join(each);
      if (each.exception() != nullptr) {
        EXPECT_THROW(std::rethrow_exception(each.exception()), timeout_error);
        ++timeouts;
      } else {
        EXPECT_FALSE(each.result().has_value());
        ++ends;
      }
    }
    EXPECT_EQ(timeouts, 1);
    EXPECT_EQ(ends, 3);
    EXPECT_EQ(stream.unfinished(), given);
    open.open();
    for (const task<int>& each : given) co_await until_complete(each);
    const auto end = co_await stream.next();
    EXPECT_FALSE(end.has_value());
  });
}

// ---- races --------------------------------------------------------------------------------------------------------------------

TEST_P(StreamOnPools, Mt24_TenThousandCompletionsFromManyThreadsEachOnce) {
  static constexpr int k_children = 10'000;
  run([]() -> coro<> {
    std::vector<task<int>> given;
    given.reserve(k_children);
    const gate open;
    for (int i = 0; i < k_children; ++i) {
      if (i % 2 == 0) {
        given.push_back(spawn([i] { return i; }));
      } else {
        given.push_back(spawn(value_at(open, i)));
      }
    }
    auto stream = as_completed(given);
    std::vector<int> seen(k_children, 0);
    std::atomic<int> total{0};
    const auto consume = [](completion_stream<int>& stream, std::vector<int>& seen, std::atomic<int>& total) -> coro<> {
      while (auto next = co_await stream.next()) {
        ++seen[static_cast<std::size_t>(next->result())];
        total.fetch_add(1);
      }
    };
    std::vector<task<>> consumers;
    for (int i = 0; i < 3; ++i) consumers.push_back(spawn(consume(stream, seen, total)));
    open.open();
    for (const task<>& each : consumers) co_await each;
    EXPECT_EQ(total.load(), k_children);
    EXPECT_TRUE(std::ranges::all_of(seen, [](int times) { return times == 1; }));
  });
}

/// In some rounds one of the two has come for certain before the other begins. Whichever it was, no timer is left.
TEST_P(StreamOnPools, Mt25_TheLimitAgainstTheLastCompletion) {
  enum class first { race, item, limit };
  const auto held = clock().hold();
  rt();
  for (int round = 0; round < 120; ++round) {
    const first order = round % 4 == 0 ? first::item : round % 4 == 1 ? first::limit : first::race;
    const gate open;
    const task<int> child = rt().spawn(value_at(open, 1));
    const task<int> consumer = rt().spawn([&]() -> coro<int> {
      const std::vector<task<int>> given{child};
      auto stream = as_completed(given, 1s);
      int got = 0;
      try {
        const auto next = co_await stream.next();
        got = next->result();
      } catch (const timeout_error&) {
        EXPECT_EQ(stream.unfinished(), given);
      }
      const auto end = co_await stream.next();
      EXPECT_FALSE(end.has_value());
      co_return got;
    });
    const auto ended = [&] { return consumer.done(); };
    detail::timer_queue& timers = detail::task_access::core(child).runtime->timers();
    test::spin_until([&] { return test::is_parked(consumer) && open.parked() == 1; });
    EXPECT_TRUE(timers.next_deadline().has_value());
    if (order == first::item) {
      open.open();
      test::spin_until(ended);
    } else if (order == first::limit) {
      clock().advance(1s);
      test::spin_until(ended);
      open.open();
    } else {
      test::racing_threads race;
      race.add([open] { open.open(); });
      race.add([this] { clock().advance(1s); });
      race.go();
    }
    const bool got_item = consumer.get() == 1;
    if (order != first::race) EXPECT_EQ(got_item, order == first::item);
    EXPECT_FALSE(timers.next_deadline().has_value());
    child.get();
  }
}

TEST_P(StreamOnPools, Mt26_TheStreamGoesWhileChildrenComplete) {
  run([]() -> coro<> {
    for (int round = 0; round < 200; ++round) {
      const gate open;
      std::vector<task<int>> given;
      for (int i = 0; i < 8; ++i) given.push_back(spawn(value_at(open, i)));
      task<> opener;
      {
        auto stream = as_completed(given, 1h);
        opener = spawn([](const gate& at) { at.open(); }, open);
        if (round % 2 == 0) static_cast<void>(co_await stream.next());
      }
      for (const task<int>& each : given) co_await until_complete(each);
      co_await opener;
    }
  });
}

TEST_P(StreamOnPools, Mt19_WhatAChildWroteIsSeenWithItsItem) {
  run([]() -> coro<> {
    for (int round = 0; round < 100; ++round) {
      std::vector<int> written(8, 0);
      std::vector<task<int*>> given;
      for (int& each : written) {
        given.push_back(spawn(
            [](int& to) {
              to = 1;
              return &to;
            },
            std::ref(each)));
      }
      auto stream = as_completed(given);
      int sum = 0;
      while (auto done = co_await stream.next()) sum += *done->result();
      EXPECT_EQ(sum, 8);
    }
  });
}

TEST_P(StreamOnPools, ACancelAgainstTheGrantLosesNoItem) {
  int cancelled_ones = 0;
  for (int round = 0; round < 200; ++round) {
    const gate open;
    const std::vector<task<int>> given{rt().spawn(value_at(open, 1))};
    std::optional<completion_stream<int>> stream;
    run([&]() -> coro<> {
      stream.emplace(as_completed(given));
      co_return;
    });
    const auto first = rt().spawn(next_of(*stream));
    test::spin_until([&] { return test::is_parked(first) && open.parked() == 1; });
    const auto second = rt().spawn(next_of(*stream));
    test::spin_until([&] { return test::is_parked(second); });
    {
      test::racing_threads race;
      race.add([open] { open.open(); });
      race.add([first] { first.cancel(); });
      race.go();
    }
    const bool to_second = second.get().has_value();
    run(until_complete(first));
    const bool to_first = !first.cancelled() && first.result().has_value();
    EXPECT_NE(to_first, to_second);
    cancelled_ones += first.cancelled() ? 1 : 0;
  }
  RecordProperty("cancelled", cancelled_ones);
}

}  // namespace
}  // namespace sheaf
