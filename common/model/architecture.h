// What a checkpoint is, derived from config.json (as timm writes it to Hugging Face snapshots) and
// from the names and shapes of its tensors alone: no weights are read, no torch is needed, so the
// coordinator derives the same from a worker's probe. What is not supported is refused by name.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bitquake {

// In the order of Architecture::network.
enum class Family { kVit, kSwin, kDeepVit, kTorchScript };

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
// pooling; with a distillation token (DeiT, Touvron et al. 2021), as its
// VisionTransformerDistilled.
struct VitShape {
  int image = 0;  // side, pixels
  int patch = 0;  // side, pixels
  int width = 0;  // embedding dimension D
  int depth = 0;  // blocks
  int heads = 0;  // head_dim = width / heads
  int mlp_hidden = 0;
  bool qkv_bias = true;
  bool patch_bias = true;
  bool pre_norm = false;   // CLIP: norm_pre after the position embedding
  bool distilled = false;  // a second token with a head of its own; logits are the mean of both
  double norm_eps = 1e-6;

  int grid() const { return image / patch; }  // patches of a side
  int prefix_tokens() const { return distilled ? 2 : 1; }
  int tokens() const { return prefix_tokens() + grid() * grid(); }
};

// DeepViT (Zhou et al. 2021), by the names of its official code: a ViT whose attention maps are
// mixed over the heads (Re-Attention) and normalised with the statistics of training.
struct DeepVitShape {
  VitShape vit;
  double var_norm_eps = 1e-5;  // of the BatchNorm over the mixed maps
};

// Some blocks at one resolution. All but the first stage begin with a downsampling, which halves
// the side and doubles the width.
struct SwinStage {
  int depth = 0;  // blocks; each second one shifts its windows
  int width = 0;
  int heads = 0;
  int mlp_hidden = 0;
  int side = 0;    // tokens
  int window = 0;  // side, tokens

  // A window that covers everything is not shifted.
  int shift() const { return window < side ? window / 2 : 0; }
};

// Swin transformer (Liu et al. 2021), as timm's SwinTransformer: the first version, without
// absolute positions.
struct SwinShape {
  int image = 0;
  int patch = 0;
  bool qkv_bias = true;
  double norm_eps = 1e-5;
  std::vector<SwinStage> stages;
};

// A network that comes as code (model.ts): nothing is known of it but its tensors.
struct ScriptShape {
  std::string why;  // no family of ours takes its architecture
};

struct Architecture {
  std::string name;  // config.json's "architecture"
  int num_classes = 0;
  Preprocessing preprocessing;
  std::variant<VitShape, SwinShape, DeepVitShape, ScriptShape> network;

  Family family() const { return static_cast<Family>(network.index()); }
};

// Errors: InvalidArgument that names the field, tensor or architecture that is unknown, missing or
// does not fit. model_args may be absent: sizes then come from the tensors, the number of heads of
// a ViT from the architecture's name, Swin's image size from pretrained_cfg or the name. An
// architecture of no family is taken to be TorchScript; whether its code is there is not asked
// here.
absl::StatusOr<Architecture> DeriveArchitecture(absl::string_view config_json,
                                                const std::vector<TensorInfo>& tensors);

}  // namespace bitquake
