#include <sheaf/detail/task_state.hpp>

#include <sheaf/detail/assert.hpp>

namespace sheaf::detail {

bool task_state::publish_unstarted(bool here) noexcept {
  const word before = update([here](word w) { return here ? w & ~consumed_by_resume : (w & ~running) | queued | woken; });
  SHEAF_ASSERT((before & (running | fresh)) == (running | fresh));
  return here && (before & any_request) != 0;
}

task_state::begin task_state::claim_unstarted() noexcept {
  const auto takes = [](word w) { return (w & (complete | running)) == 0 && (w & (woken | fresh)) == (woken | fresh); };
  const word before = update([takes](word w) { return takes(w) ? (w & ~consumed_by_resume) | running : w; });
  if (!takes(before)) return begin::skip;
  return (before & any_request) != 0 ? begin::resume_cancelled : begin::resume;
}

task_state::begin task_state::claim_runnable() noexcept {
  const word before = update([](word w) {
    if ((w & (complete | running)) != 0) return w;
    if ((w & woken) != 0) return (w & ~consumed_by_resume) | running;
    return (w & poke) != 0 ? (w & ~poke) | running : w;
  });
  if ((before & (complete | running)) != 0) return begin::skip;
  if ((before & woken) != 0) return (before & any_request) != 0 ? begin::resume_cancelled : begin::resume;
  return (before & poke) != 0 ? begin::ask_awaiter : begin::skip;
}

bool task_state::claim_cancelled() noexcept {
  const auto takes = [](word w) { return (w & (complete | running)) == 0 && (w & woken) != 0 && (w & any_request) != 0; };
  return takes(update([takes](word w) { return takes(w) ? (w & ~consumed_by_resume) | running : w; }));
}

bool task_state::end_step_runnable() noexcept {
  const word before = update([](word w) { return (w & ~running) | woken | queued; });
  SHEAF_ASSERT((before & running) != 0 && (before & complete) == 0);
  return (before & queued) == 0;
}

task_state::take task_state::wake_inline() noexcept {
  const word before = update([](word w) { return (w & running) != 0 ? w | woken : (w & ~consumed_by_resume) | running; });
  SHEAF_ASSERT((before & complete) == 0);
  if ((before & running) != 0) return take::left;
  return (before & any_request) != 0 ? take::taken_cancelled : take::taken;
}

task_state::cancel task_state::request_cancel(bool from_scope, callbacks_are held) noexcept {
  const auto refuses = [held](word w) {
    return (w & complete) != 0 || ((w & callbacks) != 0 && held == callbacks_are::unlocked);
  };
  const word before = update([refuses, from_scope](word w) {
    if (refuses(w)) return w;
    word next = w | poke | (from_scope ? scope_requested : requested);
    if (!from_scope && (w & request_mask) != request_mask) next += request_one;
    return (w & (running | queued)) != 0 ? next : next | queued;
  });
  if ((before & complete) != 0) return cancel::already_done;
  if (refuses(before)) return cancel::lock_callbacks;
  return (before & (running | queued)) == 0 ? cancel::post : cancel::recorded;
}

void task_state::deliver() noexcept {
  update([](word w) { return w & ~(any_request | poke); });
}

void task_state::request_again(word which) noexcept {
  SHEAF_ASSERT((which & ~any_request) == 0);
  update([which](word w) { return w | which | poke; });
}

void task_state::retract_scope_request() noexcept {
  update([](word w) {
    const word next = w & ~scope_requested;
    return (next & requested) != 0 ? next : next & ~poke;
  });
}

unsigned task_state::uncancel() noexcept {
  const word before = update([](word w) {
    if ((w & request_mask) == 0) return w;
    word next = w - request_one;
    if ((next & request_mask) == 0) next &= ~requested;
    return (next & any_request) != 0 ? next : next & ~poke;
  });
  const auto count = static_cast<unsigned>((before & request_mask) / request_one);
  return count == 0 ? 0 : count - 1;
}

task_state::hold task_state::hold_parked() noexcept {
  const word before = update([](word w) { return (w & (running | queued | complete)) != 0 ? w : w | running; });
  if ((before & complete) != 0) return hold::complete;
  if ((before & running) != 0) return hold::running;
  return (before & queued) != 0 ? hold::queued : hold::held;
}

bool task_state::end_hold() noexcept {
  const word before = update([](word w) { return (w & (woken | poke)) != 0 ? (w & ~running) | queued : w & ~running; });
  return (before & (woken | poke)) != 0 && (before & queued) == 0;
}

bool task_state::release_run() noexcept {
  const word before = word_.fetch_and(~running, sync::acq_rel);  // order: I6; peers: drop_handle(), drop_reference(), begin_run()
  return garbage(before & ~running);
}

task_state::drop_outcome task_state::drop_shared_handle() noexcept {
  const auto last = [](word after) { return (after & (complete | handle_mask)) == complete; };
  const auto unseen = [](word after) { return (after & observed) == 0; };
  const auto left = [](word after) { return (after & running) == 0 && !garbage(after); };
  const word before = update([=](word w) {
    const word after = w - handle_one;
    return last(after) && (unseen(after) || left(after)) ? after + reference_one : after;
  });
  SHEAF_ASSERT((before & handle_mask) != 0);
  const word after = before - handle_one;
  if (!last(after)) return {false, false, false};
  return {unseen(after), left(after), !unseen(after) && garbage(after)};
}

bool task_state::add_handle_from_reference() noexcept {
  const auto gone = [](word w) { return (w & (complete | handle_mask)) == complete; };
  return !gone(update([gone](word w) { return gone(w) ? w : w + handle_one; }));
}

bool task_state::drop_reference() noexcept {
  const word before = word_.fetch_sub(reference_one, sync::acq_rel);  // order: I6; peers: release_run() and the other drops
  SHEAF_ASSERT((before & reference_mask) != 0);
  return garbage(before - reference_one);
}

}  // namespace sheaf::detail
