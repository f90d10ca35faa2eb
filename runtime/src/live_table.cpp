#include "live_table.hpp"

#include <bit>

namespace sheaf::detail {

const live_place* live_table::find(std::size_t index) const noexcept {
  const std::size_t chunk = static_cast<std::size_t>(std::bit_width(index / k_first));
  if (chunk >= k_chunks) return nullptr;
  // order: acquire sees the chunk's empty places; peer: next_chunk().
  const live_place* const start = starts_[chunk].load(sync::acquire);
  if (start == nullptr) return nullptr;
  return start + (chunk == 0 ? index : index - size_of(chunk));
}

void live_table::next_chunk() {
  std::size_t next = chunks_ == 0 ? 0 : chunk_ + 1;
  if (next == chunks_) {  // a lap is over
    const std::size_t places = chunks_ == 0 ? 0 : 2 * size_of(chunks_ - 1) - (chunks_ == 1 ? k_first : 0);
    if (found_ * 4 >= places && places != 0) {
      next = 0;
    } else {
      owned_[next] = std::make_unique<live_place[]>(size_of(next));
      // order: release publishes the empty places; peer: find().
      starts_[next].store(owned_[next].get(), sync::release);
      ++chunks_;
    }
    found_ = 0;
  }
  chunk_ = next;
  cursor_ = owned_[next].get();
  end_ = cursor_ + size_of(next);
}

}  // namespace sheaf::detail
