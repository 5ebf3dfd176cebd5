// `model_args` of config.json: the arguments of timm's model class that a checkpoint departs from
// its architecture's defaults with.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/architecture.h"

namespace bitquake {

// What is absent stays empty. Each family has some of these.
struct ModelArgs {
  std::optional<int> img_size;
  std::optional<int> patch_size;
  std::optional<int> embed_dim;
  std::optional<int> depth;
  std::optional<double> mlp_ratio;
  std::optional<bool> qkv_bias;
  std::optional<bool> pre_norm;
  std::vector<int> depths;     // Swin: of each stage
  std::vector<int> num_heads;  // one for all blocks; Swin: of each stage
  std::vector<int> window_size;
};

// Errors: InvalidArgument for an argument that the family does not have, or a value that would
// change the network.
absl::StatusOr<ModelArgs> ParseModelArgs(Family family, const nlohmann::json& arguments);

}  // namespace bitquake
