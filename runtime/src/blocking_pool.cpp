#include "blocking_pool.hpp"

#include <utility>

#include "blocking_threads.hpp"

namespace sheaf::detail {

blocking_pool::blocking_pool(const options& chosen) : state_(new blocking_threads(chosen)) {}

blocking_pool::~blocking_pool() {
  if (!abandoned_) static_cast<void>(state_->shutdown(sync::k_forever));
  state_->drop_reference();
}

void blocking_pool::submit(work_item& item) { state_->submit(item); }

bool blocking_pool::shutdown(sync::nanoseconds deadline) noexcept { return state_->shutdown(deadline); }

void blocking_pool::abandon() noexcept {
  if (!std::exchange(abandoned_, true)) state_->abandon();
}

std::size_t blocking_pool::threads() const noexcept { return state_->count().threads; }
std::size_t blocking_pool::queued() const noexcept { return state_->count().queued; }
std::size_t blocking_pool::idle() const noexcept { return state_->count().idle; }

}  // namespace sheaf::detail
