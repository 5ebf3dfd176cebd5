#include "worker/engine/resident_pixels.h"

#include "absl/strings/str_cat.h"

namespace bitquake {

at::Tensor ResidentPixels::Find(int fold, int64_t chunk) {
  const auto found = entries_.find({fold, chunk});
  if (found == entries_.end()) {
    return {};
  }
  Entry& entry = found->second;
  by_use_.erase(entry.used);
  entry.used = ++uses_;
  by_use_[entry.used] = found->first;
  return entry.pixels;
}

void ResidentPixels::Keep(int fold, int64_t chunk, const at::Tensor& pixels) {
  const auto size = static_cast<int64_t>(pixels.nbytes());
  if (size > budget_ || Find(fold, chunk).defined()) {
    return;
  }
  while (bytes_ + size > budget_) {
    const auto oldest = entries_.find(by_use_.begin()->second);
    bytes_ -= static_cast<int64_t>(oldest->second.pixels.nbytes());
    entries_.erase(oldest);
    by_use_.erase(by_use_.begin());
  }
  bytes_ += size;
  entries_[{fold, chunk}] = {pixels, pixels.sum(at::kLong), ++uses_};
  by_use_[uses_] = {fold, chunk};
}

absl::Status ResidentPixels::Prove(int fold) const {
  for (auto entry = entries_.lower_bound({fold, 0});
       entry != entries_.end() && entry->first.first == fold; ++entry) {
    if (!at::equal(entry->second.pixels.sum(at::kLong), entry->second.sum)) {
      return absl::DataLossError(absl::StrCat("pixels of fold ", fold, ", chunk ",
                                              entry->first.second, ", changed on the device"));
    }
  }
  return absl::OkStatus();
}

void ResidentPixels::Clear() {
  entries_.clear();
  by_use_.clear();
  bytes_ = 0;
}

}  // namespace bitquake
