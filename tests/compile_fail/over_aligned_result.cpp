// expect: sheaf: results cannot be over-aligned; return a std::unique_ptr to the value instead
#include <sheaf/spawn.hpp>

#include <memory>

struct alignas(64) line {
  char bytes[64];
};

#ifdef SHEAF_CONTROL
sheaf::coro<std::unique_ptr<line>> value() { co_return std::make_unique<line>(); }
#else
sheaf::coro<line> value() { co_return line{}; }
#endif
