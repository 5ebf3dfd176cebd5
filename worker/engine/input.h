// From 8-bit pixels to the network's input.
#pragma once

#include <ATen/ATen.h>

#include <array>
#include <cstdint>

#include "absl/types/span.h"
#include "common/model/architecture.h"

namespace bitquake {

// (pixel / 255 - mean) / std in fp32, in that order, as torchvision's ToTensor and Normalize
// compute it. Thread-safe.
class InputMaker {
 public:
  explicit InputMaker(const Preprocessing& preprocessing);

  // [chunk, channels, height, width]; images after the last of `pixels` are black.
  at::Tensor Make(absl::Span<const uint8_t* const> pixels, int chunk) const;

 private:
  int64_t height_;
  int64_t width_;
  std::array<std::array<float, 256>, 3> value_;  // of each channel and pixel
};

}  // namespace bitquake
