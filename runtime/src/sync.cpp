#include <sheaf/detail/sync.hpp>

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <system_error>
#include <utility>

#include "core_count.hpp"

namespace sheaf::detail::sync {

namespace {

constexpr nanoseconds k_second = 1'000'000'000;

/// Long enough for a holder on another core to finish its few pointer writes, far shorter than a sleep and a wake-up.
constexpr int k_lock_spins = 64;

static_assert(sizeof(atomic<std::uint32_t>) == sizeof(std::uint32_t) && atomic<std::uint32_t>::is_always_lock_free,
              "the kernel compares the four bytes at the word's address");

long futex(const atomic<std::uint32_t>& word, int operation, std::uint32_t value, const timespec* deadline) noexcept {
  const int saved = errno;  // Sheaf never changes its caller's errno
  const long result = syscall(SYS_futex, &word, operation | FUTEX_PRIVATE_FLAG, value, deadline, nullptr, FUTEX_BITSET_MATCH_ANY);
  errno = saved;
  return result;
}

struct thread_start {
  thread::entry run;
  void* argument;
  char name[16];
};

extern "C" void* sheaf_thread_entry(void* raw) {
  const thread_start start = *std::unique_ptr<thread_start>(static_cast<thread_start*>(raw));
  pthread_setname_np(pthread_self(), start.name);
  start.run(start.argument);
  return nullptr;
}

/// 0 when the kernel does not say.
unsigned affinity_cores() noexcept {
  for (std::size_t cores = CPU_SETSIZE; cores <= std::size_t{64} * CPU_SETSIZE; cores *= 2) {
    cpu_set_t* const set = CPU_ALLOC(cores);
    if (set == nullptr) return 0;
    const std::size_t bytes = CPU_ALLOC_SIZE(cores);
    const bool known = sched_getaffinity(0, bytes, set) == 0;
    const int count = known ? CPU_COUNT_S(bytes, set) : 0;
    const bool set_too_small = !known && errno == EINVAL;
    CPU_FREE(set);
    if (known) return static_cast<unsigned>(count);
    if (!set_too_small) return 0;
  }
  return 0;
}

}  // namespace

nanoseconds coarse_now() noexcept {
  timespec ts;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
  return ts.tv_sec * 1'000'000'000 + ts.tv_nsec;
}

constinit atomic<bool> membarrier::registered{false};

/// Without the kernel's help: read-modify-writes of one word are in one order, and each sees what came before the earlier ones.
void membarrier::symmetric() noexcept {
  static constinit atomic<unsigned> word{0};
  word.fetch_add(1, acq_rel);  // order: acq_rel; peer: itself on another thread.
}

void prepare_barriers() noexcept {
  if (membarrier::registered.load(relaxed)) return;
  const int saved = errno;
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0) membarrier::registered.store(true, relaxed);
  errno = saved;
}

void heavy_barrier() noexcept {
  if (!membarrier::registered.load(relaxed)) return membarrier::symmetric();
  const int saved = errno;
  // Light barriers rely on it by now.
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) std::terminate();
  errno = saved;
}

void yield_thread() noexcept { sched_yield(); }

nanoseconds now() noexcept {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<nanoseconds>(time.tv_sec) * k_second + time.tv_nsec;
}

void futex_wait(const atomic<std::uint32_t>& word, std::uint32_t expected, nanoseconds deadline) noexcept {
  if (deadline == k_forever) {
    futex(word, FUTEX_WAIT_BITSET, expected, nullptr);
  } else if (deadline > 0) {
    const timespec time{static_cast<time_t>(deadline / k_second), static_cast<long>(deadline % k_second)};
    futex(word, FUTEX_WAIT_BITSET, expected, &time);
  }
}

void futex_wake_one(const atomic<std::uint32_t>& word) noexcept { futex(word, FUTEX_WAKE, 1, nullptr); }

void futex_wake_all(const atomic<std::uint32_t>& word) noexcept { futex(word, FUTEX_WAKE, INT_MAX, nullptr); }

void mutex::lock_slow() noexcept {
  for (int spin = 0; spin < k_lock_spins; ++spin) {
    spin_pause();
    if (word_.load(relaxed) == k_free && try_lock()) return;
  }
  // order: acquire sees what the last holder wrote; peer: release in unlock(). Whoever gets the lock here leaves k_contended behind,
  // as others may sleep: one needless wake at worst.
  while (word_.exchange(k_contended, acquire) != k_free) futex_wait(word_, k_contended);
}

thread::thread(const char* name, entry run, void* argument) {
  std::unique_ptr<thread_start> start(new (std::nothrow) thread_start{run, argument, {}});
  if (start == nullptr) throw std::system_error(ENOMEM, std::generic_category(), "sheaf: no memory to start a thread");
  std::strncpy(start->name, name, sizeof start->name - 1);
  pthread_t handle;
  if (const int error = pthread_create(&handle, nullptr, &sheaf_thread_entry, start.get()); error != 0) {
    throw std::system_error(error, std::generic_category(), "sheaf: the system has no thread to give");
  }
  start.release();
  handle_ = handle;
  joinable_ = true;
}

thread& thread::operator=(thread&& other) noexcept {
  if (this == &other) return *this;
  if (joinable_) std::terminate();
  handle_ = other.handle_;
  joinable_ = std::exchange(other.joinable_, false);
  return *this;
}

thread::~thread() {
  if (joinable_) std::terminate();
}

void thread::join() noexcept {
  if (!std::exchange(joinable_, false) || pthread_join(handle_, nullptr) != 0) std::abort();
}

void thread::detach() noexcept {
  if (!std::exchange(joinable_, false) || pthread_detach(handle_) != 0) std::abort();
}

unsigned usable_cores() noexcept {
  const unsigned allowed = std::max(affinity_cores(), 1U);
  try {
    const unsigned paid = cgroup_cores();
    return paid == 0 ? allowed : std::min(allowed, paid);
  } catch (...) {
    return allowed;
  }
}

}  // namespace sheaf::detail::sync
