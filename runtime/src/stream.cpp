#include <sheaf/stream.hpp>

#include <string>

#include <sheaf/errors.hpp>

namespace sheaf::detail {

void throw_stream_misused(const char* how) { throw invalid_state(std::string("stream::next: ") + how); }

}  // namespace sheaf::detail
