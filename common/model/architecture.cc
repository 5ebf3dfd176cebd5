#include "common/model/architecture.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/model/config.h"
#include "common/model/vit_tensors.h"

namespace bitquake {
namespace {

constexpr int64_t kMaxSide = 1 << 20;
constexpr int kMaxImageSide = 4096;  // pixels

// timm's sizes. The width must match: other networks share these words ("base_plus": 896, 14
// heads).
struct NamedSize {
  absl::string_view name;
  int width;
  int heads;
};
constexpr NamedSize kNamedSizes[] = {{"tiny", 192, 3},    {"small", 384, 6},     {"medium", 512, 8},
                                     {"base", 768, 12},   {"large", 1024, 16},   {"huge", 1280, 16},
                                     {"giant", 1408, 16}, {"gigantic", 1664, 16}};

using Shapes = std::map<absl::string_view, const std::vector<int64_t>*>;

// One side of a tensor that gives the network a size.
absl::StatusOr<int> Side(const Shapes& shapes, absl::string_view name, size_t dimensions,
                         size_t axis) {
  const auto found = shapes.find(name);
  if (found == shapes.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor '", name,
                     "' is missing; supported are timm's vision transformers with a class token"));
  }
  const std::vector<int64_t>& shape = *found->second;
  if (shape.size() != dimensions || shape[axis] < 1 || shape[axis] > kMaxSide) {
    return absl::InvalidArgumentError(absl::StrCat("tensor '", name, "' has shape [",
                                                   absl::StrJoin(shape, ", "),
                                                   "], which is not that of a vision transformer"));
  }
  return static_cast<int>(shape[axis]);
}

template <typename T>
absl::Status CheckStated(absl::string_view field, const std::optional<T>& stated, T found) {
  if (stated && *stated != found) {
    return absl::InvalidArgumentError(
        absl::StrCat("config.json: ", field, " is ", *stated, ", but the weights have ", found));
  }
  return absl::OkStatus();
}

absl::StatusOr<int> Heads(const ModelConfig& config, int width) {
  if (config.num_heads) {
    if (width % *config.num_heads != 0) {
      return absl::InvalidArgumentError(absl::StrCat("config.json: num_heads ", *config.num_heads,
                                                     " does not divide the width ", width));
    }
    return *config.num_heads;
  }
  for (const NamedSize& size : kNamedSizes) {
    if (absl::StrContains(config.architecture, absl::StrCat("_", size.name, "_")) &&
        size.width == width) {
      return size.heads;
    }
  }
  return absl::InvalidArgumentError(absl::StrCat("config.json: the number of heads of '",
                                                 config.architecture, "' (width ", width,
                                                 ") is not known; state model_args.num_heads"));
}

// The image's side from the position table: patches per side times the patch.
absl::StatusOr<int> ImageSide(const ModelConfig& config, int positions, int patch) {
  const int grid = static_cast<int>(std::lround(std::sqrt(positions - 1)));
  if (grid < 1 || grid * grid != positions - 1 || grid > kMaxImageSide / patch) {
    return absl::InvalidArgumentError(
        absl::StrCat("pos_embed has ", positions,
                     " positions, which are not one class token and a square of patches"));
  }
  const int image = grid * patch;
  RETURN_IF_ERROR(CheckStated("img_size", config.img_size, image));
  if (config.input_size) {
    const auto [channels, height, width] = *config.input_size;
    if (channels != 3 || height != image || width != image) {
      return absl::InvalidArgumentError(
          absl::StrCat("config.json: input_size is [", absl::StrJoin(*config.input_size, ", "),
                       "], but the weights take [3, ", image, ", ", image, "]"));
    }
  }
  return image;
}

int CountBlocks(const Shapes& shapes) {
  int depth = 0;
  while (shapes.count(absl::StrCat("blocks.", depth, ".attn.qkv.weight")) > 0) {
    ++depth;
  }
  return depth;
}

absl::StatusOr<VitShape> DeriveVit(const ModelConfig& config, const Shapes& shapes) {
  VitShape vit;
  ASSIGN_OR_RETURN(vit.width, Side(shapes, "cls_token", 3, 2));
  ASSIGN_OR_RETURN(vit.patch, Side(shapes, "patch_embed.proj.weight", 4, 2));
  ASSIGN_OR_RETURN(const int positions, Side(shapes, "pos_embed", 3, 1));
  ASSIGN_OR_RETURN(vit.mlp_hidden, Side(shapes, "blocks.0.mlp.fc1.weight", 2, 0));
  ASSIGN_OR_RETURN(vit.image, ImageSide(config, positions, vit.patch));
  ASSIGN_OR_RETURN(vit.heads, Heads(config, vit.width));
  vit.depth = CountBlocks(shapes);
  vit.qkv_bias = config.qkv_bias.value_or(shapes.count("blocks.0.attn.qkv.bias") > 0);
  vit.patch_bias = shapes.count("patch_embed.proj.bias") > 0;
  vit.pre_norm = config.pre_norm.value_or(shapes.count("norm_pre.weight") > 0);
  // timm's CLIP towers use torch's LayerNorm as it is, the others its own default.
  const bool clip = absl::StrContains(config.architecture, "clip");
  vit.norm_eps = config.norm_eps.value_or(clip ? 1e-5 : 1e-6);

  RETURN_IF_ERROR(CheckStated("embed_dim", config.embed_dim, vit.width));
  RETURN_IF_ERROR(CheckStated("patch_size", config.patch_size, vit.patch));
  RETURN_IF_ERROR(CheckStated("depth", config.depth, vit.depth));
  if (config.mlp_ratio) {
    const int stated = static_cast<int>(vit.width * *config.mlp_ratio);  // truncated, as timm does
    RETURN_IF_ERROR(
        CheckStated("mlp_ratio times the width", std::optional<int>(stated), vit.mlp_hidden));
  }
  return vit;
}

}  // namespace

absl::StatusOr<Architecture> DeriveArchitecture(absl::string_view config_json,
                                                const std::vector<TensorInfo>& tensors) {
  ASSIGN_OR_RETURN(const ModelConfig config, ParseModelConfig(config_json));
  Shapes shapes;
  for (const TensorInfo& tensor : tensors) {
    shapes[tensor.name] = &tensor.shape;
  }
  Architecture architecture;
  architecture.family = Family::kVit;
  architecture.name = config.architecture;
  architecture.preprocessing = config.preprocessing;
  ASSIGN_OR_RETURN(architecture.num_classes, Side(shapes, "head.weight", 2, 0));
  RETURN_IF_ERROR(CheckStated("num_classes", config.num_classes, architecture.num_classes));
  ASSIGN_OR_RETURN(architecture.vit, DeriveVit(config, shapes));
  architecture.preprocessing.height = architecture.vit.image;
  architecture.preprocessing.width = architecture.vit.image;
  RETURN_IF_ERROR(CheckTensors(VitTensors(architecture.vit, architecture.num_classes), tensors));
  return architecture;
}

}  // namespace bitquake
