// config.json of a timm model as plain values. What would change the network in a way that the
// engine does not compute is refused here, by name.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/model/architecture.h"

namespace bitquake {

// Fields that are absent stay empty; the tensors, or timm's defaults, decide then.
struct ModelConfig {
  std::string architecture;
  std::optional<int> num_classes;
  std::optional<double> norm_eps;
  std::optional<std::array<int, 3>> input_size;  // channels, height, width
  Preprocessing preprocessing;                   // its size still that of input_size, if any

  // model_args
  std::optional<int> img_size;
  std::optional<int> patch_size;
  std::optional<int> embed_dim;
  std::optional<int> depth;
  std::optional<int> num_heads;
  std::optional<double> mlp_ratio;
  std::optional<bool> qkv_bias;
  std::optional<bool> pre_norm;
};

// Errors: InvalidArgument that names the field and what is supported.
absl::StatusOr<ModelConfig> ParseModelConfig(absl::string_view text);

}  // namespace bitquake
