// expect: g++ 12 destroys this temporary twice inside co_await: pass the data as arguments, spawn(f, data), or name it first
// compiler: GNU 12
#include <sheaf/sheaf.hpp>

#include <array>
#include <string>
#include <utility>

struct named {
  std::string name;
};
std::size_t length(const named& of) { return of.name.size(); }

sheaf::coro<> misuse(std::string text) {
#ifdef SHEAF_CONTROL
  const named data{text};
  co_await sheaf::spawn(length, data);
#else
  co_await sheaf::spawn(length, named{text});
#endif
}
