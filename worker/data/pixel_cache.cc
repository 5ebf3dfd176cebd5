#include "worker/data/pixel_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <limits>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "worker/data/image.h"
#include "worker/data/image_codecs.h"
#include "worker/data/pixel_cache_file.h"
#include "worker/data/transform.h"

namespace bitquake {
namespace {

constexpr int64_t kImagesAtOnce = 32;  // that a thread takes
constexpr absl::Duration kLockPoll = absl::Milliseconds(20);

// All that the pixels depend on; mean and std come later, in the engine.
std::string CacheKey(const std::string& data_digest, const Preprocessing& p) {
  return Sha256Hex(absl::StrFormat("pixels v%d\n%s\n%d x %d x %d\n%.17g\n%s\n%s\n", kDecoderVersion,
                                   data_digest, p.channels, p.height, p.width, p.crop_pct,
                                   p.crop_mode, p.interpolation));
}

// Decodes all samples into the writer, on several threads. What fails first by sample order is the
// error, whatever the threads' timing: samples are handed out in order, and each before the failed
// one is done.
class Build {
 public:
  Build(const Dataset& dataset, const Preprocessing& preprocessing,
        const PixelCacheOptions& options, PixelCacheWriter* writer)
      : dataset_(dataset), preprocessing_(preprocessing), options_(options), writer_(writer) {}

  absl::Status Run() {
    ASSIGN_OR_RETURN(const std::string stamp, dataset_.Stamp());
    RETURN_IF_ERROR(DecodeAll());
    // Else the cache would hold other data than its key says.
    if (const auto now = dataset_.Stamp(); !now.ok() || *now != stamp) {
      return absl::FailedPreconditionError(
          absl::StrCat(dataset_.folder(),
                       " changed while its images were decoded; leave it as it is, start again"));
    }
    return absl::OkStatus();
  }

 private:
  // The shard that a thread reads: successive samples mostly lie in the same one.
  struct OpenShard {
    int number = -1;
    MappedFile file;
  };

  absl::Status DecodeAll() {
    std::vector<std::thread> threads;
    for (int i = 1; i < options_.threads; ++i) {
      threads.emplace_back([this] { Work(); });
    }
    Work();
    for (std::thread& thread : threads) {
      thread.join();
    }
    const std::lock_guard lock(mutex_);
    return status_;
  }

  void Work() {
    OpenShard shard;
    const int64_t count = dataset_.samples().size();
    for (;;) {
      const int64_t begin = next_.fetch_add(kImagesAtOnce);
      const int64_t end = std::min(begin + kImagesAtOnce, count);
      for (int64_t i = begin; i < end; ++i) {
        if (i >= stop_at_.load()) {
          return;
        }
        Report(i, Cancelled() ? absl::CancelledError("building the pixel cache was cancelled")
                              : DecodeOne(i, shard));
      }
      if (begin >= count) {
        return;
      }
      writer_->StartSync(begin, end);
    }
  }

  bool Cancelled() {
    const std::lock_guard lock(mutex_);
    return options_.cancelled();
  }

  absl::Status DecodeOne(int64_t index, OpenShard& shard) {
    const Sample& sample = dataset_.samples()[index];
    if (shard.number != sample.shard) {
      ASSIGN_OR_RETURN(shard.file, MappedFile::Open(dataset_.shards()[sample.shard]));
      shard.number = sample.shard;
    }
    const absl::string_view bytes = shard.file.bytes();
    if (sample.offset + sample.size > static_cast<int64_t>(bytes.size())) {
      return absl::DataLossError(absl::StrCat(
          dataset_.Describe(sample), ": the file has shrunk since it was opened; fetch it again"));
    }
    const auto image = DecodeImage(bytes.substr(sample.offset, sample.size));
    if (!image.ok()) {
      return Annotate(image.status(), dataset_.Describe(sample));
    }
    const auto pixels = Preprocess(*image, preprocessing_);
    if (!pixels.ok()) {
      return Annotate(pixels.status(), dataset_.Describe(sample));
    }
    return writer_->Write(index, *pixels);
  }

  void Report(int64_t index, const absl::Status& status) {
    if (status.ok()) {
      return;
    }
    const std::lock_guard lock(mutex_);
    if (index < stop_at_.load()) {
      stop_at_ = index;
      status_ = status;
    }
  }

  const Dataset& dataset_;
  const Preprocessing& preprocessing_;
  const PixelCacheOptions& options_;
  PixelCacheWriter* const writer_;
  std::atomic<int64_t> next_{0};
  std::atomic<int64_t> stop_at_{std::numeric_limits<int64_t>::max()};
  // Not absl::Mutex: ThreadSanitizer does not see that one's locking in a packaged Abseil.
  std::mutex mutex_;
  absl::Status status_;  // guarded by mutex_
};

// Held while one process builds; freed with the process, however it ends.
class BuildLock {
 public:
  static absl::StatusOr<BuildLock> Wait(const std::string& path,
                                        const std::function<bool()>& cancelled) {
    BuildLock lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
    if (lock.fd_ < 0) {
      return ErrnoStatus(absl::StrCat(path, ": cannot lock the pixel cache"));
    }
    while (flock(lock.fd_, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) {
        return ErrnoStatus(absl::StrCat(path, ": cannot lock the pixel cache"));
      }
      if (cancelled()) {
        return absl::CancelledError(
            absl::StrCat(path, ": waiting for another process to build it was cancelled"));
      }
      absl::SleepFor(kLockPoll);
    }
    return lock;
  }

  BuildLock(BuildLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  BuildLock& operator=(BuildLock&&) = delete;
  ~BuildLock() {
    if (fd_ >= 0) {
      close(fd_);
    }
  }

 private:
  explicit BuildLock(int fd) : fd_(fd) {}
  int fd_;
};

// Absent, damaged and outdated files are built anew; any other failure is the caller's.
bool NeedsBuild(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsDataLoss(status);
}

absl::StatusOr<MappedFile> MapOrBuild(const std::string& path, const PixelCacheShape& shape,
                                      const Dataset& dataset, const Preprocessing& preprocessing,
                                      const PixelCacheOptions& options) {
  absl::StatusOr<MappedFile> file = MapPixelCache(path, shape);
  if (!NeedsBuild(file.status())) {
    return file;
  }
  std::error_code error;
  std::filesystem::create_directories(options.folder, error);
  if (error) {
    return absl::ErrnoToStatus(error.value(),
                               absl::StrCat(options.folder, ": cannot create the cache folder"));
  }
  ASSIGN_OR_RETURN(const BuildLock lock, BuildLock::Wait(path + ".lock", options.cancelled));
  file = MapPixelCache(path, shape);  // another process may have built it meanwhile
  if (!NeedsBuild(file.status())) {
    return file;
  }
  ASSIGN_OR_RETURN(PixelCacheWriter writer, PixelCacheWriter::Create(path, shape));
  RETURN_IF_ERROR(Build(dataset, preprocessing, options, &writer).Run());
  RETURN_IF_ERROR(writer.Publish());
  return MapPixelCache(path, shape);
}

}  // namespace

struct PixelCache::Impl {
  std::string path;
  PixelCacheShape shape;
  MappedFile file;
  std::vector<std::atomic<bool>> verified;  // per image
};

absl::StatusOr<std::unique_ptr<PixelCache>> PixelCache::OpenOrBuild(
    const Dataset& dataset, const std::string& data_digest, const Preprocessing& preprocessing,
    const PixelCacheOptions& options) {
  const int64_t images = dataset.samples().size();
  const PixelCacheShape shape = {
      CacheKey(data_digest, preprocessing), images,
      int64_t{preprocessing.channels} * preprocessing.height * preprocessing.width};
  const std::string path = absl::StrCat(options.folder, "/", shape.key, ".pixels");
  RETURN_IF_ERROR(CheckPreprocessing(preprocessing));
  ASSIGN_OR_RETURN(MappedFile file, MapOrBuild(path, shape, dataset, preprocessing, options));
  return std::unique_ptr<PixelCache>(new PixelCache(std::unique_ptr<Impl>(
      new Impl{path, shape, std::move(file), std::vector<std::atomic<bool>>(images)})));
}

PixelCache::PixelCache(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PixelCache::~PixelCache() = default;

int64_t PixelCache::images() const { return impl_->shape.images; }
int64_t PixelCache::bytes_per_image() const { return impl_->shape.bytes_per_image; }

absl::StatusOr<absl::Span<const uint8_t>> PixelCache::Pixels(int64_t image) const {
  if (image < 0 || image >= images()) {
    return absl::OutOfRangeError(absl::StrCat("image ", image, " of ", images()));
  }
  const absl::string_view bytes =
      impl_->file.bytes().substr(impl_->shape.PixelOffset(image), bytes_per_image());
  const absl::Span<const uint8_t> pixels(reinterpret_cast<const uint8_t*>(bytes.data()),
                                         bytes.size());
  std::atomic<bool>& verified = impl_->verified[image];
  if (!verified.load(std::memory_order_relaxed)) {
    if (PixelChecksum(pixels) != StoredChecksum(impl_->file, image)) {
      return absl::DataLossError(
          absl::StrCat(impl_->path, ": the pixels of image ", image,
                       " do not match their checksum; delete the file, it will be built anew"));
    }
    verified.store(true, std::memory_order_relaxed);
  }
  return pixels;
}

}  // namespace bitquake
