// expect: sheaf: a queue holds objects; for references use pointers
// other errors: allowed
#include <sheaf/queue.hpp>

#ifdef SHEAF_CONTROL
using item = int*;
#else
using item = int&;
#endif

void misuse(int& object) {
  sheaf::queue<item> items;
#ifdef SHEAF_CONTROL
  static_cast<void>(items.try_push(&object));
#else
  static_cast<void>(items.try_push(object));
#endif
}
