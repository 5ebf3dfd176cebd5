// The pixels of folds, kept on a CUDA device: after its first pass over a fold the device need not
// wait for them. (Inside worker/engine only: this header shows torch.)
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <utility>

#include "absl/status/status.h"

namespace bitquake {

// Thread-compatible.
class ResidentPixels {
 public:
  // At most so many bytes; what was used longest ago goes first.
  explicit ResidentPixels(int64_t budget) : budget_(budget) {}

  // Undefined if they are not here.
  at::Tensor Find(int fold, int64_t chunk);
  // That the pixels of a fold sum up to what they did when they came. Waits for the device. Errors:
  // DataLoss.
  absl::Status Prove(int fold) const;
  void Keep(int fold, int64_t chunk, const at::Tensor& pixels);
  void Clear();

 private:
  using Key = std::pair<int, int64_t>;
  struct Entry {
    at::Tensor pixels;
    at::Tensor sum;    // of all, on the device
    int64_t used = 0;  // larger is later
  };

  const int64_t budget_;
  std::map<Key, Entry> entries_;
  std::map<int64_t, Key> by_use_;
  int64_t bytes_ = 0;
  int64_t uses_ = 0;
};

}  // namespace bitquake
