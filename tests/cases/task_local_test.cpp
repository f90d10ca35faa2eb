/// task_local: who inherits which value, and when values go.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <sheaf/sheaf.hpp>

#include "support/drop_counter.hpp"
#include "support/flavour.hpp"
#include "support/gate.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::drop_counter;
using test::gate;

SHEAF_ON_EVERY_FLAVOUR(TaskLocalOnEvery);

const task_local<std::string> user("nobody");
const task_local<int> depth;

coro<std::string> user_here() { co_return user.get(); }

TEST_P(TaskLocalOnEvery, WithoutAValueThereIsTheDefaultOrAnError) {
  EXPECT_EQ(user.get(), "nobody");
  EXPECT_TRUE(user.has_value());
  EXPECT_FALSE(depth.has_value());
  EXPECT_THROW(static_cast<void>(depth.get()), invalid_state);
  EXPECT_THROW(depth.set(1), invalid_state);
  EXPECT_THROW(depth.reset(), invalid_state);
  EXPECT_THROW(static_cast<void>(depth.bind(1)), invalid_state);
  run([]() -> coro<> {
    EXPECT_EQ(user.get(), "nobody");
    EXPECT_THROW(static_cast<void>(depth.get()), invalid_state);
    depth.set(1);
    EXPECT_EQ(depth.get(), 1);
    depth.reset();
    EXPECT_FALSE(depth.has_value());
    depth.reset();
    co_return;
  });
}

/// A child has what its creator has at that moment; what either sets afterwards stays with it.
TEST_P(TaskLocalOnEvery, Task31_AChildInheritsASnapshot) {
  run([]() -> coro<> {
    user.set("ann");
    const gate changed;
    const auto reads_twice = [](gate changed) -> coro<std::string> {
      const std::string first = user.get();
      co_await changed;
      const std::string second = user.get();
      user.set("child");
      co_return first + second + user.get();
    };
    const task<std::string> child = spawn(reads_twice, changed);
    user.set("bob");
    changed.open();
    EXPECT_EQ(co_await child, "annannchild");
    EXPECT_EQ(user.get(), "bob");
    EXPECT_EQ(co_await user_here(), "bob");  // awaited, not started: the same task
    const auto sets = []() -> coro<> {
      user.set("eve");
      co_return;
    };
    co_await sets();
    EXPECT_EQ(user.get(), "eve");
  });
}

/// However a child is started.
TEST_P(TaskLocalOnEvery, Task31_EveryKindOfChildInherits) {
  run([]() -> coro<> {
    user.set("ann");
    EXPECT_EQ(co_await spawn([] { return user.get(); }), "ann");
    const spawn_options eager{.eager = true};
    EXPECT_EQ(co_await spawn(eager, user_here), "ann");
    const auto [first, second] = co_await gather(user_here(), [] { return user.get(); });
    EXPECT_EQ(first + second, "annann");
    const auto [third, fourth] = co_await when_all(user_here(), user_here());
    EXPECT_EQ(third + fourth, "annann");
    EXPECT_EQ(co_await race(user_here(), user_here()), "ann");
    EXPECT_EQ(co_await shield(user_here()), "ann");
    EXPECT_EQ(co_await wait_for(user_here(), 1h), "ann");
    const auto body = [](timeout_scope&) -> coro<std::string> { co_return user.get(); };
    EXPECT_EQ(co_await with_timeout(1h, body), "ann");
    const auto suffixed = [](int i) { return user.get() + std::to_string(i); };
    const std::vector<int> numbers{1, 2};
    EXPECT_EQ((co_await map_limited(1, numbers, suffixed)).at(1), "ann2");
    std::vector<coro<std::string>> work;
    work.push_back(user_here());
    auto stream = as_completed(std::move(work));
    auto ended = co_await stream.next();
    EXPECT_EQ(ended->result(), "ann");
  });
}

TEST_P(TaskLocalOnEvery, Tg25_AGroupsChildKeepsItsChangesToItself) {
  run([]() -> coro<> {
    user.set("ann");
    const auto renames = []() -> coro<std::string> {
      const std::string before = user.get();
      user.set("child");
      co_await this_task::yield();
      co_return before + user.get();
    };
    const auto body = [renames](task_group& group) -> coro<> {
      const task<std::string> child = group.spawn(renames);
      EXPECT_EQ(co_await child, "annchild");
      EXPECT_EQ(user.get(), "ann");
    };
    co_await with_task_group(body);
    EXPECT_EQ(user.get(), "ann");
  });
}

TEST_P(TaskLocalOnEvery, Thread05_ABlockingCallSeesItsCallersValues) {
  run([]() -> coro<> {
    user.set("ann");
    const auto renames = [] {
      const std::string before = user.get();
      user.set("thread");
      return before + user.get();
    };
    EXPECT_EQ(co_await spawn_blocking(renames), "annthread");
    EXPECT_EQ(co_await spawn_blocking(abandon, renames), "annthread");
    EXPECT_EQ(user.get(), "ann");
  });
}

/// A callback has the values of whoever registered it, and cannot change the task's.
TEST_P(TaskLocalOnEvery, Task31_ACallbackHasValuesOfItsOwn) {
  run([]() -> coro<> {
    const gate open;
    std::string seen;
    const auto waits = [](gate open) -> coro<std::string> {
      user.set("target");
      co_await open;
      co_return user.get();
    };
    user.set("ann");
    const task<std::string> target = spawn(waits, open);
    target.on_done([&seen] {
      seen = user.get();
      user.set("callback");
    });
    open.open();
    while (runtime::current()->tasks().size() > 1) co_await this_task::yield();
    EXPECT_EQ(seen, "ann");
    EXPECT_EQ(target.result(), "target");
    EXPECT_EQ(user.get(), "ann");
  });
}

TEST_P(TaskLocalOnEvery, Task31_AHundredTasksEachSeeOnlyTheirOwn) {
  run([]() -> coro<> {
    const gate all_set;
    std::atomic<int> count{0};
    const auto own = [](int i, gate all_set, std::atomic<int>& count) -> coro<int> {
      depth.set(i);
      user.set(std::to_string(i));
      if (count.fetch_add(1) == 99) all_set.open();
      co_await all_set;
      co_return user.get() == std::to_string(i) ? depth.get() : -1;
    };
    std::vector<task<int>> all;
    for (int i = 0; i < 100; ++i) all.push_back(spawn(own, i, all_set, std::ref(count)));
    for (int i = 0; i < 100; ++i) {
      const task<int> each = all[static_cast<std::size_t>(i)];
      EXPECT_EQ(co_await each, i);
    }
    EXPECT_FALSE(depth.has_value());
  });
}

coro<int> sum_of_depths(int levels) {
  const int here = depth.get();
  if (levels == 0) co_return here;
  depth.set(here + 1);
  const auto [left, right] = co_await when_all(sum_of_depths(levels - 1), sum_of_depths(levels - 1));
  co_return here + left + right;
}

/// Children of when_all read their parent's table until they set a value; so do theirs.
TEST_P(TaskLocalOnEvery, ForksInheritThroughEveryLevel) {
  run([]() -> coro<> {
    depth.set(1);
    EXPECT_EQ(co_await sum_of_depths(6), 769);  // level k has 2^k tasks that see k + 1
    EXPECT_EQ(depth.get(), 2);                  // it ran in this task, down to its fork
    const auto spawns = []() -> coro<int> {
      const auto reads = [] { return depth.get(); };
      co_return co_await spawn(reads);
    };
    const auto [first, second] = co_await when_all(spawns(), spawns());
    EXPECT_EQ(first + second, 4);
  });
}

TEST_P(TaskLocalOnEvery, ABindingHoldsForItsScope) {
  run([]() -> coro<> {
    {
      const auto outer = user.bind("ann");
      EXPECT_EQ(user.get(), "ann");
      {
        const auto inner = user.bind("bob");
        depth.set(3);
        co_await this_task::yield();
        EXPECT_EQ(co_await spawn(user_here), "bob");
      }
      EXPECT_EQ(user.get(), "ann");
      EXPECT_EQ(depth.get(), 3);
    }
    EXPECT_EQ(user.get(), "nobody");
  });
}

/// Values are shared by those that inherited them, and go with the last of these, before its outcome is seen; the variable may be gone.
TEST_P(TaskLocalOnEvery, ValuesGoWithTheLastTaskThatHasThem) {
  drop_counter drops;
  run([&drops]() -> coro<> {
    const gate leave;
    task<int> child;
    const auto waits = [](gate leave) -> coro<int> {
      co_await leave;
      co_return 1;
    };
    {
      std::optional<task_local<drop_counter::payload>> held(std::in_place);
      held->set(drops.make());
      child = spawn(waits, leave);
      held->reset();
      EXPECT_EQ(drops.alive(), 1);
      held->set(drops.make());
      held.reset();
    }
    const task_local<int> another;  // has none of those values, wherever it lies
    EXPECT_FALSE(another.has_value());
    leave.open();
    EXPECT_EQ(co_await child, 1);
    EXPECT_EQ(drops.drops(), 1);
  });
  EXPECT_EQ(drops.drops(), 2);
}

/// What is never run drops what it has inherited, too.
TEST_P(TaskLocalOnEvery, AnUnrunTaskDropsWhatItInherited) {
  drop_counter drops;
  run([&drops]() -> coro<> {
    const task_local<drop_counter::payload> held;
    held.set(drops.make());
    const task<std::string> child = spawn(user_here);
    child.cancel();
    held.reset();
    co_await test::until_complete(child);
    EXPECT_EQ(drops.alive(), 0);
  });
}

/// What runs within a request is nobody's step: it neither sees nor changes the values of the task that passes the request on.
TEST_P(TaskLocalOnEvery, ACancelCallbackSeesNoTasksValues) {
  run([]() -> coro<> {
    std::atomic<int> calls{0};
    const gate never, registered;
    const auto listens = [&calls, never, registered]() -> coro<> {
      const auto heard = this_task::token().on_cancel([&calls] {
        EXPECT_FALSE(depth.has_value());
        EXPECT_THROW(depth.set(2), invalid_state);
        calls.fetch_add(1);
      });
      registered.open();
      co_await never;
    };
    const auto parent = [listens]() -> coro<> {
      const auto bound = depth.bind(1);
      co_await when_all(listens(), listens());
    };
    const task<> cancelled_parked = spawn(parent);
    co_await registered;
    co_await test::until_parked(cancelled_parked);
    cancelled_parked.cancel();
    co_await test::until_complete(cancelled_parked);
    EXPECT_EQ(calls.load() > 0, true);
    const auto fails = [registered]() -> coro<> {
      co_await registered;
      throw std::runtime_error("no");
    };
    const auto failing = [listens, fails]() -> coro<> {
      const auto bound = depth.bind(1);
      co_await when_all(listens(), fails());
    };
    EXPECT_THROW(co_await spawn(failing), std::runtime_error);
  });
}

/// Its task's address may be another one's by then.
TEST_P(TaskLocalOnEvery, ABindingThatOutlivesItsTaskTouchesNobodyElse) {
  run([]() -> coro<> {
    std::unique_ptr<local_binding<int>> kept;
    const auto binds = [&kept]() -> coro<> {
      struct made {
        operator local_binding<int>() const { return depth.bind(1); }  // NOLINT(google-explicit-constructor)
      };
      kept = std::make_unique<local_binding<int>>(made());
      co_return;
    };
    const auto drops = [&kept]() -> coro<int> {
      depth.set(7);
      kept.reset();
      co_return depth.has_value() ? depth.get() : 0;
    };
    for (int round = 0; round < 20; ++round) {
      co_await spawn(binds);
      EXPECT_EQ(co_await spawn(drops), 7);
    }
  });
}

/// A value that sets another one in its destructor: that one too goes with the task's work.
TEST_P(TaskLocalOnEvery, AValueSetWhileValuesGoDoesNotStay) {
  drop_counter drops;
  run([&drops]() -> coro<> {
    static const task_local<std::shared_ptr<drop_counter::payload>> second;
    struct sets_at_end {
      drop_counter* counter;
      ~sets_at_end() { second.set(std::make_shared<drop_counter::payload>(counter->make())); }
    };
    const task_local<std::shared_ptr<sets_at_end>> first;
    const auto job = [&first, &drops]() -> coro<> {
      auto value = std::make_shared<sets_at_end>(&drops);
      first.set(std::move(value));
      co_return;
    };
    const task<> done = spawn(job);
    co_await test::until_complete(done);
    EXPECT_EQ(drops.drops(), 1);
    EXPECT_EQ(drops.alive(), 0);
  });
}

}  // namespace
}  // namespace sheaf
