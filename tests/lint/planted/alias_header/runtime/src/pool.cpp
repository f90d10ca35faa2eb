#include <fmt/format.h>
#include <atomic>  // lint!
#include <queue>
std::atomic<int> word;  // lint!
std::atomic_flag flag;  // lint!
std::mutex lock;  // lint!
std::thread runner;  // lint!
std::jthread other;  // lint!
void f() {
  sync::futex_wait(word, 0);
  sync::lock_guard held(lock);
  syscall(SYS_futex, &word);  // lint!
  futex_wake(&word);  // lint!
  std::this_thread::sleep_for(1s);  // lint!
  auto t = std::chrono::steady_clock::now();  // lint!
  word.load(std::memory_order_relaxed);  // lint!
  pthread_sigmask(0, nullptr, nullptr);
  this_task::yield();
}
