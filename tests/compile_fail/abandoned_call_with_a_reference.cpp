// expect: sheaf: an abandoned call may outlive what std::ref refers to; pass its arguments by value
#include <functional>

#include <sheaf/spawn.hpp>

int length(const int& number) { return number; }

void misuse() {
  const int number = 1;
#ifdef SHEAF_CONTROL
  sheaf::spawn_blocking(sheaf::abandon, length, number);
#else
  sheaf::spawn_blocking(sheaf::abandon, length, std::cref(number));
#endif
}
