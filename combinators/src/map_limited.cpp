#include <sheaf/map_limited.hpp>

#include <stdexcept>

namespace sheaf::detail {

void check_limit(std::size_t limit) {
  if (limit == 0) throw std::invalid_argument("map_limited: a limit of 0 lets nothing run");
}

}  // namespace sheaf::detail
