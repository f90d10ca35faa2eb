// compiler: GNU 12
#define SHEAF_TRUST_GCC12
#include <sheaf/sheaf.hpp>

#include <string>

auto outside_of_a_co_await(const std::string& text) {
  return sheaf::spawn([text] { return text.size(); });
}
