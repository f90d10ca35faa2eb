#include <linux/futex.h>
#include <thread>
long now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }
