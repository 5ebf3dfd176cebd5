// What a checkpoint is, derived from config.json (as timm writes it to Hugging Face snapshots) and
// from the names and shapes of its tensors alone: no weights are read, no torch is needed, so the
// coordinator derives the same from a worker's probe. What is not supported is refused by name.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bitquake {

enum class Family { kVit };

// A parameter or buffer of the checkpoint.
struct TensorInfo {
  std::string name;
  std::vector<int64_t> shape;
};

// How images become the network's input: timm's eval transform.
struct Preprocessing {
  int channels = 3;
  int height = 224;  // pixels
  int width = 224;
  double crop_pct = 0.875;                       // of the resized image's side that the crop keeps
  std::string crop_mode = "center";              // center | squash
  std::string interpolation = "bicubic";         // bicubic | bilinear
  std::array<double, 3> mean = {0.5, 0.5, 0.5};  // per channel, of pixels scaled to [0, 1]
  std::array<double, 3> std = {0.5, 0.5, 0.5};
};

// Vision transformer (Dosovitskiy et al. 2021), as timm's VisionTransformer with class-token
// pooling.
struct VitShape {
  int image = 0;  // side, pixels
  int patch = 0;  // side, pixels
  int width = 0;  // embedding dimension D
  int depth = 0;  // blocks
  int heads = 0;  // head_dim = width / heads
  int mlp_hidden = 0;
  bool qkv_bias = true;
  bool patch_bias = true;
  bool pre_norm = false;  // CLIP: norm_pre after the position embedding
  double norm_eps = 1e-6;
};

struct Architecture {
  Family family = Family::kVit;
  std::string name;  // config.json's "architecture"
  int num_classes = 0;
  Preprocessing preprocessing;
  VitShape vit;
};

// Errors: InvalidArgument that names the field, tensor or architecture that is unknown, missing or
// does not fit. model_args may be absent: sizes come from the tensors, the number of heads from the
// architecture's name.
absl::StatusOr<Architecture> DeriveArchitecture(absl::string_view config_json,
                                                const std::vector<TensorInfo>& tensors);

}  // namespace bitquake
