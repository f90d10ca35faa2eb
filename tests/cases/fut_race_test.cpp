/// promise and future under contention: one outcome wins, every waiter is woken once, every payload is destroyed once.
#include <sheaf/future.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <sheaf/runtime.hpp>

#include "support/children.hpp"
#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using test::boom;
using test::drop_counter;
using test::join;
using test::racing_threads;

SHEAF_ON_NATIVE_POOLS(FutOnPools);

constexpr int k_rounds = 300;

coro<int> read(future<drop_counter::payload> from) {
  const drop_counter::payload& value = co_await from;
  co_return value.value();
}

TEST_P(FutOnPools, Fut02_OfSeveralSettersOneWins) {
  drop_counter drops;
  for (int round = 0; round < k_rounds; ++round) {
    promise<drop_counter::payload> contested;
    const auto seen = contested.get_future();
    const task<int> reader = rt().spawn(read, seen);
    std::atomic<int> winners{0};
    {
      racing_threads setters;
      setters.add([&] { winners += contested.try_set_value(drops.make(1)) ? 1 : 0; });
      setters.add([&] {
        try {
          contested.set_exception(boom(2));
          winners += 1;
        } catch (const invalid_state&) {
        }
      });
      setters.add([&] { winners += seen.cancel() ? 1 : 0; });
      setters.go();
    }
    EXPECT_EQ(winners.load(), 1);
    run(join(reader));
    switch (seen.status()) {
      case task_status::succeeded:
        EXPECT_EQ(reader.get(), 1);
        break;
      case task_status::failed:
        EXPECT_THROW(static_cast<void>(reader.get()), boom);
        break;
      default:
        EXPECT_TRUE(reader.cancelled());
    }
  }
  EXPECT_EQ(drops.alive(), 0);
}

TEST_P(FutOnPools, ASetAgainstTheCancelOfAWaiter) {
  drop_counter drops;
  for (int round = 0; round < k_rounds; ++round) {
    promise<drop_counter::payload> pending;
    const auto seen = pending.get_future();
    const task<int> leaves = rt().spawn(read, seen), stays = rt().spawn(read, seen);
    {
      racing_threads both;
      both.add([&] { pending.set_value(drops.make(round)); });
      both.add([&] { leaves.cancel(); });
      both.go();
    }
    EXPECT_EQ(stays.get(), round);
    run(join(leaves));
    if (!leaves.cancelled()) EXPECT_EQ(leaves.get(), round);
    EXPECT_EQ(seen.result().value(), round);
  }
  EXPECT_EQ(drops.alive(), 0);
}

/// The waiter ends the promise's life as soon as it sees the outcome, while the setter is still on its way out.
TEST_P(FutOnPools, WhoIsWokenMayDestroyThePromise) {
  drop_counter drops;
  const auto held = clock().hold();
  for (int round = 0; round < k_rounds; ++round) {
    auto pending = std::make_unique<promise<drop_counter::payload>>();
    auto only = pending->get_future();
    racing_threads setter;
    setter.add([&drops, to = pending.get()] { to->set_value(drops.make(1)); });
    setter.go();
    const auto takes = [](future<drop_counter::payload> from,
                          std::unique_ptr<promise<drop_counter::payload>> keeps) -> coro<int> {
      const drop_counter::payload value = co_await std::move(from);
      keeps.reset();
      co_return value.value();
    };
    EXPECT_EQ(run(takes(std::move(only), std::move(pending))), 1);
  }
  EXPECT_EQ(drops.alive(), 0);
}

TEST_P(FutOnPools, Fut16_ADropAgainstWaitersAndTheLastHandle) {
  for (int round = 0; round < k_rounds; ++round) {
    std::optional<promise<drop_counter::payload>> dropped(std::in_place);
    std::optional<future<drop_counter::payload>> held = dropped->get_future();
    const task<int> reader = rt().spawn(read, *held);
    {
      racing_threads both;
      both.add([&] { dropped.reset(); });
      both.add([&] { held.reset(); });
      both.go();
    }
    EXPECT_THROW(static_cast<void>(reader.get()), broken_promise);
  }
}

}  // namespace
}  // namespace sheaf
