#pragma once
/// @file
/// The one atomic word of a task. All its transitions live here and nowhere else.
///
///   bit  0 running          a thread owns the task: its frame, its awaiter and the fields said to be "under running"
///        1 queued           one queue entry exists for it (in an executor's queue, or about to be posted by who set the bit)
///        2 woken            what it waited for has happened (or it has not started yet): the next run resumes it
///        3 requested        an undelivered cancel request
///        4 scope_requested  an undelivered request made by a cancel_scope of the task itself (a deadline, a group)
///        5 poke             a request its awaiter has not been asked about yet
///        6 complete         the outcome is published
///        7 observed         somebody has looked, or has promised to look, at the outcome
///        8 callbacks        cancel callbacks may be registered: a canceller locks them, to record and to claim them in one
///        9 fresh            no step has begun
///       10 watched          somebody has registered with the waiter list: the completer must close it
///       11 decided          of an on_done callback: it runs, or has been removed
///       12..19              cancel requests taken by cancel() and not taken back (saturates)
///       20..39              references: tokens, wakers, parents
///       40..63              handles: task<T> and any_task
///
///   (the creator: running|fresh)
///          | publish_unstarted
///          v             begin_run / claim_*         finish_unwatched
///      queued|woken --> running --------------------------------------------> complete (--> freed)
///          ^   wake()     |  ^                \--publish-> running|complete --/
///          |              v  | wake_inline()       (watched or failed) release_run
///          +------------ (idle)        (idle) = neither running nor queued: parked in an awaiter
///                                      watched, no failure: the waiter list is closed, then finish_closed() does both in one
///
/// I1  running is a lock: only the thread that set it touches the coroutine, the awaiter and the fields under it.
/// I2  At most one queue entry exists: it is created by whoever sets `queued` and consumed by begin_run(), which clears it.
///     A task claimed in place keeps `queued` until its stale entry is popped; the stale entry then serves as the next post.
/// I3  The outcome is written before `complete` (release) and read after it (acquire). `complete` is never unset.
/// I4  A wake is never lost: wake() on a running task leaves `woken` for end_step(), on a queued one for begin_run().
/// I5  A request is never lost: it sets `poke`, which begin_run() and end_step() consume by asking the awaiter, or by delivering.
/// I6  The block is freed by whoever brings the word to garbage(): complete, not running, not queued, no references, no handles.
/// I7  A completer that sees no watcher leaves the waiter list open and empty: who marks the word later sees complete and does not add.
///     One that does see `watched` closes the list, before it publishes a value or after it has published a failure: who finds it
///     closed waits for `complete`, which is a few instructions away.
/// I8  A value goes with the last handle of a complete task, also when a reference or a stale queue entry keeps the block. Who has but a
///     reference does not touch the outcome, a when_all parent excepted. A failure may stay as long as the block.

#include <cstdint>

#include <sheaf/detail/assert.hpp>
#include <sheaf/detail/sync.hpp>

namespace sheaf::detail {

class task_state {
 public:
  using word = std::uint64_t;
  static constexpr word running = 1, queued = 2, woken = 4, requested = 8, scope_requested = 16, poke = 32, complete = 64,
                        observed = 128, callbacks = 256, fresh = 512, watched = 1024, decided = 2048;
  static constexpr word request_one = word{1} << 12, request_mask = word{0xff} << 12;
  static constexpr word reference_one = word{1} << 20, reference_mask = word{0xfffff} << 20;
  static constexpr word handle_one = word{1} << 40, handle_mask = word{0xffffff} << 40;
  static constexpr word any_request = requested | scope_requested;

  /// A task that its creator posts next: whoever meets it before leaves a request, or claims it and the entry is stale.
  static constexpr word initial_posted = queued | woken | fresh | handle_one;
  /// A task whose creator still holds it: it becomes runnable by publish_unstarted().
  static constexpr word initial_held = running | fresh | handle_one;
  /// A task without a coroutine that is woken by what it waits for.
  static constexpr word initial_parked = handle_one;
  /// A when_all child: whoever takes its queue entry owns it, its parent holds the one reference.
  static constexpr word initial_forked = running | reference_one;

  explicit task_state(word initial) noexcept : word_(initial) {}

  enum class begin { skip, skip_and_free, resume, resume_cancelled, ask_awaiter };
  /// The popped queue entry is consumed. Role: the thread that popped it. With resume*, the caller holds running.
  [[nodiscard]] begin begin_run() noexcept {
    const word before = update([](word w) {
      const word popped = w & ~queued;
      if ((w & (complete | running)) != 0) return popped;
      if ((w & woken) != 0) return (popped & ~consumed_by_resume) | running;
      if ((w & poke) != 0) return (popped & ~poke) | running;
      return popped;
    });
    SHEAF_ASSERT((before & queued) != 0);
    if ((before & complete) != 0) return garbage(before & ~queued) ? begin::skip_and_free : begin::skip;
    if ((before & running) != 0) return begin::skip;
    if ((before & woken) != 0) return (before & any_request) != 0 ? begin::resume_cancelled : begin::resume;
    return (before & poke) != 0 ? begin::ask_awaiter : begin::skip;
  }

  /// The creator's last act before it posts the task, or before it runs the first step itself (`here`). True, only with `here`: it was
  /// asked to stop before. Role: running.
  bool publish_unstarted(bool here) noexcept;

  /// A task that has not started is taken although its queue entry stays behind (I2). Role: any thread that may run it.
  [[nodiscard]] begin claim_unstarted() noexcept;
  /// begin_run() without its entry: whatever has come in for a task that nobody runs is taken likewise.
  [[nodiscard]] begin claim_runnable() noexcept;
  /// A runnable task with a pending request is taken likewise. True: taken.
  [[nodiscard]] bool claim_cancelled() noexcept;

  enum class end { idle, resume, resume_cancelled, ask_awaiter };
  /// The step is over: gives running back unless there is more to do. Role: running. After idle the task must not be touched.
  [[nodiscard]] end end_step() noexcept {
    const word before = update([](word w) {
      if ((w & woken) != 0) return w & ~consumed_by_resume;
      if ((w & poke) != 0) return w & ~poke;
      return w & ~running;
    });
    SHEAF_ASSERT((before & running) != 0 && (before & complete) == 0);
    if ((before & woken) != 0) return (before & any_request) != 0 ? end::resume_cancelled : end::resume;
    return (before & poke) != 0 ? end::ask_awaiter : end::idle;
  }

  /// The step ends, the task stays runnable; the caller posts it unless its stale entry is still queued. Role: running.
  [[nodiscard]] bool end_step_runnable() noexcept;

  /// What the task waited for has happened. True: the caller must post it. Any thread that was handed this duty.
  [[nodiscard]] bool wake() noexcept {
    const word before = update([](word w) { return (w & running) != 0 ? w | woken : w | woken | queued; });
    SHEAF_ASSERT((before & complete) == 0);
    return (before & (running | queued)) == 0;
  }

  enum class take { taken, taken_cancelled, left };
  /// wake(), but the caller runs the task itself if nobody else holds it.
  [[nodiscard]] take wake_inline() noexcept;

  enum class cancel { already_done, lock_callbacks, recorded, post };
  enum class callbacks_are { locked, unlocked };
  /// Records a request (counted, or the task's own scope's). If cancel callbacks may be registered and are not locked, nothing is done
  /// and the answer is lock_callbacks. Any thread that keeps the block alive.
  [[nodiscard]] cancel request_cancel(bool from_scope, callbacks_are held) noexcept;

  /// Delivers what is pending: the task is about to see `cancelled`. Role: running.
  void deliver() noexcept;
  /// Requests that were delivered are undelivered again, without being counted twice. Role: running.
  void request_again(word which) noexcept;
  /// Takes back an undelivered scope request when no scope of the task has one. Role: running.
  void retract_scope_request() noexcept;
  /// One counted request is taken back; the last one takes an undelivered request with it. Any thread. Returns what is left.
  unsigned uncancel() noexcept;

  /// A forked child is about to start: true: it was asked to stop before. Role: running.
  [[nodiscard]] bool take_request_before_start() noexcept {
    // order: acquire sees what the canceller did; peer: request_cancel().
    if ((word_.load(sync::acquire) & any_request) == 0) return false;
    deliver();
    return true;
  }

  enum class hold { running, queued, complete, held };
  /// Takes running of a parked task, to look at its awaiter. Any thread that keeps the block alive.
  [[nodiscard]] hold hold_parked() noexcept;
  /// Ends the look. True: something came in meanwhile, and the caller must post the task. Role: running.
  [[nodiscard]] bool end_hold() noexcept;

  enum class finish { watched, kept, free };
  /// Publishes an outcome that needs no observer and gives running back, unless there are watchers: then nothing is done. Role: running,
  /// once.
  [[nodiscard]] finish finish_unwatched() noexcept {
    word now = word_.load(sync::relaxed);
    word next = 0;
    do {
      SHEAF_ASSERT((now & running) != 0 && (now & complete) == 0);
      if ((now & watched) != 0) return finish::watched;
      next = (now & ~running) | complete | observed;
      // order: acq_rel: release publishes the outcome (I3); acquire as update(); peers: is_complete(), the drops (I6).
    } while (!word_.compare_exchange_weak(now, next, sync::acq_rel, sync::relaxed));
    return garbage(next) ? finish::free : finish::kept;
  }
  /// Publishes an outcome that needs no observer and gives running back; the waiter list is closed. True: the caller frees the block
  /// (I6). Role: running, once.
  [[nodiscard]] bool finish_closed() noexcept {
    const word before = update([](word w) { return (w & ~running) | complete | observed; });
    SHEAF_ASSERT((before & running) != 0 && (before & complete) == 0);
    return garbage((before & ~running) | complete);
  }
  struct published {
    bool unseen;   ///< no handle exists, so nobody will look at it
    bool watched;  ///< the list is to be closed
  };
  /// Publishes an outcome and keeps running; a failure wants an observer. Role: running, once.
  [[nodiscard]] published publish(bool failed) noexcept {
    // order: acq_rel: release publishes the outcome (I3); peer: is_complete(). acquire pairs with mark_watched() (I7).
    const word before = word_.fetch_or(failed ? complete : complete | observed, sync::acq_rel);
    SHEAF_ASSERT((before & running) != 0 && (before & complete) == 0);
    return {(before & handle_mask) == 0, (before & watched) != 0};
  }
  /// Gives running back after publish(). True: the caller frees the block (I6).
  [[nodiscard]] bool release_run() noexcept;
  /// Publishes the outcome of a task that nobody else knows yet.
  void finish_unlisted(bool failed) noexcept {
    // order: release publishes the outcome (I3); peer: is_complete().
    word_.fetch_or(failed ? complete : complete | observed, sync::release);
  }
  /// publish() for a when_all child that nobody but its parent refers to: true when that sufficed. Role: running.
  [[nodiscard]] bool finish_forked() noexcept {
    // Only this thread and cancellers that the join keeps alive touch the word: a request lost to this store is one that came
    // after the last suspension, where the value wins. order: acquire: who consumed a stale queue entry has done with the block before
    // the store below hides that; peers: begin_run(), drop_reference(), drop_handle().
    const word now = word_.load(sync::acquire);
    if ((now & (queued | watched | reference_mask | handle_mask)) != reference_one) return false;
    // order: release publishes the outcome (I3); peer: is_complete().
    word_.store(complete | observed | reference_one, sync::release);
    return true;
  }

  /// Before a registration with the waiter list. False: the task is complete, and nobody may be added any more (I7).
  [[nodiscard]] bool mark_watched() noexcept {
    // order: acq_rel: release shows the watcher to the completer, acquire sees its outcome; peers: finish_unwatched(), publish().
    return (word_.fetch_or(watched, sync::acq_rel) & complete) == 0;
  }
  /// The same for a task that only its creator knows.
  void mark_watched_unshared() noexcept { word_.store(snapshot() | watched, sync::relaxed); }

  void add_handle() noexcept { word_.fetch_add(handle_one, sync::relaxed); }
  struct drop_outcome {
    bool unseen;  ///< nobody can look at the failure any more: the handle became a reference, for the report
    bool left;    ///< the last one, but others keep the block: the handle became a reference, for I8
    bool free;    ///< I6
  };
  [[nodiscard]] drop_outcome drop_handle() noexcept {
    // The last claim on a complete task: nobody else can come to it. order: acquire sees what the others did; peers: their drops.
    constexpr word claims = complete | running | queued | observed | reference_mask | handle_mask;
    if ((word_.load(sync::acquire) & claims) == (complete | observed | handle_one)) return {false, false, true};
    return drop_shared_handle();
  }
  void add_reference() noexcept { word_.fetch_add(reference_one, sync::relaxed); }
  /// From a reference. False: complete, and the outcome may have gone with its last handle.
  [[nodiscard]] bool add_handle_from_reference() noexcept;
  /// True: the caller frees the block (I6).
  [[nodiscard]] bool drop_reference() noexcept;
  /// A when_all parent is done with its child: plain read when nobody else ever referred to it.
  [[nodiscard]] bool drop_parent_reference() noexcept {
    // order: acquire sees what the last owner wrote; peer: release in finish_forked().
    if (word_.load(sync::acquire) == (complete | observed | reference_one)) return true;
    return drop_reference();
  }

  /// Only observers of an unshared task call this: true when the caller's handle is the only one.
  [[nodiscard]] bool sole_handle() const noexcept {
    // order: acquire, peer: the release in drop_handle().
    return (word_.load(sync::acquire) & handle_mask) == handle_one;
  }

  /// True once `complete` is set; then the outcome may be read.
  [[nodiscard]] bool is_complete() const noexcept {
    // order: acquire sees the outcome (I3); peer: release in finish_unwatched(), finish_forked() and publish().
    return (word_.load(sync::acquire) & complete) != 0;
  }
  /// Somebody is between closing the waiter list and publishing (I7).
  void await_complete() const noexcept {
    for (unsigned spins = 0; !is_complete(); ++spins) sync::spin_wait(spins);
  }
  [[nodiscard]] bool cancel_pending() const noexcept {
    // order: acquire sees what the canceller did; peer: request_cancel().
    return (word_.load(sync::acquire) & any_request) != 0;
  }
  [[nodiscard]] bool is_observed() const noexcept { return (word_.load(sync::relaxed) & observed) != 0; }
  /// True: this call was the first.
  bool mark_observed() noexcept { return !is_observed() && (word_.fetch_or(observed, sync::relaxed) & observed) == 0; }
  /// True: this call was the first.
  [[nodiscard]] bool mark_decided() noexcept { return (word_.fetch_or(decided, sync::relaxed) & decided) == 0; }
  void mark_callbacks() noexcept {
    // order: seq_cst: set, then the registrar reads the requests; peer: request_cancel(), which reads this bit in the edge that
    // records. One total order on this word decides who sees whom.
    word_.fetch_or(callbacks, sync::seq_cst);
  }
  [[nodiscard]] unsigned requests() const noexcept {
    // order: acquire pairs with request_cancel(), so that a reason stored before it is seen.
    return static_cast<unsigned>((word_.load(sync::acquire) & request_mask) / request_one);
  }
  /// Of those, what has been delivered: requests not delivered yet count as one. Role: running.
  [[nodiscard]] unsigned seen_requests() const noexcept {
    const word now = snapshot();
    return static_cast<unsigned>((now & request_mask) / request_one) - ((now & requested) != 0 ? 1 : 0);
  }
  [[nodiscard]] word snapshot() const noexcept { return word_.load(sync::relaxed); }

 private:
  static constexpr word consumed_by_resume = woken | fresh | poke | any_request;
  [[nodiscard]] drop_outcome drop_shared_handle() noexcept;

  static constexpr bool garbage(word w) noexcept {
    return (w & (complete | running | queued | reference_mask | handle_mask)) == complete;
  }
  /// The one CAS loop of this word: `edge(w)` returns the next word.
  template <class Edge>
  word update(Edge edge) noexcept {
    word now = word_.load(sync::relaxed);
    // order: acq_rel: an edge that takes running acquires what the last owner wrote, one that gives it back (or wakes) releases
    // what this thread wrote; the peers are the other edges of this word.
    while (!word_.compare_exchange_weak(now, edge(now), sync::acq_rel, sync::relaxed)) {
    }
    return now;
  }

  sync::atomic<word> word_;
};

}  // namespace sheaf::detail
