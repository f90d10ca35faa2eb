// expect: g++ 12 destroys this temporary twice inside co_await: pass the data as arguments, spawn(f, data), or name it first
// compiler: GNU 12
#include <sheaf/sheaf.hpp>

#include <array>
#include <string>
#include <utility>

sheaf::coro<> misuse(std::string text) {
#ifdef SHEAF_CONTROL
  auto body = [text](sheaf::task_group&) -> sheaf::coro<> { co_return; };
  co_await sheaf::with_task_group(body);
#else
  co_await sheaf::with_task_group([text](sheaf::task_group&) -> sheaf::coro<> { co_return; });
#endif
}
