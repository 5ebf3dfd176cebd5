// The two decoders behind DecodeImage. Each keeps its library's setjmp to its own file.
#pragma once

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

}  // namespace bitquake
