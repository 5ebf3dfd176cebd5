// The surface of a small vision transformer, as MakeSurface would give it.
#pragma once

#include <string>

#include "common/model/surface.h"

namespace bitquake {

inline Surface VitSurface(int depth = 12, int heads = 4, int head_dim = 8) {
  const int64_t d = int64_t{heads} * head_dim;
  Surface surface = {
      {"cls_token", {1, 1, d}, "", Part::kEmbed, std::nullopt},
      {"pos_embed", {1, 17, d}, "", Part::kEmbed, std::nullopt},
      {"patch_embed.proj.weight", {d, 3, 4, 4}, "", Part::kEmbed, std::nullopt},
  };
  for (int i = 0; i < depth; ++i) {
    const std::string block = "blocks." + std::to_string(i);
    surface.push_back({block + ".attn.qkv.weight",
                       {3 * d, d},
                       block,
                       Part::kAttention,
                       FusedQkv{heads, head_dim}});
    surface.push_back({block + ".attn.proj.weight", {d, d}, block, Part::kAttention, std::nullopt});
    surface.push_back({block + ".mlp.fc1.weight", {4 * d, d}, block, Part::kMlp, std::nullopt});
    surface.push_back({block + ".mlp.fc2.weight", {d, 4 * d}, block, Part::kMlp, std::nullopt});
  }
  surface.push_back({"head.weight", {10, d}, "", Part::kHead, std::nullopt});
  return surface;
}

}  // namespace bitquake
