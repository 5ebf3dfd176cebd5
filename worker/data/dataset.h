// A labelled image set on disk, in one of two layouts: WebDataset tars with _info.json, as
// timm/imagenet-1k-wds has them, or a folder of images for each class. What is on disk is hostile
// input: nothing outside of the folder is read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "worker/data/sample.h"

namespace bitquake {

// Thread-safe once opened.
class Dataset {
 public:
  // Tars if `folder` has _info.json or any *.tar (tar_split.h), else class folders
  // (image_folder.h). Indexes all samples, but decodes none. Errors name the shard and the key, or
  // the image's path: NotFound (the folder, a shard, neither tars nor class folders);
  // InvalidArgument for what the layouts do not allow, or if there are no images.
  static absl::StatusOr<Dataset> Open(const std::string& folder);

  const std::string& folder() const { return folder_; }
  // Paths of the files that hold the samples: tars, or a file for each image.
  const std::vector<std::string>& shards() const { return shards_; }
  const std::vector<Sample>& samples() const { return samples_; }

  // "shard.tar: key", or the image's path; for errors.
  std::string Describe(const Sample& sample) const;

  // Differs when a shard was replaced or written to (FileStamp). Reads none. Errors:
  // FailedPrecondition if the folder has other shards by now; as of Open.
  absl::StatusOr<std::string> Stamp() const;

  // SHA-256 over, for each shard in order, the line that sha256sum prints of it: the digest of its
  // bytes, two spaces, its name. A tar's name is without folders, an image's is "class/image".
  // Reads all shards, several at a time on `threads` threads.
  absl::StatusOr<std::string> Digest(int threads = 1) const;

 private:
  std::string folder_;
  bool tars_ = false;
  std::vector<std::string> shards_;
  std::vector<std::string> names_;  // of the shards, in the digest
  std::vector<Sample> samples_;
};

}  // namespace bitquake
