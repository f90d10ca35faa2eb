// expect: g++ 12 destroys this temporary twice inside co_await: pass the data as arguments, spawn(f, data), or name it first
// compiler: GNU 12
#include <sheaf/sheaf.hpp>

#include <array>
#include <string>
#include <utility>

sheaf::coro<> misuse(std::string text) {
#ifdef SHEAF_CONTROL
  auto work = [text] { return text.size(); };
  co_await sheaf::gather(work);
#else
  co_await sheaf::gather([text] { return text.size(); });
#endif
}
