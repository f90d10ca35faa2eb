#pragma once
#include <thread>  // lint!
#include <condition_variable>  // lint!
#include <future>  // lint!
#include <barrier>  // lint!
#include <queue>  // lint!
std::condition_variable_any changed;  // lint!
