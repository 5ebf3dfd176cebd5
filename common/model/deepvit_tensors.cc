#include "common/model/deepvit_tensors.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model/vit_tensors.h"

namespace bitquake {

absl::StatusOr<DeepVitShape> DeriveDeepVit(const ModelConfig& config,
                                           const CheckpointShapes& shapes) {
  ASSIGN_OR_RETURN(const int heads, shapes.Side("blocks.0.attn.reatten_matrix.weight", 4, 0));
  if (!config.args.num_heads.empty()) {
    RETURN_IF_ERROR(
        CheckStated("num_heads", std::optional<int>(config.args.num_heads.front()), heads));
  }
  DeepVitShape shape;
  ASSIGN_OR_RETURN(shape.vit, DeriveVitWithHeads(config, shapes, heads));
  return shape;
}

std::vector<NetworkTensor> DeepVitTensors(const DeepVitShape& shape, int num_classes) {
  const VitShape& vit = shape.vit;
  TensorLister tensors;
  AddVitEmbedding(vit, tensors);
  for (int b = 0; b < vit.depth; ++b) {
    const std::string block = absl::StrCat("blocks.", b);
    tensors.Begin(block, Part::kAttention);
    tensors.AddNorm(block + ".norm1", vit.width);
    tensors.AddFusedQkv(block + ".attn.qkv", vit.width, vit.heads, vit.qkv_bias);
    tensors.Add(block + ".attn.reatten_matrix.weight", {vit.heads, vit.heads, 1, 1});
    tensors.Add(block + ".attn.reatten_matrix.bias", {vit.heads});
    tensors.AddNorm(block + ".attn.var_norm", vit.heads);
    tensors.Add(block + ".attn.var_norm.running_mean", {vit.heads}, TensorKind::kStatistic);
    tensors.Add(block + ".attn.var_norm.running_var", {vit.heads}, TensorKind::kStatistic);
    tensors.Add(block + ".attn.var_norm.num_batches_tracked", {}, TensorKind::kUnused);
    tensors.AddLinear(block + ".attn.proj", vit.width, vit.width);
    tensors.AddMlp(block, vit.width, vit.mlp_hidden);
  }
  tensors.Begin("", Part::kHead);
  tensors.AddNorm("norm", vit.width);
  tensors.AddLinear("head", num_classes, vit.width);
  return std::move(tensors).Take();
}

}  // namespace bitquake
