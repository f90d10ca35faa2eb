#pragma once
/// @file
/// Which items a thread's stack is of: one that was queued for it, and those that a blocked get() or an eager start runs in place.
///
/// Their runtime counts each until it ends, for a manual clock and for shutdown. A stack has segments: each is of one runtime, and
/// thread_context::claims, waiting and outside are the innermost one's.

#include <sheaf/detail/context.hpp>

namespace sheaf::detail {

class stack_segment {
 public:
  stack_segment(const stack_segment&) = delete;
  stack_segment& operator=(const stack_segment&) = delete;
  ~stack_segment() {
    here_.claims = claims_;
    here_.waiting = waiting_;
    here_.outside = outside_;
  }

 protected:
  explicit stack_segment(thread_context& here) noexcept
      : here_(here), claims_(here.claims), waiting_(here.waiting), outside_(here.outside) {}
  void begin(bool outside) noexcept {
    here_.claims = here_.waiting = 0;
    here_.outside = outside;
  }
  thread_context& here_;

 private:
  const unsigned claims_;
  const unsigned waiting_;
  const bool outside_;
};

/// While it lives, one item more, of `runtime`, is on this stack.
class item_on_this_stack final : public stack_segment {
 public:
  item_on_this_stack(thread_context& here, const runtime_core& runtime) noexcept : stack_segment(here) {
    if (here.step == inside::nothing || here.runtime != &runtime) begin(true);
    ++here.claims;
  }
};

/// While it lives, an executor may run one item after the other on this stack, of whichever runtime.
class items_of_an_executor final : public stack_segment {
 public:
  explicit items_of_an_executor(thread_context& here) noexcept : stack_segment(here) { begin(false); }
};

/// Of the innermost segment.
inline unsigned items_of(const thread_context& here) noexcept {
  return here.claims + (here.step != inside::nothing && !here.outside ? 1 : 0);
}

}  // namespace sheaf::detail
