/// The machine: steady clock, futexes, lock, parker, threads, cores.
#include <sheaf/detail/sync.hpp>

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "core_count.hpp"

namespace sheaf::detail {
namespace {

constexpr sync::nanoseconds k_millisecond = 1'000'000;

TEST(Clock, NeverRunsBackwards) {
  sync::nanoseconds last = sync::now();
  EXPECT_GT(last, 0);
  for (int i = 0; i < 1000; ++i) {
    const auto next = sync::now();
    ASSERT_GE(next, last);
    last = next;
  }
}

TEST(FutexWait, ReturnsAtOnceWhenTheWordDiffers) {
  const sync::atomic<std::uint32_t> word{7};
  sync::futex_wait(word, 8);
}

TEST(FutexWait, ReturnsAtOnceWhenTheDeadlineIsPast) {
  const sync::atomic<std::uint32_t> word{7};
  for (const sync::nanoseconds past :
       {std::numeric_limits<sync::nanoseconds>::min(), sync::nanoseconds{-1}, sync::nanoseconds{0}}) {
    sync::futex_wait(word, 7, past);
  }
}

TEST(FutexWait, LeavesErrnoAlone) {
  const sync::atomic<std::uint32_t> word{7};
  errno = 42;
  sync::futex_wait(word, 8);
  sync::futex_wait(word, 7, 1);
  EXPECT_EQ(errno, 42);
}

template <class Lock>
void let_one_thread_in_at_a_time() {
  struct shared {
    Lock lock;
    std::uint64_t plain = 0;
  } state;
  constexpr std::uint64_t k_turns = 20'000;
  const auto count = [](void* raw) noexcept {
    auto& mine = *static_cast<shared*>(raw);
    for (std::uint64_t i = 0; i < k_turns; ++i) {
      const sync::lock_guard guard(mine.lock);
      ++mine.plain;
    }
  };
  std::vector<sync::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back("counter", count, &state);
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(state.plain, 4 * k_turns);
}
TEST(Mutex, LetsOneThreadInAtATime) { let_one_thread_in_at_a_time<sync::mutex>(); }
TEST(SpinLock, LetsOneThreadInAtATime) { let_one_thread_in_at_a_time<sync::spin_lock>(); }

TEST(Mutex, TryLockFailsWhileHeld) {
  sync::mutex lock;
  ASSERT_TRUE(lock.try_lock());
  EXPECT_FALSE(lock.try_lock());
  lock.unlock();
  {
    sync::lock_guard guard(lock);
    guard.unlock();
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
  }
  EXPECT_TRUE(lock.try_lock());
  lock.unlock();
}

TEST(Mutex, WakesAThreadThatSleepsForIt) {
  struct shared {
    sync::mutex lock;
    sync::parker trying;
    bool entered = false;
  } state;
  state.lock.lock();
  sync::thread other(
      "other",
      [](void* raw) noexcept {
        auto& mine = *static_cast<shared*>(raw);
        mine.trying.signal();
        const sync::lock_guard guard(mine.lock);
        mine.entered = true;
      },
      &state);
  state.trying.wait();
  EXPECT_FALSE(state.entered);
  state.lock.unlock();
  other.join();
  EXPECT_TRUE(state.entered);
}

TEST(Parker, RemembersASignalGivenBefore) {
  sync::parker parker;
  EXPECT_FALSE(parker.signalled());
  parker.signal();
  EXPECT_TRUE(parker.wait());
  EXPECT_TRUE(parker.signalled());
  parker.reset();
  EXPECT_FALSE(parker.wait(sync::now()));
}

TEST(Parker, SleepsUntilAnotherThreadSignals) {
  struct shared {
    sync::parker go;
    sync::parker done;
    int value = 0;
  } state;
  sync::thread other(
      "other",
      [](void* raw) noexcept {
        auto& mine = *static_cast<shared*>(raw);
        mine.go.wait();
        mine.value = 1;
        mine.done.signal();
      },
      &state);
  state.go.signal();
  EXPECT_TRUE(state.done.wait());
  EXPECT_EQ(state.value, 1);
  other.join();
}

TEST(Parker, GivesUpAtTheDeadlineAndNotBefore) {
  sync::parker parker;
  const auto deadline = sync::now() + 2 * k_millisecond;
  EXPECT_FALSE(parker.wait(deadline));
  EXPECT_GE(sync::now(), deadline);
}

TEST(Thread, RunsUnderItsName) {
  std::array<char, 16> name{};
  sync::thread thread(
      "a name far too long for it", [](void* raw) noexcept { pthread_getname_np(pthread_self(), static_cast<char*>(raw), 16); },
      name.data());
  EXPECT_TRUE(thread.joinable());
  thread.join();
  EXPECT_FALSE(thread.joinable());
  EXPECT_STREQ(name.data(), "a name far too ");
}

TEST(Thread, MovesAndDetaches) {
  struct shared {
    sync::parker ran;
  } state;
  const auto run = [](void* raw) noexcept { static_cast<shared*>(raw)->ran.signal(); };
  sync::thread first("first", run, &state);
  sync::thread second(std::move(first));
  EXPECT_FALSE(first.joinable());  // NOLINT(bugprone-use-after-move): what a moved-from thread promises
  first = std::move(second);
  EXPECT_TRUE(first.joinable());
  state.ran.wait();
  first.detach();
  EXPECT_FALSE(first.joinable());
}

TEST(ThreadDeathTest, DroppingAJoinableThreadTerminates) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH({ const sync::thread dropped("dropped", [](void*) noexcept {}, nullptr); }, "");
}

TEST(UsableCores, FollowsTheAffinityMask) {
  struct answer {
    unsigned all = 0;
    unsigned one = 0;
  } cores;
  sync::thread asking(
      "asking",
      [](void* raw) noexcept {
        auto& mine = *static_cast<answer*>(raw);
        mine.all = sync::usable_cores();
        cpu_set_t mask;
        sched_getaffinity(0, sizeof mask, &mask);
        int core = 0;
        while (!CPU_ISSET(core, &mask)) ++core;
        CPU_ZERO(&mask);
        CPU_SET(core, &mask);
        sched_setaffinity(0, sizeof mask, &mask);
        mine.one = sync::usable_cores();
      },
      &cores);
  asking.join();
  EXPECT_GE(cores.all, 1U);
  EXPECT_EQ(cores.one, 1U);
}

/// A cgroup file system of plain files.
class CgroupCores : public testing::Test {
 protected:
  CgroupCores()
      : root_(std::filesystem::temp_directory_path() / ("sheaf_cgroup_" + std::to_string(getpid()) + "_" +
                                                        testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::create_directories(root_);
  }
  ~CgroupCores() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  unsigned cores(const std::string& membership) {
    write("membership", membership);
    const std::string file = root_ / "membership";
    const std::string mount = root_;
    return cgroup_cores({file.c_str(), mount.c_str()});
  }

 private:
  std::filesystem::path root_;
};

TEST_F(CgroupCores, AreUnknownWithoutFiles) {
  EXPECT_EQ(cgroup_cores({"/nonexistent/membership", "/nonexistent"}), 0U);
  EXPECT_EQ(cores("0::/\n"), 0U);
}

TEST_F(CgroupCores, RoundAVersion2QuotaUp) {
  write("app/cpu.max", "250000 100000\n");
  EXPECT_EQ(cores("0::/app\n"), 3U);
  write("app/cpu.max", "200000 100000\n");
  EXPECT_EQ(cores("0::/app\n"), 2U);
  write("app/cpu.max", "1000 100000\n");
  EXPECT_EQ(cores("0::/app\n"), 1U);
}

TEST_F(CgroupCores, IgnoreAVersion2GroupWithoutQuota) {
  write("app/cpu.max", "max 100000\n");
  EXPECT_EQ(cores("0::/app\n"), 0U);
  write("app/cpu.max", "garbage\n");
  EXPECT_EQ(cores("0::/app\n"), 0U);
}

TEST_F(CgroupCores, TakeTheTightestGroupOnTheWayUp) {
  write("cpu.max", "800000 100000\n");
  write("outer/cpu.max", "200000 100000\n");
  write("outer/inner/cpu.max", "400000 100000\n");
  EXPECT_EQ(cores("0::/outer/inner\n"), 2U);
}

TEST_F(CgroupCores, FallBackToTheMountedRootInsideAContainer) {
  write("cpu.max", "300000 100000\n");
  EXPECT_EQ(cores("0::/only/the/host/knows\n"), 3U);
}

TEST_F(CgroupCores, ReadVersion1) {
  write("cpu,cpuacct/app/cpu.cfs_quota_us", "150000\n");
  write("cpu,cpuacct/app/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cores("5:memory:/app\n4:cpu,cpuacct:/app\n"), 2U);
  write("cpu,cpuacct/app/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(cores("4:cpu,cpuacct:/app\n"), 0U);
}

TEST_F(CgroupCores, ReadVersion1MountedByTheShortName) {
  write("cpu/app/cpu.cfs_quota_us", "400000\n");
  write("cpu/app/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cores("4:cpuset:/app\n3:cpuacct,cpu:/app\n"), 4U);
}

}  // namespace
}  // namespace sheaf::detail
