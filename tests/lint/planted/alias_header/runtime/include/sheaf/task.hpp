#pragma once
#include <mutex>  // lint!
#include <vector>
#include <ranges>  // lint!
#include <fmt/format.h>  // lint!
#include <oneapi/tbb/task_arena.h>  // lint!
// A comment may say std::atomic and futex.
inline const char* text = "std::mutex";
inline sync::atomic<int> fine;
std::chrono::steady_clock::time_point also_fine;
