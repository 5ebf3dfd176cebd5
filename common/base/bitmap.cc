#include "common/base/bitmap.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace bitquake {

absl::StatusOr<Bitmap> Bitmap::FromBytes(int64_t items, std::string bytes) {
  Bitmap bitmap(items);
  if (bytes.size() != bitmap.bytes_.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a bitmap of ", items, " items has ", bitmap.bytes_.size(), " bytes, not ", bytes.size()));
  }
  if (items % 8 != 0 && static_cast<uint8_t>(bytes.back()) >> (items % 8) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("a bitmap of ", items, " items has bits after the last item"));
  }
  bitmap.bytes_ = std::move(bytes);
  return bitmap;
}

int64_t Bitmap::Count() const {
  int64_t ones = 0;
  for (const char byte : bytes_) {
    ones += __builtin_popcount(static_cast<uint8_t>(byte));
  }
  return ones;
}

}  // namespace bitquake
