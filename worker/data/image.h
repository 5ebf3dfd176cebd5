// Encoded bytes to pixels, equal to what PIL gives (`Image.open(...).convert("RGB")`).
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bitquake {

// 8-bit RGB, interleaved, row-major, no padding.
struct Image {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> rgb;
};

inline constexpr int64_t kMaxImagePixels = int64_t{1} << 26;
inline constexpr int kMaxImageSide = 65535;

// PNG and JPEG by their first bytes, whatever the file's name says; grey, palette, alpha (dropped),
// 16-bit colour and CMYK become RGB as PIL converts them. EXIF orientation is ignored, as timm
// does. Errors: InvalidArgument for anything that does not decode whole (PIL decodes some corrupt
// JPEGs with made-up pixels), is larger than the limits above, or is a PNG in 16-bit grey (PIL
// whitens all values above 255).
absl::StatusOr<Image> DecodeImage(absl::string_view bytes);

}  // namespace bitquake
