#pragma once
/// @file
/// Waits of threads outside in a foreign executor, which goes when its runtime has gone, though what they wait for was left behind.
///
/// @par Invariants
/// - V1: a thread outside is in the executor's wait() only while its wait is listed. There it may run what is queued.
/// - V2: shutdown closes the list when nothing is queued or running that the executor has been given. Who is listed is told to leave, and
///   the executor may go when all have left.
/// - V3: a listed wait, its parker with it, is there until its thread has taken it out, under the lock.
/// @par Threads  begin() and end(): the one that waits; close() and all_left(): the one in shutdown

#include <cstdint>

#include <sheaf/detail/sync.hpp>

namespace sheaf::detail {

class runtime_core;

class outside_waits {
 public:
  /// To the parker: leave the executor. Waits use lower bits, executors higher ones.
  static constexpr std::uint32_t k_leave = std::uint32_t{1} << 16;

  /// On the stack of the thread that waits.
  struct wait {
    runtime_core& runtime;  ///< whose executor it is
    sync::parker& parker;
    wait* next = nullptr;
    wait** link = nullptr;
  };

  /// False: closed.
  [[nodiscard]] bool begin(wait& one) noexcept {
    const sync::lock_guard guard(lock_);
    if (closed_) return false;
    one.next = first_;
    one.link = &first_;
    if (first_ != nullptr) first_->link = &one.next;
    first_ = &one;
    return true;
  }

  /// True: the last one of a closed list.
  [[nodiscard]] bool end(wait& one) noexcept {
    const sync::lock_guard guard(lock_);
    *one.link = one.next;
    if (one.next != nullptr) one.next->link = one.link;
    return closed_ && first_ == nullptr;
  }

  void close() noexcept {
    const sync::lock_guard guard(lock_);
    closed_ = true;
    for (wait* each = first_; each != nullptr; each = each->next) each->parker.signal(k_leave);
  }
  [[nodiscard]] bool all_left() noexcept {
    const sync::lock_guard guard(lock_);
    return first_ == nullptr;
  }

 private:
  sync::mutex lock_;
  bool closed_ = false;    ///< under lock_
  wait* first_ = nullptr;  ///< under lock_
};

}  // namespace sheaf::detail
