#include <sheaf/spawn.hpp>

// Not a finding: what stands here must not compile.
sheaf::coro<> misuse(int number) { co_await sheaf::spawn([number] { return number; }); }
