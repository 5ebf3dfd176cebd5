#include "common/model/snapshot.h"

#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/model/config.h"

namespace bitquake {
namespace {

constexpr absl::string_view kContents =
    "a model folder holds model.safetensors and config.json, as a Hugging Face snapshot of a timm "
    "model does";
constexpr size_t kMaxConfigBytes = 1 << 20;

struct SnapshotFiles {
  std::string config;
  std::string weights;
  std::string script;  // empty if the network does not come as code

  std::vector<std::string> All() const {
    std::vector<std::string> all = {config, weights};
    if (!script.empty()) {
      all.push_back(script);
    }
    return all;
  }
};

bool Exists(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0;
}

absl::StatusOr<SnapshotFiles> FindFiles(const std::string& folder) {
  struct stat info;
  if (stat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return absl::NotFoundError(absl::StrCat(folder, ": no such folder; ", kContents));
  }
  SnapshotFiles files{folder + "/config.json", folder + "/model.safetensors", ""};
  if (!Exists(files.config)) {
    return absl::NotFoundError(absl::StrCat(files.config, ": no such file; ", kContents));
  }
  ASSIGN_OR_RETURN(const std::string config, ReadFile(files.config, kMaxConfigBytes));
  const std::string why = WhyTorchScript(config);
  if (!why.empty()) {
    files.script = folder + "/model.ts";
    const bool has_script = Exists(files.script);
    if (!has_script || !Exists(files.weights)) {
      return absl::NotFoundError(
          absl::StrCat(folder, ": ", why,
                       "; any other network needs both its weights, model.safetensors, and its "
                       "code, model.ts (TorchScript), and ",
                       has_script ? "model.safetensors" : "model.ts", " is not there"));
    }
  }
  if (!Exists(files.weights)) {
    return absl::NotFoundError(absl::StrCat(files.weights, ": no such file; ", kContents));
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
  snapshot.script_path = files.script;
  ASSIGN_OR_RETURN(snapshot.config_json, ReadFile(files.config, kMaxConfigBytes));
  ASSIGN_OR_RETURN(snapshot.weights, SafetensorsFile::Open(files.weights));
  const std::vector<TensorInfo> tensors = TensorsOf(snapshot.weights);
  absl::StatusOr<Architecture> architecture = DeriveArchitecture(snapshot.config_json, tensors);
  if (!architecture.ok()) {
    return Annotate(architecture.status(), folder);
  }
  snapshot.architecture = *std::move(architecture);
  absl::StatusOr<Surface> surface = MakeSurface(snapshot.architecture, tensors);
  if (!surface.ok()) {
    return Annotate(surface.status(), folder);
  }
  snapshot.surface = *std::move(surface);
  return snapshot;
}

absl::Status CheckCodeAllowed(const ModelSnapshot& snapshot, bool allow_torchscript) {
  if (allow_torchscript || snapshot.architecture.family() != Family::kTorchScript) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      snapshot.path, ": the network of '", snapshot.architecture.name,
      "' comes as TorchScript (model.ts), code that would run with your rights; if you "
      "trust it, say --allow-torchscript"));
}

absl::StatusOr<std::string> SnapshotStamp(const std::string& folder) {
  ASSIGN_OR_RETURN(const SnapshotFiles files, FindFiles(folder));
  std::vector<std::string> stamps;
  for (const std::string& path : files.All()) {
    ASSIGN_OR_RETURN(stamps.emplace_back(), FileStamp(path));
  }
  return absl::StrJoin(stamps, " ");
}

absl::StatusOr<std::string> SnapshotDigest(const std::string& folder) {
  ASSIGN_OR_RETURN(const SnapshotFiles files, FindFiles(folder));
  std::string digests;
  for (const std::string& path : files.All()) {
    ASSIGN_OR_RETURN(const std::string digest, Sha256HexOfFile(path));
    digests += digest;
  }
  return Sha256Hex(digests);
}

}  // namespace bitquake
