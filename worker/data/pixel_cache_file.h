// The file behind a PixelCache: a header page, an XXH3-64 per image, the pixels from a page
// boundary on. It is read on the machine that wrote it: numbers are in its byte order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/base/file.h"

namespace bitquake {

// What a cache file must hold. The key is 64 hexadecimal digits.
struct PixelCacheShape {
  std::string key;
  int64_t images;
  int64_t bytes_per_image;

  int64_t PixelOffset(int64_t image) const;  // in the file
  int64_t FileSize() const { return PixelOffset(images); }
};

uint64_t PixelChecksum(absl::Span<const uint8_t> pixels);

// Writes one file beside its final name. Write and StartSync are thread-safe for different images;
// the others are thread-compatible. A file that was not published is removed.
class PixelCacheWriter {
 public:
  // Takes the whole space at once, so that a full disk shows before the work.
  static absl::StatusOr<PixelCacheWriter> Create(const std::string& path, PixelCacheShape shape);

  PixelCacheWriter(PixelCacheWriter&& other) noexcept;
  PixelCacheWriter& operator=(PixelCacheWriter&&) = delete;
  ~PixelCacheWriter();

  absl::Status Write(int64_t image, absl::Span<const uint8_t> pixels);

  // Has the disk begin with the images [begin, end), which are written, so that Publish need not
  // wait for all of them. A hint: what the system cannot do now, Publish does.
  void StartSync(int64_t begin, int64_t end);

  // Once every image is written: the header, a sync, the final name.
  absl::Status Publish();

 private:
  PixelCacheWriter(std::string path, PixelCacheShape shape, int fd);

  std::string path_;
  std::string temporary_;
  PixelCacheShape shape_;
  std::vector<uint64_t> checksums_;
  int fd_;
};

// A mapped file whose header, checksum table and size are those of `shape`. NotFound without the
// file, DataLoss if it is another or damaged; the pixels themselves are not read.
absl::StatusOr<MappedFile> MapPixelCache(const std::string& path, const PixelCacheShape& shape);

// Of a mapped file.
uint64_t StoredChecksum(const MappedFile& file, int64_t image);

}  // namespace bitquake
