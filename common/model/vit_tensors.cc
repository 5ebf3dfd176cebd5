#include "common/model/vit_tensors.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

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

absl::StatusOr<int> Heads(const ModelConfig& config, int width) {
  if (!config.args.num_heads.empty()) {
    return config.args.num_heads.front();
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
absl::StatusOr<int> ImageSide(const ModelConfig& config, int positions, int prefix, int patch) {
  const int patches = positions - prefix;
  const int grid = static_cast<int>(std::lround(std::sqrt(std::max(patches, 0))));
  if (grid < 1 || grid * grid != patches || grid > kMaxImageSide / patch) {
    return absl::InvalidArgumentError(
        absl::StrCat("pos_embed has ", positions, " positions, which are not ",
                     prefix == 1 ? "one class token" : "a class token, a distillation token",
                     " and a square of patches"));
  }
  const int image = grid * patch;
  RETURN_IF_ERROR(CheckStated("img_size", config.args.img_size, image));
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

// The name says it and the weights have it, or neither.
absl::StatusOr<bool> IsDistilled(const ModelConfig& config, const CheckpointShapes& shapes) {
  const bool named = absl::StrContains(config.architecture, "distilled");
  if (named != shapes.Has("dist_token")) {
    return absl::InvalidArgumentError(
        absl::StrCat("config.json: architecture '", config.architecture, "' ",
                     named ? "has a distillation token, but the weights have no 'dist_token'"
                           : "has no distillation token, but the weights have a 'dist_token'"));
  }
  return named;
}

}  // namespace

absl::StatusOr<VitShape> DeriveVitWithHeads(const ModelConfig& config,
                                            const CheckpointShapes& shapes, int heads) {
  const ModelArgs& args = config.args;
  VitShape vit;
  ASSIGN_OR_RETURN(vit.width, shapes.Side("cls_token", 3, 2));
  ASSIGN_OR_RETURN(vit.patch, shapes.Side("patch_embed.proj.weight", 4, 2));
  ASSIGN_OR_RETURN(const int positions, shapes.Side("pos_embed", 3, 1));
  ASSIGN_OR_RETURN(vit.mlp_hidden, shapes.Side("blocks.0.mlp.fc1.weight", 2, 0));
  ASSIGN_OR_RETURN(vit.distilled, IsDistilled(config, shapes));
  ASSIGN_OR_RETURN(vit.image, ImageSide(config, positions, vit.prefix_tokens(), vit.patch));
  if (vit.width % heads != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("the number of heads, ", heads, ", does not divide the width ", vit.width));
  }
  vit.heads = heads;
  vit.depth = shapes.Count("blocks.", ".attn.qkv.weight");
  vit.qkv_bias = args.qkv_bias.value_or(shapes.Has("blocks.0.attn.qkv.bias"));
  vit.patch_bias = shapes.Has("patch_embed.proj.bias");
  vit.pre_norm = args.pre_norm.value_or(shapes.Has("norm_pre.weight"));
  // timm's CLIP towers use torch's LayerNorm as it is, the others its own default.
  const bool clip = absl::StrContains(config.architecture, "clip");
  vit.norm_eps = config.norm_eps.value_or(clip ? 1e-5 : 1e-6);

  RETURN_IF_ERROR(CheckStated("embed_dim", args.embed_dim, vit.width));
  RETURN_IF_ERROR(CheckStated("patch_size", args.patch_size, vit.patch));
  RETURN_IF_ERROR(CheckStated("depth", args.depth, vit.depth));
  RETURN_IF_ERROR(CheckMlpRatio(args.mlp_ratio, vit.width, vit.mlp_hidden));
  return vit;
}

absl::StatusOr<VitShape> DeriveVit(const ModelConfig& config, const CheckpointShapes& shapes) {
  ASSIGN_OR_RETURN(const int width, shapes.Side("cls_token", 3, 2));
  ASSIGN_OR_RETURN(const int heads, Heads(config, width));
  return DeriveVitWithHeads(config, shapes, heads);
}

void AddVitEmbedding(const VitShape& shape, TensorLister& tensors) {
  tensors.Begin("", Part::kEmbed);
  tensors.Add("cls_token", {1, 1, shape.width});
  if (shape.distilled) {
    tensors.Add("dist_token", {1, 1, shape.width});
  }
  tensors.Add("pos_embed", {1, shape.tokens(), shape.width});
  tensors.Add("patch_embed.proj.weight", {shape.width, 3, shape.patch, shape.patch});
  if (shape.patch_bias) {
    tensors.Add("patch_embed.proj.bias", {shape.width});
  }
  if (shape.pre_norm) {
    tensors.AddNorm("norm_pre", shape.width);
  }
}

std::vector<NetworkTensor> VitTensors(const VitShape& shape, int num_classes) {
  TensorLister tensors;
  AddVitEmbedding(shape, tensors);
  for (int b = 0; b < shape.depth; ++b) {
    const std::string block = absl::StrCat("blocks.", b);
    tensors.Begin(block, Part::kAttention);
    tensors.AddNorm(block + ".norm1", shape.width);
    tensors.AddFusedQkv(block + ".attn.qkv", shape.width, shape.heads, shape.qkv_bias);
    tensors.AddLinear(block + ".attn.proj", shape.width, shape.width);
    tensors.AddMlp(block, shape.width, shape.mlp_hidden);
  }
  tensors.Begin("", Part::kHead);
  tensors.AddNorm("norm", shape.width);
  tensors.AddLinear("head", num_classes, shape.width);
  if (shape.distilled) {
    tensors.AddLinear("head_dist", num_classes, shape.width);
  }
  return std::move(tensors).Take();
}

}  // namespace bitquake
