#include "worker/data/pixel_cache_file.h"

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

constexpr int64_t kPage = 4096;
constexpr char kMagic[8] = {'B', 'Q', 'P', 'I', 'X', 'E', 'L', 'S'};
constexpr uint64_t kLayoutVersion = 1;

struct Header {
  char magic[8];
  uint64_t layout_version;
  char key[64];
  int64_t images;
  int64_t bytes_per_image;
  uint64_t table_checksum;  // of the checksum table's bytes
};
static_assert(sizeof(Header) == 104, "no padding: the header is compared by its bytes");

Header MakeHeader(const PixelCacheShape& shape, const uint64_t* table) {
  Header header = {};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.layout_version = kLayoutVersion;
  shape.key.copy(header.key, sizeof(header.key));
  header.images = shape.images;
  header.bytes_per_image = shape.bytes_per_image;
  header.table_checksum = XXH3_64bits(table, shape.images * sizeof(uint64_t));
  return header;
}

const uint64_t* Table(const MappedFile& file) {
  return reinterpret_cast<const uint64_t*>(file.bytes().data() + kPage);
}

absl::Status WriteAt(int fd, const void* data, int64_t size, int64_t offset,
                     const std::string& path) {
  const char* bytes = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = pwrite(fd, bytes, size, offset);
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written < 0) {
      return ErrnoStatus(absl::StrCat(path, ": cannot write the pixel cache"));
    }
    bytes += written;
    size -= written;
    offset += written;
  }
  return absl::OkStatus();
}

}  // namespace

int64_t PixelCacheShape::PixelOffset(int64_t image) const {
  const int64_t table_end = kPage + images * static_cast<int64_t>(sizeof(uint64_t));
  return (table_end + kPage - 1) / kPage * kPage + image * bytes_per_image;
}

uint64_t PixelChecksum(absl::Span<const uint8_t> pixels) {
  return XXH3_64bits(pixels.data(), pixels.size());
}

absl::StatusOr<PixelCacheWriter> PixelCacheWriter::Create(const std::string& path,
                                                          PixelCacheShape shape) {
  const std::string temporary = path + ".tmp";
  const int fd = open(temporary.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) {
    return ErrnoStatus(absl::StrCat(temporary, ": cannot create the pixel cache"));
  }
  PixelCacheWriter writer(path, std::move(shape), fd);
  const int64_t size = writer.shape_.FileSize();
  int failed;
  do {
    failed = fallocate(fd, 0, 0, size);
  } while (failed != 0 && errno == EINTR);
  if (failed != 0 && errno != EOPNOTSUPP) {  // not every file system can; then the writes tell
    return ErrnoStatus(absl::StrCat(temporary, ": no room for the pixel cache of ", size,
                                    " bytes; free some, or choose another cache folder"));
  }
  return writer;
}

PixelCacheWriter::PixelCacheWriter(std::string path, PixelCacheShape shape, int fd)
    : path_(std::move(path)),
      temporary_(path_ + ".tmp"),
      shape_(std::move(shape)),
      checksums_(shape_.images),
      fd_(fd) {}

PixelCacheWriter::PixelCacheWriter(PixelCacheWriter&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      shape_(std::move(other.shape_)),
      checksums_(std::move(other.checksums_)),
      fd_(std::exchange(other.fd_, -1)) {}

PixelCacheWriter::~PixelCacheWriter() {
  if (fd_ >= 0) {
    close(fd_);
    unlink(temporary_.c_str());
  }
}

absl::Status PixelCacheWriter::Write(int64_t image, absl::Span<const uint8_t> pixels) {
  checksums_[image] = PixelChecksum(pixels);
  return WriteAt(fd_, pixels.data(), pixels.size(), shape_.PixelOffset(image), temporary_);
}

void PixelCacheWriter::StartSync(int64_t begin, int64_t end) {
  const int64_t offset = shape_.PixelOffset(begin);
  sync_file_range(fd_, offset, shape_.PixelOffset(end) - offset, SYNC_FILE_RANGE_WRITE);
}

absl::Status PixelCacheWriter::Publish() {
  const Header header = MakeHeader(shape_, checksums_.data());
  RETURN_IF_ERROR(
      WriteAt(fd_, checksums_.data(), checksums_.size() * sizeof(uint64_t), kPage, temporary_));
  RETURN_IF_ERROR(WriteAt(fd_, &header, sizeof(header), 0, temporary_));
  if (fsync(fd_) != 0 || rename(temporary_.c_str(), path_.c_str()) != 0) {
    return ErrnoStatus(absl::StrCat(path_, ": cannot write the pixel cache"));
  }
  close(std::exchange(fd_, -1));
  return absl::OkStatus();
}

absl::StatusOr<MappedFile> MapPixelCache(const std::string& path, const PixelCacheShape& shape) {
  ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  if (static_cast<int64_t>(file.bytes().size()) != shape.FileSize()) {
    return absl::DataLossError(
        absl::StrCat(path, ": ", file.bytes().size(), " bytes instead of ", shape.FileSize()));
  }
  const Header expected = MakeHeader(shape, Table(file));
  if (std::memcmp(file.bytes().data(), &expected, sizeof(expected)) != 0) {
    return absl::DataLossError(absl::StrCat(path, ": another or a damaged header"));
  }
  return file;
}

uint64_t StoredChecksum(const MappedFile& file, int64_t image) { return Table(file)[image]; }

}  // namespace bitquake
