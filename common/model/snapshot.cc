#include "common/model/snapshot.h"

#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

constexpr absl::string_view kContents =
    "a model folder holds model.safetensors and config.json, as a Hugging Face snapshot of a timm "
    "model does";
constexpr size_t kMaxConfigBytes = 1 << 20;

struct SnapshotFiles {
  std::string config;
  std::string weights;
};

absl::StatusOr<SnapshotFiles> FindFiles(const std::string& folder) {
  struct stat info;
  if (stat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return absl::NotFoundError(absl::StrCat(folder, ": no such folder; ", kContents));
  }
  SnapshotFiles files{folder + "/config.json", folder + "/model.safetensors"};
  for (const std::string& path : {files.config, files.weights}) {
    if (stat(path.c_str(), &info) != 0) {
      return absl::NotFoundError(absl::StrCat(path, ": no such file; ", kContents));
    }
  }
  return files;
}

std::vector<TensorInfo> TensorsOf(const SafetensorsFile& weights) {
  std::vector<TensorInfo> tensors;
  for (const StoredTensor& tensor : weights.tensors()) {
    tensors.push_back({tensor.name, tensor.shape});
  }
  return tensors;
}

}  // namespace

std::vector<TensorInfo> ModelSnapshot::Tensors() const { return TensorsOf(weights); }

absl::StatusOr<ModelSnapshot> OpenSnapshot(const std::string& folder) {
  ASSIGN_OR_RETURN(const SnapshotFiles files, FindFiles(folder));
  ModelSnapshot snapshot;
  snapshot.path = folder;
  ASSIGN_OR_RETURN(snapshot.config_json, ReadFile(files.config, kMaxConfigBytes));
  ASSIGN_OR_RETURN(snapshot.weights, SafetensorsFile::Open(files.weights));
  const std::vector<TensorInfo> tensors = TensorsOf(snapshot.weights);
  absl::StatusOr<Architecture> architecture = DeriveArchitecture(snapshot.config_json, tensors);
  if (!architecture.ok()) {
    return Annotate(architecture.status(), folder);
  }
  snapshot.architecture = *std::move(architecture);
  ASSIGN_OR_RETURN(snapshot.surface, MakeSurface(snapshot.architecture, tensors));
  return snapshot;
}

absl::StatusOr<std::string> SnapshotStamp(const std::string& folder) {
  ASSIGN_OR_RETURN(const SnapshotFiles files, FindFiles(folder));
  ASSIGN_OR_RETURN(const std::string config, FileStamp(files.config));
  ASSIGN_OR_RETURN(const std::string weights, FileStamp(files.weights));
  return absl::StrCat(config, " ", weights);
}

absl::StatusOr<std::string> SnapshotDigest(const std::string& folder) {
  ASSIGN_OR_RETURN(const SnapshotFiles files, FindFiles(folder));
  ASSIGN_OR_RETURN(const std::string config, Sha256HexOfFile(files.config));
  ASSIGN_OR_RETURN(const std::string weights, Sha256HexOfFile(files.weights));
  return Sha256Hex(config + weights);
}

}  // namespace bitquake
