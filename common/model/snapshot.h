// A model folder: model.safetensors and config.json, as a Hugging Face snapshot of a timm model.
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

  std::vector<TensorInfo> Tensors() const;
};

// Errors: NotFound if the folder or one of its files is missing; InvalidArgument as of its parts,
// the file named.
absl::StatusOr<ModelSnapshot> OpenSnapshot(const std::string& folder);

// Differs when a file of the folder was replaced or written to (FileStamp). Reads none.
absl::StatusOr<std::string> SnapshotStamp(const std::string& folder);

// SHA-256 over the hex SHA-256 of config.json and of model.safetensors; reads both files whole.
absl::StatusOr<std::string> SnapshotDigest(const std::string& folder);

}  // namespace bitquake
