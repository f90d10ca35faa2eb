/// Combinators when there is no memory: nothing is lost. Replaces the global allocation functions of its program, with the same
/// behaviour unless a test asks for failures. Empty where they cannot be replaced.
#include "support/replaced_new.hpp"

#ifndef SHEAF_TEST_FIXED_ALLOCATION

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <functional>
#include <new>
#include <utility>
#include <vector>

#include <sheaf/as_completed.hpp>
#include <sheaf/barrier.hpp>
#include <sheaf/condition.hpp>
#include <sheaf/event.hpp>
#include <sheaf/mutex.hpp>
#include <sheaf/semaphore.hpp>
#include <sheaf/task_group.hpp>
#include <sheaf/this_task.hpp>
#include <sheaf/wait.hpp>

#include "support/children.hpp"
#include "support/gate.hpp"
#include "support/groups.hpp"
#include "support/run_test.hpp"
#include "support/until.hpp"

namespace {
/// This thread's allocations until one fails; negative: none does.
thread_local long allowed = -1;
}  // namespace

void* sheaf::test::take_memory(std::size_t size, form) noexcept {
  if (allowed >= 0 && allowed-- == 0) return nullptr;
  return std::malloc(size != 0 ? size : 1);
}

namespace sheaf {
namespace {

using test::gate;
using test::until_complete;
using test::value_at;
using tasks = std::vector<task<int>>;

/// Lets one of this thread's allocations fail, after `before` good ones. Not over a suspension.
class one_failure {
 public:
  explicit one_failure(long before) { allowed = before; }
  ~one_failure() { allowed = -1; }
  [[nodiscard]] static bool happened() noexcept { return allowed < 0; }
};

/// Polls the set with one failing allocation after the other, until one poll goes through.
coro<int> failing_polls(task_set<int>& pending, const tasks& done, std::size_t left) {
  int failures = 0;
  const std::size_t whole = pending.size();
  for (bool through = false; !through; ++failures) {
    tasks taken;
    {
      const one_failure here(failures);  // a poll does not suspend
      try {
        taken = co_await wait(pending, {.timeout = std::chrono::seconds(0)});
        through = true;
      } catch (const std::bad_alloc&) {
      }
    }
    EXPECT_EQ(pending.size(), through ? left : whole);
    if (through) EXPECT_EQ(taken, done);
  }
  co_return failures - 1;
}

TEST(WaitWithoutMemory, ASetThatCannotGiveItsTasksKeepsThem) {
  test::run_test(
      []() -> coro<> {
        const gate first, second;
        const tasks given{spawn(value_at(first, 1)), spawn(value_at(second, 2)), spawn(value_at(first, 3))};
        task_set<int> pending(given);
        first.open();
        co_await until_complete(given[0]);
        co_await until_complete(given[2]);
        const tasks ended{given[0], given[2]};
        const int failures = co_await failing_polls(pending, ended, 1);
        EXPECT_GT(failures, 0);
        second.open();
        const tasks rest = co_await wait(pending);
        EXPECT_EQ(rest, tasks{given[1]});
      },
      1);
}

TEST(AsCompletedWithoutMemory, AStreamThatCannotListItsTasksKeepsThem) {
  test::run_test(
      []() -> coro<> {
        const gate open;
        const tasks given{spawn(value_at(open, 1)), spawn(value_at(open, 2)), spawn(value_at(open, 3))};
        auto stream = as_completed(given);
        int failures = 0;
        for (bool listed = false; !listed; ++failures) {
          tasks left;
          {
            const one_failure here(failures);
            try {
              left = stream.unfinished();
              listed = true;
            } catch (const std::bad_alloc&) {
            }
          }
          if (listed) EXPECT_EQ(left, given);
        }
        EXPECT_GT(failures, 1);
        open.open();
        for (int i = 0; i < 3; ++i) {
          const auto next = co_await stream.next();
          EXPECT_TRUE(next.has_value());
        }
      },
      1);
}

/// A child fails, the parent is cancelled, and there is no memory to report the failure: the cancel is not lost with it.
TEST(GroupWithoutMemory, ACancelThatMeetsAnUnreportableFailureIsDeliveredAfterTheGroup) {
  bool reported = false;
  for (long before = 0; !reported; ++before) {
    bool out_of_memory = false, hit_again = false;
    test::run_test(
        [&]() -> coro<> {
          const gate never;
          const auto body = [&](task_group& group) -> coro<> {
            group.spawn(spawn_options{.eager = true}, []() -> coro<> {
              throw test::boom(1);
              co_return;
            });
            try {
              co_await never;
            } catch (const cancelled&) {
              this_task::handle().cancel();
            }
            co_await this_task::yield();  // a second delivery: the request from outside is seen
          };
          const task<> parent = spawn([&]() -> coro<> {
            try {
              const auto limited = [&](task_group& group) -> coro<> {
                try {
                  co_await body(group);
                } catch (...) {
                  allowed = before;
                  throw;
                }
              };
              co_await with_task_group(limited);
            } catch (const exception_group&) {
              allowed = -1;
              reported = true;
            } catch (const std::bad_alloc&) {
              allowed = -1;
              out_of_memory = true;
            }
            hit_again = co_await test::cancelled_at_the_next_suspension();
          });
          co_await until_complete(parent);
        },
        1);
    EXPECT_NE(reported, out_of_memory) << before;
    EXPECT_TRUE(hit_again) << before;
  }
}

/// Two tasks on one worker meet at every primitive, in turns; who comes first waits for the other.
struct meeting_places {
  mutex door;
  condition changed{door};
  event pulse;
  semaphore seat{1};
  barrier both{2};
  int arrivals = 0;
  bool first() { return ++arrivals % 2 == 1; }
};
coro<> meet_everywhere(meeting_places& places, gate start) {
  co_await start;
  for (int round = 0; round < 300; ++round) {
    {
      const permit taken = co_await places.seat.acquire();
      co_await this_task::yield();
    }
    {
      guard held = co_await places.door.scoped_lock();
      co_await this_task::yield();
      if (places.first()) {
        co_await places.changed.wait(held);
      } else {
        places.changed.notify();
      }
    }
    co_await places.both.wait();
    if (places.first()) {
      co_await places.pulse.wait();
    } else {
      places.pulse.set();
      places.pulse.clear();
    }
    co_await places.both.wait();
  }
}

TEST(SynchronisationWithoutMemory, NoWaitAllocates) {
  meeting_places places;
  test::run_test(
      [&]() -> coro<> {
        const gate start;
        const task<> one = spawn(meet_everywhere, std::ref(places), start);
        co_await test::until_parked(one);
        const task<> other = spawn(meet_everywhere, std::ref(places), start);
        co_await test::until_parked(other);
        start.open();
        allowed = 0;  // there is one worker
        co_await one;
        co_await other;
        EXPECT_EQ(std::exchange(allowed, -1), 0);
      },
      1);
  EXPECT_EQ(places.arrivals, 4 * 300);
}

}  // namespace
}  // namespace sheaf

#endif
