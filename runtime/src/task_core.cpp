#include <sheaf/detail/task_core.hpp>

#include <cxxabi.h>

#include <memory>
#include <typeinfo>
#include <utility>

#include <sheaf/detail/context.hpp>
#include <sheaf/errors.hpp>
#include <sheaf/task.hpp>

#include "extras.hpp"
#include "runtime_core.hpp"
#include "this_thread.hpp"

namespace sheaf::detail {

void result_header::capture_current_exception() noexcept {
  std::exception_ptr caught = std::current_exception();
  const std::type_info* const type = abi::__cxa_current_exception_type();
  if (type != nullptr && (*type == typeid(cancelled) || *type == typeid(task_cancelled))) {
    return set_error(outcome_kind::cancelled, std::move(caught));
  }
  auto as = outcome_kind::error;
  try {
    throw;
  } catch (const cancelled&) {  // a class derived from them
    as = outcome_kind::cancelled;
  } catch (...) {
  }
  set_error(as, std::move(caught));
}

namespace {

/// True: the loop on this thread's stack goes on with the task.
bool caught_here(task_core& task) noexcept {
  thread_context& here = this_thread;
  if (!here.catches || here.runtime != task.runtime) return false;
  here.catches = false;
  const auto taken = task.state.wake_inline();
  if (taken != task_state::take::left) {
    here.caught = &task;
    here.caught_cancelled = taken == task_state::take::taken_cancelled;
  }
  return true;
}

}  // namespace

void wake(task_core& task) noexcept {
  if (caught_here(task)) return;
  const runtime_pin runtime(task, runtime_pin::incomplete);
  if (task.state.wake()) runtime->post_newest(task);
}

void wake_behind(task_core& task) noexcept {
  const runtime_pin runtime(task, runtime_pin::incomplete);
  if (task.state.wake()) runtime->post(task);
}

bool add_waiter(task_core& task, waiter_node& node) noexcept {
  if (!task.state.mark_watched()) return false;
  // Once it is added, the node may be notified and the task be gone.
  if (task.waiters.add(node)) return true;
  task.state.await_complete();
  return false;
}

void add_first_waiter(task_core& task, waiter_node& node) noexcept {
  task.waiters.add_first(node);
  task.state.mark_watched_unshared();
}

void notify_all(waiter_node* nodes, outcome_kind ended_with) noexcept {
  while (nodes != nullptr) {
    waiter_node* const next = nodes->next;
    nodes->notify(*nodes, ended_with);
    nodes = next;
  }
}

void drop_handle(task_core& task) noexcept {
  const auto dropped = task.state.drop_handle();
  if (!dropped.free && !dropped.left && !dropped.unseen) return;
  this_thread.catches = false;  // the user's code is next
  if (dropped.free) return task.ops->destroy_block(task);
  if (dropped.unseen) report_unobserved(task);
  if (dropped.left && !task.forked) task.ops->destroy_outcome(task);
  drop_reference(task);
}

void drop_reference(task_core& task) noexcept {
  if (!task.state.drop_reference()) return;
  this_thread.catches = false;  // as above
  task.ops->destroy_block(task);
}

// ---- ids and names -----------------------------------------------------------------------------------------------------------

/// Unique; taken from the common counter in blocks.
std::uint64_t thread_context::start_id_block() noexcept {
  constexpr std::uint64_t k_block = 256;
  static constinit sync::atomic<std::uint64_t> next_block{1};
  const std::uint64_t first = next_block.fetch_add(k_block, sync::relaxed);
  ids_end = first + k_block;
  return first;
}

std::uint64_t id_of(task_core& task) noexcept {
  std::uint64_t known = task.number.load(sync::relaxed);
  if (known != 0) return known;
  const std::uint64_t fresh = context().next_id();
  return task.number.compare_exchange_strong(known, fresh, sync::relaxed) ? fresh : known;
}

task_extras& extras_of(task_core& task) {
  if (task_extras* const found = find_extras(task)) return *found;
  auto made = std::make_unique<task_extras>();
  task_extras* expected = nullptr;
  // order: release publishes the made object, acquire sees another thread's; peer: find_extras() and this exchange.
  if (task.extras.compare_exchange_strong(expected, made.get(), sync::acq_rel, sync::acquire)) return *made.release();
  return *expected;
}

void end_extras_of(task_core& task) noexcept {
  task_extras& extras = *find_extras(task);
  if (extras.stop) extras.stop->unregister();
  // A value's destructor may set others.
  while (const local_table last = std::exchange(extras.locals, nullptr)) {
  }
}

namespace {
[[gnu::cold, gnu::noinline]] void delete_extras(task_extras* extras) noexcept { delete extras; }
}  // namespace

void release_extras(task_core& task) noexcept {
  if (task_extras* const extras = task.extras.load(sync::relaxed)) [[unlikely]]
    delete_extras(extras);
}

std::string name_of(task_core& task) {
  if (task_extras* const extras = find_extras(task)) {
    const sync::lock_guard guard(extras->lock);
    if (!extras->name.empty()) return extras->name;
  }
  return "task-" + std::to_string(id_of(task));
}

void set_name_of(task_core& task, std::string_view name) {
  std::string copy(name);
  task_extras& extras = extras_of(task);
  const sync::lock_guard guard(extras.lock);
  extras.name.swap(copy);
}

std::string cancel_reason_of(task_core& task) {
  if (task_extras* const extras = find_extras(task)) {
    const sync::lock_guard guard(extras->lock);
    return extras->reason;
  }
  return {};
}

std::string label_of(task_core& task) { return "'" + name_of(task) + "'"; }

std::string place_of(task_core& task) {
  const task_extras* const extras = find_extras(task);
  if (extras == nullptr || extras->where.line() == 0) return {};
  return std::string(extras->where.file_name()) + ":" + std::to_string(extras->where.line());
}

std::string label_and_place_of(task_core& task) {
  const std::string place = place_of(task);
  return label_of(task) + (place.empty() ? "" : " (" + place + ")");
}

// ---- outcomes ----------------------------------------------------------------------------------------------------------------

namespace {

/// What the task itself said when it ended cancelled, else what its canceller said.
std::string reason_of_cancelled(task_core& task) {
  if (task.header().error()) {
    try {
      std::rethrow_exception(task.header().error());
    } catch (const cancelled& caught) {
      if (!caught.reason().empty()) return caught.reason();
    } catch (...) {
    }
  }
  return cancel_reason_of(task);
}

}  // namespace

void throw_task_cancelled(task_core& task) { throw task_cancelled(label_of(task), reason_of_cancelled(task)); }

void throw_unless_value(task_core& task) {
  if (task.header().kind == outcome_kind::value) return;
  task.state.mark_observed();
  switch (task.header().kind) {
    case outcome_kind::error:
      std::rethrow_exception(task.header().error());
    default:
      throw_task_cancelled(task);
  }
}

void throw_not_complete(task_core& task, const char* call) {
  throw invalid_state(std::string(call) + ": task " + label_of(task) + " is not done");
}

task_status status_of(task_core& task) noexcept {
  if (!task.state.is_complete()) {
    return (task.state.snapshot() & task_state::running) != 0 ? task_status::running : task_status::pending;
  }
  switch (task.header().kind) {
    case outcome_kind::value:
      return task_status::succeeded;
    case outcome_kind::error:
      return task_status::failed;
    default:
      return task_status::cancelled;
  }
}

std::exception_ptr exception_of(task_core& task) {
  if (!task.state.is_complete()) throw_not_complete(task, "exception()");
  task.state.mark_observed();
  switch (task.header().kind) {
    case outcome_kind::value:
      return nullptr;
    case outcome_kind::error:
      return task.header().error();
    default:
      return std::make_exception_ptr(task_cancelled(label_of(task), reason_of_cancelled(task)));
  }
}

}  // namespace sheaf::detail

namespace sheaf {

std::string_view to_string(task_status status) noexcept {
  switch (status) {
    case task_status::pending:
      return "pending";
    case task_status::running:
      return "running";
    case task_status::succeeded:
      return "succeeded";
    case task_status::failed:
      return "failed";
    default:
      return "cancelled";
  }
}

}  // namespace sheaf
