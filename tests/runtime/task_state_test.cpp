/// The word of a task, edge by edge. A test is named by its order of events.
#include <sheaf/detail/task_state.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>

#include <sheaf/detail/task_core.hpp>

namespace sheaf::detail {
namespace {

using begin = task_state::begin;
using end = task_state::end;
using cancel = task_state::cancel;

/// A spawned task in each of the states that other threads can find it in.
struct word : task_state {
  word() : task_state(initial_posted) {}
  void run() { ASSERT_EQ(begin_run(), begin::resume); }
  void park() {
    run();
    ASSERT_EQ(end_step(), end::idle);
  }
  void complete_it(bool failed = false) {
    run();
    ASSERT_FALSE(publish(failed).unseen);  // its handle exists
    ASSERT_FALSE(release_run());
  }
  cancel request() { return request_cancel(false, callbacks_are::unlocked); }
  [[nodiscard]] bool is(task_state::word bit) const { return (snapshot() & bit) != 0; }
};

// ---- not started -------------------------------------------------------------------------------------------------------------

TEST(TaskState, NobodyClaimsATaskItsCreatorHolds) {
  task_state w(task_state::initial_held);
  EXPECT_EQ(w.claim_unstarted(), begin::skip);
  EXPECT_FALSE(w.publish_unstarted(false));
  EXPECT_EQ(w.claim_unstarted(), begin::resume);
}

TEST(TaskState, CancelThenPublishThenRun) {
  task_state w(task_state::initial_held);
  EXPECT_EQ(w.request_cancel(false, task_state::callbacks_are::unlocked), cancel::recorded);
  EXPECT_FALSE(w.publish_unstarted(false));
  EXPECT_EQ(w.begin_run(), begin::resume_cancelled);
}

TEST(TaskState, CancelThenPublishHere) {
  task_state w(task_state::initial_held);
  EXPECT_EQ(w.request_cancel(false, task_state::callbacks_are::unlocked), cancel::recorded);
  EXPECT_TRUE(w.publish_unstarted(true));
  EXPECT_FALSE(w.cancel_pending());
  EXPECT_EQ(w.end_step(), end::idle);
}

TEST(TaskState, PublishHereThenPark) {
  task_state w(task_state::initial_held);
  EXPECT_FALSE(w.publish_unstarted(true));
  EXPECT_EQ(w.end_step(), end::idle);
  EXPECT_EQ(w.claim_unstarted(), begin::skip);
  EXPECT_TRUE(w.wake());
}

TEST(TaskState, CancelBeforeRun) {
  word w;
  EXPECT_EQ(w.request(), cancel::recorded);  // its entry exists already
  EXPECT_EQ(w.begin_run(), begin::resume_cancelled);
  EXPECT_FALSE(w.cancel_pending());
  EXPECT_EQ(w.requests(), 1U);  // delivered, but not taken back
}

TEST(TaskState, ClaimBeforeRunLeavesAStaleEntry) {
  word w;
  EXPECT_EQ(w.claim_unstarted(), begin::resume);
  EXPECT_EQ(w.begin_run(), begin::skip);
  EXPECT_EQ(w.claim_unstarted(), begin::skip);
}

TEST(TaskState, CancelThenClaim) {
  word w;
  static_cast<void>(w.request());
  EXPECT_EQ(w.claim_unstarted(), begin::resume_cancelled);
}

TEST(TaskState, ClaimAfterRunFails) {
  word w;
  w.run();
  EXPECT_EQ(w.claim_unstarted(), begin::skip);
  EXPECT_EQ(w.end_step(), end::idle);
  EXPECT_TRUE(w.wake());
  EXPECT_EQ(w.claim_unstarted(), begin::skip);  // runnable, but it has started
}

TEST(TaskState, ClaimThenParkThenWakeUsesTheStaleEntry) {
  word w;
  ASSERT_EQ(w.claim_unstarted(), begin::resume);
  ASSERT_EQ(w.end_step(), end::idle);
  EXPECT_FALSE(w.wake());  // nothing to post: the stale entry serves
  EXPECT_EQ(w.begin_run(), begin::resume);
}

TEST(TaskState, ClaimThenParkThenStaleEntryThenWake) {
  word w;
  ASSERT_EQ(w.claim_unstarted(), begin::resume);
  ASSERT_EQ(w.end_step(), end::idle);
  EXPECT_EQ(w.begin_run(), begin::skip);  // parked: the entry means nothing
  EXPECT_TRUE(w.wake());
  EXPECT_EQ(w.begin_run(), begin::resume);
}

TEST(TaskState, ClaimThenYieldUsesTheStaleEntry) {
  word w;
  ASSERT_EQ(w.claim_unstarted(), begin::resume);
  EXPECT_FALSE(w.end_step_runnable());
  EXPECT_EQ(w.begin_run(), begin::resume);
}

TEST(TaskState, ClaimThenFinishThenStaleEntryFrees) {
  word w;
  ASSERT_EQ(w.claim_unstarted(), begin::resume);
  static_cast<void>(w.publish(false));
  EXPECT_FALSE(w.release_run());
  EXPECT_TRUE(w.drop_handle().left);  // the queue still points here
  EXPECT_FALSE(w.drop_reference());
  EXPECT_EQ(w.begin_run(), begin::skip_and_free);
}

TEST(TaskState, ClaimCancelledTakesOnlyWhatWasAskedToStop) {
  word w;
  EXPECT_FALSE(w.claim_cancelled());
  static_cast<void>(w.request());
  EXPECT_TRUE(w.claim_cancelled());
  EXPECT_FALSE(w.claim_cancelled());
}

// ---- running -----------------------------------------------------------------------------------------------------------------

TEST(TaskState, WakeDuringRun) {
  word w;
  w.run();
  EXPECT_FALSE(w.wake());
  EXPECT_EQ(w.end_step(), end::resume);
  EXPECT_EQ(w.end_step(), end::idle);
}

TEST(TaskState, CancelDuringRun) {
  word w;
  w.run();
  EXPECT_EQ(w.request(), cancel::recorded);
  EXPECT_EQ(w.end_step(), end::ask_awaiter);
  EXPECT_TRUE(w.cancel_pending());     // until the awaiter has given up
  EXPECT_EQ(w.end_step(), end::idle);  // it said stay: asked once per request
  EXPECT_EQ(w.request(), cancel::post);
  EXPECT_EQ(w.begin_run(), begin::ask_awaiter);
}

TEST(TaskState, CancelThenWakeDuringRun) {
  word w;
  w.run();
  static_cast<void>(w.request());
  EXPECT_FALSE(w.wake());
  EXPECT_EQ(w.end_step(), end::resume_cancelled);
  EXPECT_FALSE(w.cancel_pending());
}

TEST(TaskState, WakeThenCancelDuringRun) {
  word w;
  w.run();
  EXPECT_FALSE(w.wake());
  static_cast<void>(w.request());
  EXPECT_EQ(w.end_step(), end::resume_cancelled);
  EXPECT_EQ(w.end_step(), end::idle);  // the poke went with it
}

TEST(TaskState, CancelDuringRunThenDeliver) {
  word w;
  w.run();
  static_cast<void>(w.request());
  w.deliver();
  EXPECT_EQ(w.end_step(), end::idle);
}

TEST(TaskState, CancelDuringRunThenUncancel) {
  word w;
  w.run();
  static_cast<void>(w.request());
  EXPECT_EQ(w.uncancel(), 0U);
  EXPECT_FALSE(w.cancel_pending());
  EXPECT_EQ(w.end_step(), end::idle);  // nobody asks the awaiter about a request that was taken back
}

TEST(TaskState, CancelTwiceDuringRunThenUncancelOnce) {
  word w;
  w.run();
  static_cast<void>(w.request());
  static_cast<void>(w.request());
  EXPECT_EQ(w.uncancel(), 1U);
  EXPECT_TRUE(w.cancel_pending());
  EXPECT_EQ(w.end_step(), end::ask_awaiter);
}

TEST(TaskState, CancelAndScopeCancelDuringRunThenUncancelLeavesTheScopes) {
  word w;
  w.run();
  static_cast<void>(w.request());
  static_cast<void>(w.request_cancel(true, task_state::callbacks_are::unlocked));
  EXPECT_EQ(w.requests(), 1U);  // a scope's request is not counted
  EXPECT_EQ(w.uncancel(), 0U);
  EXPECT_TRUE(w.cancel_pending());
  EXPECT_EQ(w.end_step(), end::ask_awaiter);
}

TEST(TaskState, ScopeCancelDuringRunThenRetract) {
  word w;
  w.run();
  static_cast<void>(w.request_cancel(true, task_state::callbacks_are::unlocked));
  w.retract_scope_request();
  EXPECT_EQ(w.end_step(), end::idle);
}

TEST(TaskState, CancelAndScopeCancelDuringRunThenRetractLeavesTheOther) {
  word w;
  w.run();
  static_cast<void>(w.request_cancel(true, task_state::callbacks_are::unlocked));
  static_cast<void>(w.request());
  w.retract_scope_request();
  EXPECT_EQ(w.end_step(), end::ask_awaiter);
}

TEST(TaskState, UncancelNeverFallsBelowZero) {
  word w;
  w.run();
  EXPECT_EQ(w.uncancel(), 0U);
  static_cast<void>(w.request());
  EXPECT_EQ(w.uncancel(), 0U);
  EXPECT_EQ(w.uncancel(), 0U);
  EXPECT_EQ(w.requests(), 0U);
}

TEST(TaskState, CancelDuringRunThenFinish) {
  word w;
  w.run();
  EXPECT_EQ(w.request(), cancel::recorded);
  static_cast<void>(w.publish(false));
  EXPECT_TRUE(w.is_complete());
  EXPECT_EQ(w.request(), cancel::already_done);
  EXPECT_EQ(w.requests(), 1U);  // the late one is not counted
}

TEST(TaskState, YieldThenCancelBeforeRun) {
  word w;
  w.run();
  EXPECT_TRUE(w.end_step_runnable());
  EXPECT_EQ(w.request(), cancel::recorded);
  EXPECT_EQ(w.begin_run(), begin::resume_cancelled);
}

// ---- parked ------------------------------------------------------------------------------------------------------------------

TEST(TaskState, WakeParked) {
  word w;
  w.park();
  EXPECT_TRUE(w.wake());
  EXPECT_FALSE(w.is(task_state::running));
  EXPECT_EQ(w.begin_run(), begin::resume);
}

TEST(TaskState, CancelParked) {
  word w;
  w.park();
  EXPECT_EQ(w.request(), cancel::post);
  EXPECT_EQ(w.begin_run(), begin::ask_awaiter);
}

TEST(TaskState, CancelParkedTwiceBeforeRun) {
  word w;
  w.park();
  EXPECT_EQ(w.request(), cancel::post);
  EXPECT_EQ(w.request(), cancel::recorded);  // one queue entry at most
  EXPECT_EQ(w.requests(), 2U);
  EXPECT_EQ(w.begin_run(), begin::ask_awaiter);
  w.deliver();
  EXPECT_EQ(w.end_step(), end::idle);
}

TEST(TaskState, WakeThenCancelBeforeRun) {
  word w;
  w.park();
  EXPECT_TRUE(w.wake());
  EXPECT_EQ(w.request(), cancel::recorded);
  EXPECT_EQ(w.begin_run(), begin::resume_cancelled);
  EXPECT_EQ(w.end_step(), end::idle);
}

TEST(TaskState, CancelThenWakeBeforeRun) {
  word w;
  w.park();
  EXPECT_EQ(w.request(), cancel::post);
  EXPECT_FALSE(w.wake());
  EXPECT_EQ(w.begin_run(), begin::resume_cancelled);
  EXPECT_EQ(w.end_step(), end::idle);
}

TEST(TaskState, CancelThenAskThenWake) {
  word w;
  w.park();
  static_cast<void>(w.request());
  ASSERT_EQ(w.begin_run(), begin::ask_awaiter);
  EXPECT_FALSE(w.wake());                          // while the awaiter is being asked
  EXPECT_EQ(w.end_step(), end::resume_cancelled);  // it said stay
}

TEST(TaskState, WakeInlineParked) {
  word w;
  w.park();
  EXPECT_EQ(w.wake_inline(), task_state::take::taken);
  EXPECT_EQ(w.end_step(), end::idle);
}

TEST(TaskState, CancelThenWakeInlineLeavesAStaleEntry) {
  word w;
  w.park();
  ASSERT_EQ(w.request(), cancel::post);
  EXPECT_EQ(w.wake_inline(), task_state::take::taken_cancelled);
  EXPECT_EQ(w.begin_run(), begin::skip);
}

TEST(TaskState, WakeInlineDuringRun) {
  word w;
  w.run();
  EXPECT_EQ(w.wake_inline(), task_state::take::left);
  EXPECT_EQ(w.end_step(), end::resume);
}

TEST(TaskState, RequestsSaturate) {
  word w;
  w.park();
  for (int i = 0; i < 300; ++i) static_cast<void>(w.request());
  EXPECT_EQ(w.requests(), 255U);
}

TEST(TaskState, ACancellerOfATaskWithCallbacksMustLockThem) {
  word w;
  w.run();
  w.mark_callbacks();
  EXPECT_EQ(w.request_cancel(false, task_state::callbacks_are::unlocked), cancel::lock_callbacks);
  EXPECT_FALSE(w.cancel_pending());
  EXPECT_EQ(w.request_cancel(false, task_state::callbacks_are::locked), cancel::recorded);
  EXPECT_TRUE(w.cancel_pending());
  static_cast<void>(w.publish(false));
  EXPECT_EQ(w.request_cancel(false, task_state::callbacks_are::unlocked), cancel::already_done);
}

// ---- held for a look -----------------------------------------------------------------------------------------------------------

TEST(TaskState, HoldTakesAParkedTaskOnly) {
  word fresh, running, parked, done;
  running.run();
  parked.park();
  done.complete_it();
  EXPECT_EQ(fresh.hold_parked(), task_state::hold::queued);
  EXPECT_EQ(running.hold_parked(), task_state::hold::running);
  EXPECT_EQ(parked.hold_parked(), task_state::hold::held);
  EXPECT_EQ(done.hold_parked(), task_state::hold::complete);
  EXPECT_FALSE(parked.end_hold());
  EXPECT_TRUE(parked.wake());
}

TEST(TaskState, WakeDuringHoldIsPostedByTheHolder) {
  word w;
  w.park();
  ASSERT_EQ(w.hold_parked(), task_state::hold::held);
  EXPECT_FALSE(w.wake());
  EXPECT_TRUE(w.end_hold());
  EXPECT_EQ(w.begin_run(), begin::resume);
}

TEST(TaskState, CancelDuringHoldIsPostedByTheHolder) {
  word w;
  w.park();
  ASSERT_EQ(w.hold_parked(), task_state::hold::held);
  EXPECT_EQ(w.request(), cancel::recorded);
  EXPECT_TRUE(w.end_hold());
  EXPECT_EQ(w.begin_run(), begin::ask_awaiter);
}

// ---- the end -----------------------------------------------------------------------------------------------------------------

TEST(TaskState, FinishTellsWhetherAnybodyCanLook) {
  word looked_at, alone;
  looked_at.run();
  EXPECT_FALSE(looked_at.publish(true).unseen);
  alone.run();
  EXPECT_FALSE(alone.drop_handle().unseen);
  EXPECT_TRUE(alone.publish(true).unseen);
  EXPECT_TRUE(alone.release_run());
}

/// A complete task is held by its run, a stale queue entry, two handles and a reference. Whatever the order in which they go, the
/// last one frees, and only the last.
TEST(TaskState, TheLastClaimFreesInEveryOrder) {
  const auto drop = [](word& w) {
    const auto dropped = w.drop_handle();
    return dropped.free || (dropped.left && w.drop_reference());
  };
  std::string order = "ehhqr";
  std::ranges::sort(order);
  do {
    word w;
    w.add_handle();
    w.add_reference();
    ASSERT_EQ(w.claim_unstarted(), begin::resume);
    static_cast<void>(w.publish(false));
    std::string frees;
    for (const char each : order) {
      bool freed = false;
      switch (each) {
        case 'e':
          freed = w.release_run();
          break;
        case 'h':
          freed = drop(w);
          break;
        case 'q':
          freed = w.begin_run() == begin::skip_and_free;
          break;
        default:
          freed = w.drop_reference();
      }
      frees += freed ? 'F' : '-';
    }
    EXPECT_EQ(frees, "----F") << order;
  } while (std::ranges::next_permutation(order).found);
}

using finish = task_state::finish;

TEST(TaskState, AValueNobodyWatchesFinishesInOneStep) {
  word w;
  w.run();
  EXPECT_EQ(w.finish_unwatched(), finish::kept);  // by its handle
  EXPECT_TRUE(w.is_complete());
  EXPECT_TRUE(w.is_observed());
  EXPECT_FALSE(w.is(task_state::running));
  EXPECT_TRUE(w.drop_handle().free);
}

TEST(TaskState, DroppedThenFinishFrees) {
  word w;
  w.run();
  EXPECT_FALSE(w.drop_handle().free);
  EXPECT_EQ(w.finish_unwatched(), finish::free);
}

TEST(TaskState, WatchThenFinishLeavesTheListToTheCompleter) {
  word w;
  EXPECT_TRUE(w.mark_watched());
  w.run();
  EXPECT_EQ(w.finish_unwatched(), finish::watched);
  EXPECT_FALSE(w.is_complete());  // nothing was done
  EXPECT_TRUE(w.publish(false).watched);
  EXPECT_FALSE(w.mark_watched());
  EXPECT_FALSE(w.drop_handle().free);  // the waiters are being told
  EXPECT_TRUE(w.release_run());
}

TEST(TaskState, CloseThenFinishFreesOrKeeps) {
  word kept, dropped;
  for (word* const each : {&kept, &dropped}) {
    EXPECT_TRUE(each->mark_watched());
    each->run();
    EXPECT_EQ(each->finish_unwatched(), finish::watched);
  }
  EXPECT_FALSE(dropped.drop_handle().free);
  EXPECT_TRUE(dropped.finish_closed());
  EXPECT_FALSE(kept.finish_closed());
  EXPECT_TRUE(kept.is_complete());
  EXPECT_TRUE(kept.is_observed());
  EXPECT_TRUE(kept.drop_handle().free);
}

/// I7: between the two steps of its completer a watched task is closed and not complete.
TEST(TaskState, WhoFindsTheListClosedWaitsForTheOutcome) {
  static constexpr task_ops none{nullptr, nullptr, nullptr, nullptr};
  task_core core(task_state::initial_held, nullptr, none);
  EXPECT_EQ(core.waiters.close(), nullptr);
  waiter_node node([](waiter_node&, outcome_kind) noexcept { ADD_FAILURE() << "told, though it was not added"; });
  bool added = true, complete = false;
  std::thread waiter([&] {
    added = add_waiter(core, node);
    complete = core.state.is_complete();
  });
  while ((core.state.snapshot() & task_state::watched) == 0) std::this_thread::yield();
  for (int i = 0; i < 100; ++i) std::this_thread::yield();  // room for a waiter that does not wait
  EXPECT_FALSE(core.state.finish_closed());
  waiter.join();
  EXPECT_FALSE(added);
  EXPECT_TRUE(complete);
}

TEST(TaskState, FinishThenWatchAddsNobody) {
  word w;
  w.run();
  EXPECT_EQ(w.finish_unwatched(), finish::kept);
  EXPECT_FALSE(w.mark_watched());
  EXPECT_TRUE(w.drop_handle().free);
}

TEST(TaskState, AFailureTellsItsCompleterOfWatchers) {
  word watched, alone;
  EXPECT_TRUE(watched.mark_watched());
  watched.run();
  EXPECT_TRUE(watched.publish(true).watched);
  alone.run();
  EXPECT_FALSE(alone.publish(true).watched);
  EXPECT_FALSE(alone.mark_watched());
}

TEST(TaskState, AStaleEntryKeepsAFinishedTask) {
  word w;
  ASSERT_EQ(w.claim_unstarted(), begin::resume);
  EXPECT_EQ(w.finish_unwatched(), finish::kept);
  EXPECT_TRUE(w.drop_handle().left);  // I8
  EXPECT_FALSE(w.add_handle_from_reference());
  EXPECT_FALSE(w.drop_reference());
  EXPECT_EQ(w.begin_run(), begin::skip_and_free);
}

TEST(TaskState, TheLastHandleOfAFailureNobodySawBecomesAReference) {
  word w;
  w.add_handle();
  w.complete_it(true);
  EXPECT_FALSE(w.drop_handle().unseen);
  const auto last = w.drop_handle();
  EXPECT_TRUE(last.unseen);
  EXPECT_FALSE(last.free);
  EXPECT_TRUE(w.drop_reference());
}

TEST(TaskState, TheLastHandleOfAFailureThatWasSeenFrees) {
  word w;
  w.complete_it(true);
  EXPECT_TRUE(w.mark_observed());
  EXPECT_FALSE(w.mark_observed());  // once
  const auto last = w.drop_handle();
  EXPECT_FALSE(last.unseen);
  EXPECT_TRUE(last.free);
}

TEST(TaskState, AForkedChildAloneFinishesWithAStore) {
  task_state w(task_state::initial_forked);
  EXPECT_FALSE(w.take_request_before_start());
  EXPECT_TRUE(w.finish_forked());
  EXPECT_TRUE(w.is_complete());
  EXPECT_TRUE(w.drop_parent_reference());
}

/// A when_all child C is a parent itself. A request posts it; its own last child ends, and C goes on without the entry. Another worker pops
/// the entry, reads C's function, and finds that C runs. C ends with a store that did not acquire what the other worker did to the word, so
/// C's parent freed the block with nothing to order that after the read. Only ThreadSanitizer sees it.
TEST(TaskState, TheEndOfAForkedChildSeesWhoHasConsumedItsStaleEntry) {
  task_state w(task_state::initial_forked);
  EXPECT_EQ(w.end_step(), end::idle);
  EXPECT_EQ(w.request_cancel(false, task_state::callbacks_are::unlocked), cancel::post);
  EXPECT_EQ(w.wake_inline(), task_state::take::taken_cancelled);
  int block = 1;
  std::thread other([&] {
    EXPECT_EQ(block, 1);
    EXPECT_EQ(w.begin_run(), begin::skip);
  });
  while ((w.snapshot() & task_state::queued) != 0) std::this_thread::yield();
  EXPECT_TRUE(w.finish_forked());
  EXPECT_TRUE(w.drop_parent_reference());
  block = 0;
  other.join();
}

TEST(TaskState, AForkedChildThatOthersReferToFinishesLikeATask) {
  task_state w(task_state::initial_forked);
  w.add_reference();
  EXPECT_FALSE(w.finish_forked());
  static_cast<void>(w.publish(false));
  EXPECT_FALSE(w.release_run());
  EXPECT_FALSE(w.drop_parent_reference());
  EXPECT_TRUE(w.drop_reference());
}

TEST(TaskState, AForkedChildAskedToStopBeforeItsStart) {
  task_state w(task_state::initial_forked);
  EXPECT_EQ(w.request_cancel(false, task_state::callbacks_are::unlocked), cancel::recorded);
  EXPECT_TRUE(w.take_request_before_start());
  EXPECT_FALSE(w.cancel_pending());
}

}  // namespace
}  // namespace sheaf::detail
