#include <sheaf/runtime.hpp>

#include <algorithm>

#include <sheaf/detail/context.hpp>
#include <sheaf/run.hpp>

#include "runtime_core.hpp"
#include "waits_for.hpp"

namespace sheaf {

namespace detail {

void refuse_in_task(const char* call) {
  const thread_context& here = context();
  const bool may_block = here.step != detail::inside::nothing ? here.step == detail::inside::call : here.owner == nullptr;
  if (!may_block) throw invalid_state(std::string(call) + " was called in a task: it would block a worker; co_await instead");
}

}  // namespace detail

entered::entered(detail::runtime_core& core) : previous_(std::exchange(detail::context().runtime, &core)) {}
entered::~entered() { detail::context().runtime = previous_; }

runtime::runtime(runtime_options options) : core_(new detail::runtime_core(*this, std::move(options))) {
  detail::register_runtime(*core_);
}

runtime::~runtime() {
  core_->shutdown(core_->options().shutdown_limit, true);
  detail::unregister_runtime(*core_);
  core_->wait_for_uses();
  core_->drop_reference();
}

namespace {
/// On a thread of the runtime itself shutdown would wait for its own caller.
void refuse_inside(const detail::runtime_core& core, const char* call) {
  detail::refuse_in_task(call);
  if (detail::context().owner == &core) throw invalid_state(std::string(call) + " was called on a thread of the same runtime");
}
}  // namespace

void runtime::shutdown() {
  refuse_inside(*core_, "runtime::shutdown");
  static_cast<void>(core_->shutdown(core_->options().shutdown_limit, true));
}

bool runtime::shutdown_for(time_limit limit) {
  refuse_inside(*core_, "runtime::shutdown_for");
  return core_->shutdown(limit, false);
}

entered runtime::enter() {
  if (detail::context().step != detail::inside::nothing)
    throw invalid_state("runtime::enter was called in a task: its runtime is current already");
  return entered(*core_);
}

runtime* runtime::current() noexcept {
  detail::runtime_core* const core = detail::context().runtime;
  return core != nullptr ? &core->owner() : nullptr;
}

void runtime::check_run() const { detail::refuse_in_task("runtime::run"); }

std::vector<any_task> runtime::tasks() const {
  const std::vector<detail::task_core*> found = core_->live().snapshot();
  std::vector<any_task> handles;
  try {
    handles.reserve(found.size());
  } catch (...) {
    for (detail::task_core* const core : found) detail::drop_reference(*core);
    throw;
  }
  for (detail::task_core* const core : found) {
    if (core->state.add_handle_from_reference()) handles.push_back(detail::task_access::adopt<any_result>(*core));
    detail::drop_reference(*core);
  }
  std::ranges::sort(handles);
  return handles;
}

std::string runtime::dump() const { return detail::dump_tasks(core_->live(), core_->milliseconds()); }

runtime_metrics runtime::metrics() const { return core_->metrics(); }

}  // namespace sheaf
