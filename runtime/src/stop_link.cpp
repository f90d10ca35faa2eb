#include "stop_link.hpp"

namespace sheaf::detail {

namespace {
constexpr std::string_view k_reason = "its stop token was requested";
}

stop_link::stop_link(task_core& task, stop_ref token) : task_(task) {
  if (token.task_ != nullptr) cancel_.emplace(token.task_, request{*this});
  if (token.stop_ != nullptr) stop_.emplace(*token.stop_, request{*this});
}

void stop_link::arm() noexcept {
  // order: acq_rel shows the started task to fire(); peer: the exchange there.
  if (marked_.exchange(true, sync::acq_rel)) request_cancel(task_, k_reason);
}

void stop_link::fire() noexcept {
  // order: acq_rel sees the started task; peer: the exchange in arm().
  if (marked_.exchange(true, sync::acq_rel)) request_cancel(task_, k_reason);
}

void stop_link::unregister() noexcept {
  cancel_.reset();
  stop_.reset();
}

}  // namespace sheaf::detail
