/// A host's thread, and threads outside, when a runtime on a foreign executor is left behind: it goes with its executor, without them.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

#include <sheaf/clock.hpp>
#include <sheaf/event.hpp>
#include <sheaf/inline_executor.hpp>
#include <sheaf/runtime.hpp>
#include <sheaf/spawn.hpp>
#include <sheaf/tbb_executor.hpp>
#include <sheaf/this_task.hpp>

#include "runtime/left_behind.hpp"
#include "runtime_core.hpp"
#include "support/until.hpp"

namespace sheaf {
namespace {

using namespace std::chrono_literals;
using test::hung_call;
using test::impatient;
using test::in_a_process_of_its_own;

coro<> never_ends() {
  event never;
  for (;;) {
    try {
      co_await never.wait();
    } catch (const cancelled&) {
    }
  }
}

/// One task's wait runs the other on the stack of the host, which `goes_on` with its executor and runtime. The host does not come back.
template <class GoesOn>
void leave_a_host_behind(GoesOn goes_on) {
  auto& call = *new hung_call;
  std::atomic<runtime*> made{nullptr};
  std::atomic<int> inside{0};
  std::thread([&, goes_on] {
    auto& executor = *new inline_executor;
    made.store(new runtime(impatient({.executor = &executor})));
    const auto waits = [&inside]() -> coro<> {
      const auto begins = [&inside]() -> coro<> {
        ++inside;
        co_await never_ends();
      };
      begins().get();
      co_return;
    };
    auto hangs = call.waiter();
    (void)made.load()->spawn(borrowed(hangs()));
    while (!call.inside.is_open()) executor.poll();
    (void)made.load()->spawn(waits);
    const task<> last = made.load()->spawn(waits);
    goes_on(executor, last);
  }).detach();
  test::spin_until([&] { return inside.load() == 2; });
  delete made.load();
  call.let_go();
}

TEST(LeftBehindDeathTest, WithBothTasksOfAHostsStack) {
  in_a_process_of_its_own([] {
    leave_a_host_behind([](inline_executor& executor, const task<>&) {
      for (;;) executor.poll();
    });
  });
}

TEST(LeftBehindDeathTest, WithTheWaitOfTheHostBeneathThem) {
  in_a_process_of_its_own([] { leave_a_host_behind([](inline_executor&, const task<>& last) { last.get(); }); });
}

/// Its last look for work ended in something long, behind which more was queued.
TEST(LeftBehindDeathTest, WithAHostThatRunsWhatIsQueuedAllTheSame) {
  in_a_process_of_its_own([] {
    auto& call = *new hung_call;
    std::atomic<runtime*> made{nullptr};
    const test::gate busy, free;
    std::thread([&] {
      auto& executor = *new inline_executor;
      made.store(new runtime({.executor = &executor, .shutdown_limit = 100ms}));
      const auto waits = []() -> coro<> {
        never_ends().get();
        co_return;
      };
      const auto takes_long = [](const test::gate& busy, const test::gate& free) {
        busy.open();
        free.wait();
      };
      auto hangs = call.waiter();
      (void)made.load()->spawn(borrowed(hangs()));
      while (!call.inside.is_open()) executor.poll();
      (void)made.load()->spawn(waits);
      (void)made.load()->spawn(takes_long, busy, free);
      executor.poll();
    }).detach();
    busy.wait();
    const task<> queued = made.load()->spawn([] {});
    const detail::runtime_core& core = *detail::task_access::core(queued).runtime;
    std::thread ends([&] { delete made.load(); });
    test::spin_until([&] { return core.gone(); });
    free.open();
    ends.join();
    call.let_go();
  });
}

/// A worker that began a task of the other runtime at once: its place goes to a thread that runs what is queued there.
TEST(LeftBehindDeathTest, WithTheWorkerOfAPoolThatIsLeftBehindToo) {
  in_a_process_of_its_own([] {
    hung_call call_of_pool, call_of_tbb;
    tbb_executor executor(2);
    auto* const on_tbb = new runtime(impatient({.executor = &executor}));
    auto* const on_pool = new runtime(impatient({.workers = 1}));
    const test::gate inside, both_gone;
    const auto begins = [&](hung_call& call) { return [&call]() -> coro<> { co_await call.begin(call.inside); }; };
    const auto hangs_on_tbb = begins(call_of_tbb), hangs_on_pool = begins(call_of_pool);
    const task<> of_tbb = on_tbb->spawn(hangs_on_tbb), of_pool = on_pool->spawn(hangs_on_pool);
    call_of_tbb.inside.wait();
    call_of_pool.inside.wait();
    const auto comes_late = [&]() -> coro<> {
      inside.open();
      both_gone.wait();
      co_await never_ends();
    };
    const auto at_once = [&]() -> coro<> {
      comes_late().get();
      co_return;
    };
    const auto starts_it = [&]() -> coro<> {
      (void)spawn([] {});
      (void)on_tbb->spawn(spawn_options{.eager = true}, at_once);
      co_return;
    };
    (void)on_pool->spawn(starts_it);
    inside.wait();
    std::thread pool_ends([&] { delete on_pool; }), tbb_ends([&] { delete on_tbb; });
    const auto gone = [](const task<>& of) { return detail::task_access::core(of).runtime->gone(); };
    test::spin_until([&] { return gone(of_tbb) && gone(of_pool); });
    both_gone.open();
    pool_ends.join();
    tbb_ends.join();
    call_of_tbb.let_go();
    call_of_pool.let_go();
  });
}

/// A plain thread that helps goes on with a task afterwards, and blocks in it.
TEST(LeftBehindDeathTest, WithATaskThatGoesOnWhenTheExecutorHasGone) {
  in_a_process_of_its_own([] {
    manual_clock clock;
    hung_call call;
    std::optional<tbb_executor> executor(std::in_place, 2);
    std::optional<runtime> rt(std::in_place, impatient({.executor = &*executor, .clock = &clock, .callers_help = true}));
    const task<> other = rt->spawn(never_ends);
    std::atomic<bool> told{false};
    const auto goes_on = [&]() -> coro<> {
      event never;
      try {
        co_await never.wait();
      } catch (const cancelled&) {  // the get() that nobody would end is given up
      }
      try {
        co_await call.begin(call.inside);
      } catch (const cancelled&) {
      }
      while (!told.load()) {
        try {
          other.get();
        } catch (const cancelled&) {
        } catch (const would_deadlock&) {
          told.store(true);
        }
      }
    };
    std::thread helps([&] {
      const auto here = rt->enter();
      goes_on().get();
    });
    call.inside.wait();
    rt.reset();
    executor.reset();
    call.let_go();
    helps.join();
    EXPECT_TRUE(told.load());
  });
}

}  // namespace
}  // namespace sheaf
