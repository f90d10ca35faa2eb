#pragma once
/// @file
/// weather: what the tasks of a storm share, and what they do.

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include <sheaf/sheaf.hpp>

#include "box.hpp"

namespace sheaf::stress {

/// The only error that tasks throw themselves.
class planned : public std::runtime_error {
 public:
  explicit planned(ledger& in) : std::runtime_error("planned"), alive_(in.errors) {}

 private:
  counted alive_;
};

/// Handles that any thread and any task may take a copy of, replace or drop.
class shared_tasks {
 public:
  [[nodiscard]] task<counted> pick(dice& roll) const;
  /// What was there is dropped outside the lock.
  void put(dice& roll, task<counted> started);
  void clear();

 private:
  mutable std::mutex lock_;
  std::array<task<counted>, 16> tasks_;  ///< under lock_
};

/// What the tasks of one round share. Outlives them.
struct weather {
  static constexpr std::size_t k_permits = 3;

  ledger accounts;
  shared_tasks tasks;
  semaphore permits{k_permits};
  mutex lock;
  bool occupied = false;  ///< under lock
  queue<counted> items{4};
  std::atomic<std::int64_t> items_in{0}, items_out{0};

  /// When everything has ended: all accounts balance, nothing is held.
  void expect_calm();
};

/// Does something at random, `depth` levels of children below it, and has a value, fails, or is cancelled.
coro<counted> act(weather& in, std::uint64_t seed, int depth);

/// Calls `body`, whose every planned end is fine.
template <class Body>
void survives(ledger& accounts, Body body) {
  try {
    body();
  } catch (const planned&) {
  } catch (const cancelled&) {
  } catch (const timeout_error&) {
  } catch (const exception_group&) {
  } catch (const would_deadlock&) {
  } catch (const runtime_closed&) {
  } catch (const std::exception& caught) {
    ++accounts.unexpected;
    ADD_FAILURE() << "unexpected: " << caught.what();
  }
}

/// Ends the program, with a dump of every runtime, when a round takes minutes: something waits for what does not come.
class watchdog {
 public:
  watchdog();
  watchdog(const watchdog&) = delete;
  watchdog& operator=(const watchdog&) = delete;
  ~watchdog();
  void add(runtime& rt);
  void remove(runtime& rt);

 private:
  void watch();

  std::mutex lock_;
  std::condition_variable over_changed_;
  bool over_ = false;               ///< under lock_
  std::vector<runtime*> runtimes_;  ///< under lock_
  std::thread thread_;
};

/// On a plain thread: waits until nothing is alive on `rt`, asking what is left to stop.
void calm_down(runtime& rt);

}  // namespace sheaf::stress
