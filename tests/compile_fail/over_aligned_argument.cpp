// expect: sheaf: spawned callables and their arguments cannot be over-aligned; pass a std::unique_ptr to the data instead
#include <sheaf/spawn.hpp>

struct alignas(64) line {
  char bytes[64];
};

int first(const line& of) { return of.bytes[0]; }

void misuse(line data) {
#ifdef SHEAF_CONTROL
  sheaf::spawn([](char byte) { return byte; }, data.bytes[0]);
#else
  sheaf::spawn(first, data);
#endif
}
