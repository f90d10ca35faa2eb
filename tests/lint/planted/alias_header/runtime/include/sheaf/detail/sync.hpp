#pragma once
#include <atomic>
template <class T>
using atomic = std::atomic<T>;
