// An image of a data set, decoded and brought to the input of a small network.
#include <zlib.h>

#include <cstring>

#include "absl/status/status.h"
#include "tests/fuzz/must.h"
#include "tests/fuzz/mutate.h"
#include "worker/data/image.h"
#include "worker/data/transform.h"

// Of each chunk of a PNG: length, name, data, CRC-32 of name and data.
void MendChecksums(uint8_t* data, size_t size) {
  const auto bytes = [](uint8_t* at) {
    return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
  };
  if (size < 8 || std::memcmp(data, "\x89PNG\r\n\x1a\n", 8) != 0) {
    return;
  }
  for (data += 8, size -= 8; size >= 12 && bytes(data) <= size - 12;) {
    const uint32_t length = bytes(data);
    const auto crc = static_cast<uint32_t>(crc32(0, data + 4, length + 4));
    data += 8 + length;
    for (int i = 0; i < 4; ++i) {
      data[i] = static_cast<uint8_t>(crc >> (24 - 8 * i));
    }
    data += 4;
    size -= 12 + length;
  }
}

int bitquake::Fuzz(const uint8_t* data, size_t size) {
  const absl::StatusOr<Image> image = DecodeImage(Text(data, size));
  if (!image.ok()) {
    Must(absl::IsInvalidArgument(image.status()), "a refusal is the file's fault");
    return 0;
  }
  Must(image->width > 0 && image->width <= kMaxImageSide && image->height > 0 &&
           image->height <= kMaxImageSide,
       "an image has sides within the limit");
  Must(image->rgb.size() == size_t{3} * image->width * image->height, "an image has its pixels");
  Preprocessing preprocessing;
  preprocessing.height = 28;
  preprocessing.width = 28;
  const absl::StatusOr<std::vector<uint8_t>> pixels = Preprocess(*image, preprocessing);
  Must(pixels.ok() ? pixels->size() == size_t{3} * 28 * 28
                   : absl::IsInvalidArgument(pixels.status()),
       "an image becomes an input, or is too long and thin");
  return 0;
}
