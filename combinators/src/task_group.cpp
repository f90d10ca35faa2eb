#include <sheaf/task_group.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include <sheaf/detail/frame_cache.hpp>
#include <sheaf/errors.hpp>

namespace sheaf {

namespace {
std::string describe(const std::string& what, const std::vector<std::exception_ptr>& errors) {
  std::string text = what + " (" + std::to_string(errors.size()) + (errors.size() == 1 ? " error)" : " errors)");
  const char* separator = ": ";
  for (const std::exception_ptr& error : errors) {
    text += separator;
    separator = "; ";
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& caught) {
      text += caught.what();
    } catch (...) {
      text += "an exception of unknown type";
    }
  }
  return text;
}
}  // namespace

exception_group::exception_group(const std::string& what, std::vector<std::exception_ptr> errors)
    : std::runtime_error(describe(what, errors)),
      errors_(std::make_shared<const std::vector<std::exception_ptr>>(std::move(errors))) {}
exception_group::~exception_group() = default;

namespace detail {

struct group_core::member final : waiter_node {
  explicit member(group_core& owner, task_core& of) noexcept : waiter_node(&ended), core(&owner), child(&of) {
    of.state.add_handle();
  }
  ~member() { drop_handle(*child); }
  static void* operator new(std::size_t bytes) { return allocate_block(bytes); }
  static void operator delete(void* member, std::size_t bytes) noexcept { free_block(member, bytes); }
  static void ended(waiter_node& node, outcome_kind with) noexcept {
    auto& self = static_cast<member&>(node);
    self.core->child_ended(self, with == outcome_kind::error);
  }
  group_core* core;
  task_core* child;
  member* before = nullptr;
  member* after = nullptr;
  member* next_failed = nullptr;
  std::uint32_t asked = 0;  ///< the round in which it was last asked to stop
};

group_core* group_core::make(task_core& parent) {
  auto* const core = new group_core(parent);
  core->scope_.open(parent);
  return core;
}

void group_core::forget_failures() noexcept {
  while (member* const each = failed_first_) {
    failed_first_ = each->next_failed;
    delete each;
  }
}

void group_core::drop() noexcept {
  // order: acq_rel: the last one sees what the others did; peer: the other drops (T4).
  if (references_.fetch_sub(1, sync::acq_rel) == 1) delete this;
}

namespace {
[[noreturn]] void throw_refused(bool aborting) {
  throw invalid_state(aborting ? "task_group::spawn: the group is being cancelled" : "task_group::spawn: the group has ended");
}
}  // namespace

void group_core::check_open() const {
  // Relaxed: link() decides.
  if (const phase now = phase_.load(sync::relaxed); now != phase::open) throw_refused(now == phase::aborting);
}

void group_core::link(task_core& child) {
  auto made = std::make_unique<member>(*this, child);
  const sync::lock_guard guard(lock_);
  check_open();
  add_first_waiter(child, *made);  // while nobody else knows the child
  made->before = last_;
  (last_ != nullptr ? last_->after : first_) = made.get();
  last_ = made.get();
  children_.fetch_add(k_child, sync::relaxed);
  static_cast<void>(made.release());
}

void group_core::unlink(member& child) noexcept {
  (child.before != nullptr ? child.before->after : first_) = child.after;
  (child.after != nullptr ? child.after->before : last_) = child.before;
  child.before = child.after = nullptr;
}

void group_core::file_failure(member& child) noexcept {
  const sync::lock_guard guard(lock_);
  (failed_last_ != nullptr ? failed_last_->next_failed : failed_first_) = &child;
  failed_last_ = &child;
}

void group_core::child_ended(member& child, bool failed) noexcept {
  if (failed) {
    child.child->state.mark_observed();
    file_failure(child);  // before the abort, whose failures come after this one
    abort();              // still counted: T2
  }
  {
    const sync::lock_guard guard(lock_);
    unlink(child);
  }
  if (!failed) delete &child;  // and the result, if nobody else has a handle
  count_off();
}

void group_core::count_off() noexcept {
  std::uint32_t seen = children_.load(sync::relaxed);
  while (seen != (k_child | k_joining)) {
    // order: release: what the child did is seen by the parent; peer: acquire in suspend() and below. The core may be gone then.
    if (children_.compare_exchange_weak(seen, seen - k_child, sync::release, sync::relaxed)) return;
  }
  // The last one, unless another is linked before the lock is taken. The parent sleeps until it is woken here, and keeps the core.
  {
    const sync::lock_guard guard(lock_);
    // order: acquire: what the other children did; peer: release above.
    if (children_.fetch_sub(k_child, sync::acquire) != (k_child | k_joining)) return;
    close();
  }
  wake(*parent_);
}

void group_core::close() noexcept {
  children_.store(0, sync::relaxed);
  phase_.store(phase::closed, sync::relaxed);
}

bool group_core::begin_abort() noexcept {
  const sync::lock_guard guard(lock_);
  if (phase_.load(sync::relaxed) != phase::open) return false;
  phase_.store(phase::aborting, sync::relaxed);
  ++round_;
  references_.fetch_add(2, sync::relaxed);  // the abort item, and this thread until it has fired the scope
  return true;
}

void group_core::abort() noexcept {
  if (!begin_abort()) return;
  post_to(*runtime_, abort_item_);
  scope_.fire();
  drop();
}

void group_core::abort_children() noexcept {
  const unsigned pending = scope_.level();
  if (!begin_abort()) return;
  passed_on_ = pending;  // what comes later goes on to the children in the join
  post_to(*runtime_, abort_item_);
  drop();
}

void group_core::pass_cancel_on() noexcept {
  const unsigned asked = scope_.level();
  if (asked <= passed_on_) return;
  passed_on_ = asked;
  {
    const sync::lock_guard guard(lock_);
    if (phase_.load(sync::relaxed) == phase::open) phase_.store(phase::aborting, sync::relaxed);
    ++round_;
  }
  cancel_children();
}

void group_core::abort_item::run(work_item& item) noexcept {
  group_core& core = *static_cast<abort_item&>(item).core;
  runtime_core& runtime = *core.runtime_;
  core.cancel_children();
  core.drop();
  posted_done(runtime);
}

void group_core::cancel_children() noexcept {
  for (;;) {
    task_core* child = nullptr;
    {
      // Asked ones go to the end, so that the first is asked only when all are. The lock is not held over a request.
      const sync::lock_guard guard(lock_);
      member* const each = first_;
      if (each == nullptr || each->asked == round_) return;
      each->asked = round_;
      if (each != last_) {
        unlink(*each);
        each->before = last_;
        last_->after = each;
        last_ = each;
      }
      child = each->child;
      child->state.add_reference();
    }
    request_cancel(*child, "its task group was cancelled");
    drop_reference(*child);
  }
}

void group_core::throw_failures(std::exception_ptr body_error) {
  std::vector<std::exception_ptr> errors;
  for (const member* each = failed_first_; each != nullptr; each = each->next_failed)
    errors.push_back(each->child->header().error());
  if (body_error) errors.push_back(std::move(body_error));
  throw exception_group("task group failed", std::move(errors));
}

bool group_join::suspend() noexcept {
  const sync::lock_guard guard(core_->lock_);
  // order: acquire: what the children did that have ended; peer: release in count_off().
  if (core_->children_.fetch_or(group_core::k_joining, sync::acquire) == 0) {
    core_->close();
    return false;
  }
  core_->passed_on_ = std::max(core_->passed_on_, core_->scope_.seen_level());
  return true;
}

cancel_answer group_join::on_cancel(task_core&) noexcept {
  core_->pass_cancel_on();
  return cancel_answer::stay;
}

void group_join::add_targets(std::vector<const task_core*>& all) const {
  for (;;) {
    all.reserve(all.size() + core_->size());
    const sync::lock_guard guard(core_->lock_);
    if (all.capacity() - all.size() < core_->size()) continue;  // more have come
    for (const group_core::member* each = core_->first_; each != nullptr; each = each->after) all.push_back(each->child);
    return;
  }
}

void throw_group_without_value() { throw task_cancelled("group body", "the group was cancelled before it gave a value"); }

void start_in_group(group_core& group, task_core& child, const start_options& options) {
  child.runtime = &group.runtime();
  try {
    describe(child, options);
    reserve_start(child, group.runtime());
    group.link(child);
  } catch (...) {
    discard_unstarted(child);
    throw;
  }
  // Cannot fail any more: described, and a structured child is admitted always.
  start_task(child, group.runtime(), {.eager = options.eager, .structured = true}, "task_group::spawn");
}

}  // namespace detail
}  // namespace sheaf
