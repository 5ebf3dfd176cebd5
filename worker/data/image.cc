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

uint8_t* RowBuffer::Row(int y) {
  constexpr size_t kFirstBytes = size_t{16} << 20;  // most images whole
  if (y >= rows_) {
    const size_t wanted =
        rows_ == 0 ? std::max<size_t>(kFirstBytes / stride_, 1) : size_t{2} * rows_;
    rows_ = static_cast<int>(std::min<size_t>(wanted, height_));
    bytes_.resize(rows_ * stride_);
  }
  return bytes_.data() + y * stride_;
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
