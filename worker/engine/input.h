// From 8-bit pixels to the network's input. (Inside worker/engine only: this header shows torch.)
#pragma once

#include <ATen/ATen.h>

#include <array>
#include <cstdint>

#include "absl/types/span.h"
#include "common/model/architecture.h"

namespace bitquake {

// (pixel / 255 - mean) / std in fp32, in that order, as torchvision's ToTensor and Normalize
// compute it; then rounded to the type. The same on every device: pixels are looked up in a table
// that the host computed. Thread-safe.
class InputMaker {
 public:
  InputMaker(const Preprocessing& preprocessing, at::Device device, at::ScalarType type);

  // [chunk, channels, height, width]; images after the last of `pixels` are black.
  at::Tensor Make(absl::Span<const uint8_t* const> pixels, int chunk) const;

  // The same in two steps, for CUDA devices: what is uploaded, one byte a number, can be kept.
  at::Tensor UploadPixels(absl::Span<const uint8_t* const> pixels, int chunk) const;
  at::Tensor FromPixels(const at::Tensor& pixels) const;

 private:
  at::Tensor MakeOnHost(absl::Span<const uint8_t* const> pixels, int chunk) const;

  const at::Device device_;
  const at::ScalarType type_;
  const int64_t height_;
  const int64_t width_;
  std::array<std::array<float, 256>, 3> value_;  // of each channel and pixel
  at::Tensor table_;                             // value_ on the device, in the type
};

}  // namespace bitquake
