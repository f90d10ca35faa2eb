// expect: g++ 12 destroys this temporary twice inside co_await: pass the data as arguments, spawn(f, data), or name it first
// compiler: GNU 12
#include <sheaf/sheaf.hpp>

#include <array>
#include <string>
#include <utility>

sheaf::coro<> misuse(sheaf::task<int> a, sheaf::task<int> b) {
#ifdef SHEAF_CONTROL
  auto [done, pending] = co_await sheaf::wait({}, a, b);
#else
  auto [done, pending] = co_await sheaf::wait(std::array{a, b});
#endif
}
