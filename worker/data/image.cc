#include "worker/data/image.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "worker/data/image_codecs.h"

namespace bitquake {

absl::Status CheckImageSize(int64_t width, int64_t height) {
  if (std::min(width, height) < 1 || std::max(width, height) > kMaxImageSide ||
      width * height > kMaxImagePixels) {
    return absl::InvalidArgumentError(absl::StrCat("image of ", width, " x ", height,
                                                   " pixels; the limit is ", kMaxImageSide,
                                                   " a side and ", kMaxImagePixels, " in all"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Image> DecodeImage(absl::string_view bytes) {
  if (absl::StartsWith(bytes, "\xff\xd8\xff")) {
    return DecodeJpeg(bytes);
  }
  if (absl::StartsWith(bytes, "\x89PNG\r\n\x1a\n")) {
    return DecodePng(bytes);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("neither JPEG nor PNG by its first bytes (", bytes.size(), " bytes)"));
}

}  // namespace bitquake
