// The two decoders behind DecodeImage. Each keeps its library's setjmp to its own file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "worker/data/image.h"

namespace bitquake {

// Raised by every change to the decoders or the transform that can change a pixel: pixel caches
// carry it.
inline constexpr int kDecoderVersion = 1;

absl::StatusOr<Image> DecodeJpeg(absl::string_view bytes);
absl::StatusOr<Image> DecodePng(absl::string_view bytes);

// The limits of image.h, checked on the header before memory is taken.
absl::Status CheckImageSize(int64_t width, int64_t height);

// The rows of an image while they are decoded, first to last. Their memory grows with them: a
// header may promise an image that the file does not hold.
class RowBuffer {
 public:
  RowBuffer(size_t stride, int height) : stride_(stride), height_(height) {}

  // Of `y` at most one more than any before. Pointers to other rows are no longer good.
  uint8_t* Row(int y);
  // All `height` rows.
  std::vector<uint8_t> Take() && { return std::move(bytes_); }

 private:
  size_t stride_;  // bytes of a row
  int height_;
  int rows_ = 0;  // that there is memory for
  std::vector<uint8_t> bytes_;
};

}  // namespace bitquake
