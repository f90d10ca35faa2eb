#pragma once
/// @file
/// task_set: tasks that are waited for again and again, registered once.

#include <cstddef>
#include <iterator>
#include <utility>
#include <vector>

#include <sheaf/as_completed.hpp>
#include <sheaf/detail/gcc12.hpp>

namespace sheaf {

struct task_set_access;

/// A move-only range of tasks in input order, with its registrations: what wait() leaves pending. Waiting for it in place takes the
/// finished ones out in time proportional to their number; a snapshot looks at every task.
///
/// @par Threads       not synchronised
/// @par Lifetime      dropping it leaves the tasks running and removes its registrations; not while a wait for it is under way
/// @par Cancellation  of a task that waits for it: the set stays whole
/// @throws std::bad_alloc, invalid_state (empty handle) from the constructor
/// @par Cost          one block for all registrations; iterating copies a handle per task
template <class T = void>
class task_set {
 public:
  using value_type = task<T>;

  task_set() = default;
  /// Shares or takes over the tasks of a range; duplicates collapse.
  template <class Range>
    requires(detail::task_range<Range> && !std::is_same_v<std::remove_cvref_t<Range>, task_set>)
  explicit task_set(Range&& range) {
    detail::refuse_temporaries_of_gcc12<Range>();
    detail::child_list tasks(std::forward<Range>(range));
    tasks.remove_duplicates();
    core_.reset(detail::completion_core::make(tasks.all().size()));
    core_->add_all(tasks.all());
    tasks.release();
  }

  [[nodiscard]] std::size_t size() const noexcept { return core_ ? core_->outstanding() : 0; }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }

  class iterator {
   public:
    using value_type = task<T>;
    using difference_type = std::ptrdiff_t;
    iterator() = default;
    explicit iterator(detail::completion_node* node) noexcept : node_(node) {}
    [[nodiscard]] task<T> operator*() const noexcept { return detail::task_access::share<T>(*node_->task); }
    iterator& operator++() noexcept {
      node_ = node_->after;
      return *this;
    }
    iterator operator++(int) noexcept { return iterator(std::exchange(node_, node_->after)); }
    [[nodiscard]] bool operator==(const iterator&) const noexcept = default;

   private:
    detail::completion_node* node_ = nullptr;
  };
  [[nodiscard]] iterator begin() const noexcept { return iterator(core_ ? core_->first() : nullptr); }
  [[nodiscard]] iterator end() const noexcept { return {}; }

 private:
  friend struct task_set_access;
  detail::completion_owner core_;
};

/// The library's door to a set's core.
struct task_set_access {
  template <class T>
  static detail::completion_core* core(const task_set<T>& set) noexcept {
    return set.core_.get();
  }
};

}  // namespace sheaf
