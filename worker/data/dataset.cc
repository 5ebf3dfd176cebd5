#include "worker/data/dataset.h"

#include <atomic>
#include <filesystem>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "worker/data/image_folder.h"
#include "worker/data/tar_split.h"

namespace bitquake {
namespace {

namespace fs = std::filesystem;

// What a data set's folder holds; one of the two.
struct Layout {
  std::optional<TarSplit> tars;
  std::optional<ImageFolder> images;

  std::vector<std::string> ShardPaths() const {
    std::vector<std::string> paths;
    const std::string& folder = tars.has_value() ? tars->folder : images->folder;
    for (const std::string& name : tars.has_value() ? tars->files : images->images) {
      paths.push_back(absl::StrCat(folder, "/", name));
    }
    return paths;
  }

  absl::StatusOr<std::vector<Sample>> ReadSamples() const {
    return tars.has_value() ? ReadTarSamples(*tars) : IndexImages(*images);
  }
};

absl::StatusOr<Layout> FindLayout(const std::string& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    return absl::NotFoundError(absl::StrCat(folder, ": no such folder"));
  }
  Layout layout;
  ASSIGN_OR_RETURN(layout.tars, FindTarSplit(folder));
  if (layout.tars.has_value()) {
    return layout;
  }
  ASSIGN_OR_RETURN(layout.images, FindImageFolder(folder));
  if (layout.images.has_value()) {
    return layout;
  }
  return absl::NotFoundError(absl::StrCat(
      folder, ": neither ", kInfoFile,
      " nor a .tar file nor class folders; a data set is a folder of WebDataset tars, or of folders"
      " of images, one for each class"));
}

std::vector<absl::StatusOr<std::string>> DigestFiles(const std::vector<std::string>& paths,
                                                     int threads) {
  std::vector<absl::StatusOr<std::string>> digests(paths.size());
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < paths.size(); i = next++) {
      digests[i] = Sha256HexOfFile(paths[i]);
    }
  };
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) {
    others.emplace_back(work);
  }
  work();
  for (std::thread& other : others) {
    other.join();
  }
  return digests;
}

}  // namespace

absl::StatusOr<Dataset> Dataset::Open(const std::string& folder) {
  ASSIGN_OR_RETURN(const Layout layout, FindLayout(folder));
  Dataset dataset;
  dataset.folder_ = folder;
  dataset.tars_ = layout.tars.has_value();
  dataset.shards_ = layout.ShardPaths();
  if (layout.images.has_value()) {
    dataset.names_ = layout.images->images;
  } else {
    for (const std::string& shard : dataset.shards_) {
      dataset.names_.push_back(fs::path(shard).filename().string());
    }
  }
  ASSIGN_OR_RETURN(dataset.samples_, layout.ReadSamples());
  if (dataset.samples_.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(folder, ": no images"));
  }
  return dataset;
}

std::string Dataset::Describe(const Sample& sample) const {
  return tars_ ? absl::StrCat(names_[sample.shard], ": ", sample.key) : shards_[sample.shard];
}

absl::StatusOr<std::string> Dataset::Stamp() const {
  ASSIGN_OR_RETURN(const Layout layout, FindLayout(folder_));
  if (layout.ShardPaths() != shards_) {
    return absl::FailedPreconditionError(absl::StrCat(folder_, " has other ",
                                                      tars_ ? "shards" : "images",
                                                      " than when it was opened; open it again"));
  }
  std::string stamps;
  for (const std::string& shard : shards_) {
    ASSIGN_OR_RETURN(const std::string stamp, FileStamp(shard));
    absl::StrAppend(&stamps, stamp, "\n");
  }
  return stamps;
}

absl::StatusOr<std::string> Dataset::Digest(int threads) const {
  const std::vector<absl::StatusOr<std::string>> digests = DigestFiles(shards_, threads);
  std::string lines;
  for (size_t i = 0; i < shards_.size(); ++i) {
    RETURN_IF_ERROR(digests[i].status());
    absl::StrAppend(&lines, *digests[i], "  ", names_[i], "\n");
  }
  return Sha256Hex(lines);
}

}  // namespace bitquake
