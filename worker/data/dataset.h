// A labelled image set on disk: WebDataset tars with _info.json, as timm/imagenet-1k-wds has them.
// Samples keep shard order, then the order within the shard. Tars are parsed as hostile input.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bitquake {

struct Sample {
  int shard;        // index into Dataset::shards()
  std::string key;  // member name without its extension: "val_8709"
  int64_t offset;   // of the image's bytes in the shard
  int64_t size;     // bytes
  int label;
};

// Thread-safe once opened.
class Dataset {
 public:
  // Reads `folder`/_info.json (split "validation", or the only split) and indexes its tars; without
  // _info.json, all *.tar by name. Errors name the shard and the key: NotFound (folder, a shard);
  // InvalidArgument (a truncated or damaged tar, an image without a label or a label without an
  // image, a label that is no number, other counts than _info.json states, no images).
  static absl::StatusOr<Dataset> Open(const std::string& folder);

  const std::vector<std::string>& shards() const { return shards_; }  // paths
  const std::vector<Sample>& samples() const { return samples_; }

  // "shard.tar: key", for errors.
  std::string Describe(const Sample& sample) const;

  // Differs when a shard was replaced or written to (FileStamp). Reads none. Errors:
  // FailedPrecondition if the folder has other shards by now; as of Open.
  absl::StatusOr<std::string> Stamp() const;

  // SHA-256 over, for each shard in order, the line that sha256sum prints of it in its folder: the
  // digest of its bytes, two spaces, its file name. Reads all shards.
  absl::StatusOr<std::string> Digest() const;

 private:
  std::string folder_;
  std::vector<std::string> shards_;
  std::vector<Sample> samples_;
};

}  // namespace bitquake
