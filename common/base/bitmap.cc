#include "common/base/bitmap.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace bitquake {

absl::StatusOr<Bitmap> Bitmap::FromBytes(int64_t items, std::string bytes) {
  // Both come from others: no memory is taken on the word of `items`.
  const uint64_t expected = items / 8 + (items % 8 != 0 ? 1 : 0);
  if (items < 0 || bytes.size() != expected) {
    return absl::InvalidArgumentError(absl::StrCat("a bitmap of ", items, " items has ",
                                                   items < 0 ? 0 : expected, " bytes, not ",
                                                   bytes.size()));
  }
  if (items % 8 != 0 && static_cast<uint8_t>(bytes.back()) >> (items % 8) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("a bitmap of ", items, " items has bits after the last item"));
  }
  Bitmap bitmap;
  bitmap.items_ = items;
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
