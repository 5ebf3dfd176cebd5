// Small surfaces of every family, as MakeSurface would give them.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "tests/fault/vit_surface.h"

namespace bitquake {

// A second token and a second head.
inline Surface DistilledVitSurface() {
  Surface surface = VitSurface(/*depth=*/3);
  surface.insert(surface.begin() + 1, {"dist_token", {1, 1, 32}, "", Part::kEmbed, std::nullopt});
  surface.push_back({"head_dist.weight", {10, 32}, "", Part::kHead, std::nullopt});
  return surface;
}

// Two stages of two blocks; width and heads double between them.
inline Surface SwinSurface() {
  Surface surface = {{"patch_embed.proj.weight", {16, 3, 2, 2}, "", Part::kEmbed, std::nullopt}};
  for (int stage = 0; stage < 2; ++stage) {
    const int heads = 2 << stage;
    const int64_t d = int64_t{8} * heads;
    if (stage > 0) {
      surface.push_back(
          {"layers.1.downsample.reduction.weight", {d, 2 * d}, "", Part::kEmbed, std::nullopt});
    }
    for (int i = 0; i < 2; ++i) {
      const std::string block = "layers." + std::to_string(stage) + ".blocks." + std::to_string(i);
      const auto add = [&](const std::string& name, std::vector<int64_t> shape, Part part,
                           std::optional<FusedQkv> qkv = std::nullopt) {
        surface.push_back({block + name, std::move(shape), block, part, qkv});
      };
      add(".attn.relative_position_bias_table", {25, heads}, Part::kAttention);
      add(".attn.qkv.weight", {3 * d, d}, Part::kAttention, FusedQkv{heads, 8});
      add(".attn.proj.weight", {d, d}, Part::kAttention);
      add(".mlp.fc1.weight", {4 * d, d}, Part::kMlp);
      add(".mlp.fc2.weight", {d, 4 * d}, Part::kMlp);
    }
  }
  surface.push_back({"head.fc.weight", {10, 32}, "", Part::kHead, std::nullopt});
  return surface;
}

// Its attention maps are mixed across heads; here with the qkv biases on the surface.
inline Surface DeepVitSurface() {
  Surface surface;
  for (SurfaceTensor& tensor : VitSurface(/*depth=*/4)) {
    const SurfaceTensor copy = tensor;
    surface.push_back(std::move(tensor));
    if (copy.qkv.has_value()) {
      surface.push_back({copy.block + ".attn.qkv.bias", {96}, copy.block, copy.part, copy.qkv});
      surface.push_back({copy.block + ".attn.reatten_matrix.weight",
                         {4, 4, 1, 1},
                         copy.block,
                         Part::kAttention,
                         std::nullopt});
    }
  }
  return surface;
}

// A TorchScript network: neither blocks nor attention nor parts are known.
inline Surface CnnSurface() {
  return {{"conv1.weight", {16, 3, 3, 3}, "", Part::kNone, std::nullopt},
          {"layer1.0.conv1.weight", {16, 16, 3, 3}, "", Part::kNone, std::nullopt},
          {"layer1.0.conv2.weight", {16, 16, 3, 3}, "", Part::kNone, std::nullopt},
          {"fc.weight", {10, 16}, "", Part::kNone, std::nullopt}};
}

struct FamilySurface {
  std::string family;
  Surface surface;
};

inline void PrintTo(const FamilySurface& surface, std::ostream* out) { *out << surface.family; }

inline std::vector<FamilySurface> FamilySurfaces() {
  return {{"Vit", VitSurface(3)},
          {"DistilledVit", DistilledVitSurface()},
          {"Swin", SwinSurface()},
          {"DeepVit", DeepVitSurface()},
          {"Cnn", CnnSurface()}};
}

}  // namespace bitquake
