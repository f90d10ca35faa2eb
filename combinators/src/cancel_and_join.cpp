#include <sheaf/cancel_and_join.hpp>

#include <sheaf/errors.hpp>

namespace sheaf::detail {

void throw_joins_itself(task_core& self) { throw invalid_state("cancel_and_join: task " + label_of(self) + " waits for itself"); }

}  // namespace sheaf::detail
