#include "local_values.hpp"

#include <algorithm>
#include <utility>

#include <sheaf/detail/fork_join.hpp>
#include <sheaf/task_local.hpp>
#include <sheaf/this_task.hpp>

#include "extras.hpp"

namespace sheaf::detail {

namespace {

/// Null: none. V1.
const local_table* table_of(task_core& task) noexcept {
  for (task_core* each = &task;; each = each->join->parent) {
    task_extras* const extras = find_extras(*each);
    if (extras != nullptr && extras->locals != nullptr) return &extras->locals;
    if (!each->forked) return nullptr;
  }
}

}  // namespace

void inherit_locals_from(task_core& parent, task_core& child) {
  const local_table* const inherited = table_of(parent);
  if (inherited != nullptr) extras_of(child).locals = *inherited;
}

std::uint64_t next_local_key() noexcept {
  static constinit sync::atomic<std::uint64_t> next{1};
  return next.fetch_add(1, sync::relaxed);
}

const void* find_local(std::uint64_t key) noexcept {
  if (this_thread.task == nullptr) return nullptr;
  const local_table* const table = table_of(*this_thread.task);
  if (table == nullptr) return nullptr;
  const auto found = std::ranges::find(**table, key, &local_slot::key);
  return found != (*table)->end() ? found->value.get() : nullptr;
}

local_value exchange_local(std::uint64_t key, local_value value, const char* call) {
  task_core& task = running_task(call);
  const local_table* const before = table_of(task);
  auto table =
      before != nullptr ? std::make_shared<std::vector<local_slot>>(**before) : std::make_shared<std::vector<local_slot>>();
  const auto found = std::ranges::find(*table, key, &local_slot::key);
  if (found == table->end()) {
    table->push_back({key, std::move(value)});
  } else {
    std::swap(found->value, value);
    if (found->value == nullptr) table->erase(found);
  }
  // The former table's end may be the end of values: user code, which finds the new one in place.
  const local_table former = std::exchange(extras_of(task).locals, std::move(table));
  return value;
}

std::uint64_t running_task_id() noexcept { return this_thread.task != nullptr ? id_of(*this_thread.task) : 0; }

}  // namespace sheaf::detail
