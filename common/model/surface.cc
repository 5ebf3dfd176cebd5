#include "common/model/surface.h"

#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/model/vit_tensors.h"

namespace bitquake {
namespace {

Part PartOf(absl::string_view name) {
  if (absl::StrContains(name, ".attn.")) {
    return Part::kAttention;
  }
  if (absl::StrContains(name, ".mlp.")) {
    return Part::kMlp;
  }
  return absl::StartsWith(name, "head.") ? Part::kHead : Part::kEmbed;
}

// "blocks.3" of "blocks.3.attn.qkv.weight".
std::string BlockOf(absl::string_view name) {
  const std::vector<absl::string_view> parts = absl::StrSplit(name, '.');
  return parts[0] == "blocks" ? absl::StrCat(parts[0], ".", parts[1]) : "";
}

}  // namespace

absl::StatusOr<Surface> MakeSurface(const Architecture& architecture,
                                    const std::vector<TensorInfo>& tensors,
                                    const SurfaceSelection& selection) {
  (void)selection;
  std::map<std::string, const TensorInfo*> by_name;
  for (const TensorInfo& tensor : tensors) {
    by_name[tensor.name] = &tensor;
  }
  const VitShape& vit = architecture.vit;
  Surface surface;
  for (const TensorInfo& expected : VitTensors(vit, architecture.num_classes)) {
    const auto found = by_name.find(expected.name);
    if (found == by_name.end() || found->second->shape.size() < 2) {
      continue;
    }
    SurfaceTensor tensor;
    tensor.name = expected.name;
    tensor.shape = found->second->shape;
    tensor.block = BlockOf(expected.name);
    tensor.part = PartOf(expected.name);
    if (absl::EndsWith(expected.name, ".attn.qkv.weight")) {
      tensor.qkv = FusedQkv{vit.heads, vit.width / vit.heads};
    }
    surface.push_back(std::move(tensor));
  }
  return surface;
}

}  // namespace bitquake
