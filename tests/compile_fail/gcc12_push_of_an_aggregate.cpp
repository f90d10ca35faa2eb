// expect: g++ 12 destroys this temporary twice inside co_await: pass the data as arguments, spawn(f, data), or name it first
// compiler: GNU 12
#include <sheaf/sheaf.hpp>

#include <string>

struct named {
  std::string name;
};

sheaf::coro<> misuse(sheaf::queue<named>& items, std::string text) {
#ifdef SHEAF_CONTROL
  const named data{text};
  co_await items.push(data);
#else
  co_await items.push(named{text});
#endif
}
