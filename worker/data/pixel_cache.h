// The preprocessed pixels of a data set, one file: decoded and resized once on all cores, then
// memory-mapped and shared by the workers of a host. Keyed by the data's and the transform's
// digests; written beside its name and renamed; one process builds while the others wait (flock).
// Every image carries an XXH3 that is checked the first time that its pixels are asked for.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/architecture.h"
#include "worker/data/dataset.h"

namespace bitquake {

struct PixelCacheOptions {
  std::string folder;  // created if missing
  int threads = 1;     // that decode
  // Asked between images while building, and while waiting for another's build, by one thread at a
  // time; true stops with Cancelled.
  std::function<bool()> cancelled = [] { return false; };
};

class PixelCache {  // thread-safe
 public:
  // Opens the cache file for (data_digest, preprocessing), building it first if it is absent or
  // damaged. Errors: InvalidArgument naming the first image that does not decode, or what the
  // transform does not support; FailedPrecondition if the data set changes meanwhile; Cancelled;
  // what the system says of a full disk or a folder that cannot be written.
  static absl::StatusOr<std::unique_ptr<PixelCache>> OpenOrBuild(const Dataset& dataset,
                                                                 const std::string& data_digest,
                                                                 const Preprocessing& preprocessing,
                                                                 const PixelCacheOptions& options);
  ~PixelCache();

  int64_t images() const;
  int64_t bytes_per_image() const;  // channels x height x width

  // The pixels of one image, planar. Errors: DataLoss if they do not match their checksum.
  absl::StatusOr<absl::Span<const uint8_t>> Pixels(int64_t image) const;

 private:
  struct Impl;
  explicit PixelCache(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bitquake
