// A model folder: model.safetensors and config.json, as a Hugging Face snapshot of a timm model. Of
// an architecture that no family of ours takes, it also holds model.ts: the network as TorchScript,
// whose parameters and buffers model.safetensors has the values of. (Of other architectures,
// model.ts is not looked at.)
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/architecture.h"
#include "common/model/safetensors.h"
#include "common/model/surface.h"

namespace bitquake {

struct ModelSnapshot {
  std::string path;
  std::string config_json;  // verbatim
  Architecture architecture;
  Surface surface;  // the default one
  SafetensorsFile weights;
  std::string script_path;  // of model.ts; empty if it is not used

  std::vector<TensorInfo> Tensors() const;
};

// Errors: NotFound if the folder or one of its files is missing; InvalidArgument as of its parts,
// the file named.
absl::StatusOr<ModelSnapshot> OpenSnapshot(const std::string& folder);

// TorchScript is code that runs with the rights of whoever evaluates it, so that it must be
// allowed. Errors: FailedPrecondition, naming the flag --allow-torchscript.
absl::Status CheckCodeAllowed(const ModelSnapshot& snapshot, bool allow_torchscript);

// Differs when a file of the folder was replaced or written to (FileStamp). Reads none.
absl::StatusOr<std::string> SnapshotStamp(const std::string& folder);

// SHA-256 over the hex SHA-256 of config.json, of model.safetensors and of model.ts if it is used;
// reads these files whole.
absl::StatusOr<std::string> SnapshotDigest(const std::string& folder);

}  // namespace bitquake
