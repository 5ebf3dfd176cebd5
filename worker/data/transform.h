// timm's eval transform on PIL images: resize with antialias to floor(size / crop_pct), rounded and
// clamped to 8 bits, then the centre crop. Mean and std are applied by the engine.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/architecture.h"
#include "worker/data/image.h"

namespace bitquake {

enum class Filter { kBicubic, kBilinear };  // PIL's: bicubic with a = -0.5

// PIL's Image.resize on 8-bit RGB, bit for bit: fixed-point, horizontal pass first, as Pillow 3.3
// to 12 does. Pillow 13 goes vertically first for some sizes (the height shrinks more than the
// width).
Image Resize(const Image& image, int width, int height, Filter filter);

// InvalidArgument, by name, for what Preprocess does not support: other than 3 channels, a
// crop_mode but center and squash, an interpolation but bicubic and bilinear, sizes or a crop_pct
// out of range.
absl::Status CheckPreprocessing(const Preprocessing& preprocessing);

// Planar 8-bit pixels, channels x height x width of `preprocessing`. crop_mode center resizes the
// shorter side (an input that is not square: by timm's ResizeKeepRatio), squash both sides; a crop
// larger than the resized image is padded with zeros. Errors: those of CheckPreprocessing, and an
// image that is too long and thin.
absl::StatusOr<std::vector<uint8_t>> Preprocess(const Image& image,
                                                const Preprocessing& preprocessing);

}  // namespace bitquake
