// expect: sheaf: results cannot be over-aligned; return a std::unique_ptr to the value instead
#include <sheaf/spawn.hpp>

#include <memory>

struct alignas(64) line {
  char bytes[64];
};

#ifdef SHEAF_CONTROL
std::unique_ptr<line> value() { return std::make_unique<line>(); }
#else
line value() { return line{}; }
#endif
void misuse() { sheaf::spawn_blocking(value); }
