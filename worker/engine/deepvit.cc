// DeepViT (Zhou et al. 2021), as its official code computes it in evaluation: a vision transformer
// with Re-Attention. Stages as of a plain one (vit.cc).
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "worker/engine/layers.h"
#include "worker/engine/model_graph.h"

namespace bitquake {
namespace {

// BatchNorm over the heads of attention maps, with the statistics of training.
struct VarNorm {
  VarNorm(const Weights& weights, const std::string& name, double norm_eps)
      : weight(weights.at(name + ".weight")),
        bias(weights.at(name + ".bias")),
        mean(weights.at(name + ".running_mean")),
        variance(weights.at(name + ".running_var")),
        eps(norm_eps) {}

  at::Tensor operator()(const at::Tensor& maps) const {
    return at::batch_norm(maps, weight, bias, mean, variance, /*training=*/false, /*momentum=*/0,
                          eps, /*cudnn_enabled=*/false);
  }

  at::Tensor weight;
  at::Tensor bias;
  at::Tensor mean;
  at::Tensor variance;
  double eps;
};

struct Block {
  Norm norm1;
  Linear qkv;
  at::Tensor mixing;       // [heads, heads]: new head, old head
  at::Tensor mixing_bias;  // [heads, 1]
  VarNorm var_norm;
  Linear proj;
  Mlp mlp;
};

class DeepVit : public ModelGraph {
 public:
  DeepVit(const DeepVitShape& shape, const Weights& weights)
      : shape_(shape.vit),
        embedding_(weights, shape_),
        norm_(weights, "norm", shape_.norm_eps),
        head_(weights, "head") {
    const int64_t heads = shape_.heads;
    for (int b = 0; b < shape_.depth; ++b) {
      const std::string block = absl::StrCat("blocks.", b);
      const std::string mixing = block + ".attn.reatten_matrix";
      blocks_.push_back(
          {Norm(weights, block + ".norm1", shape_.norm_eps), Linear(weights, block + ".attn.qkv"),
           weights.at(mixing + ".weight").view({heads, heads}),
           weights.at(mixing + ".bias").view({heads, 1}),
           VarNorm(weights, block + ".attn.var_norm", shape.var_norm_eps),
           Linear(weights, block + ".attn.proj"), Mlp(weights, block, shape_.norm_eps)});
    }
  }

  int stage_count() const override { return VitStageCount(shape_.depth); }

  int StageOf(absl::string_view weight) const override { return VitStageOf(weight, shape_.depth); }

  at::Tensor RunStage(int stage, const at::Tensor& x) const override {
    if (stage == 0) {
      return embedding_(x);
    }
    if (stage == stage_count() - 1) {
      return head_(norm_(x.select(1, 0)));
    }
    const int block = (stage - 1) / 2;
    return stage % 2 == 1 ? ReAttend(blocks_[block], x, block == shape_.depth - 1)
                          : blocks_[block].mlp(x);
  }

  int AttentionBlock(int stage) const override { return VitAttentionBlock(stage, shape_.depth); }

  QueriesAndKeys Attention(int stage, const at::Tensor& x) const override {
    const Block& block = blocks_[VitAttentionBlock(stage, shape_.depth)];
    return ScaledQueriesAndKeys(block.qkv, block.norm1(x), shape_.heads);
  }

  int64_t InputBytes(int stage) const override { return VitInputBytes(shape_, stage); }

 private:
  // Only the class token leaves the last block, so only its query is needed there.
  at::Tensor ReAttend(const Block& block, const at::Tensor& x, bool last) const {
    const int64_t queries = last ? 1 : x.size(1);
    const auto [q, k, v] = SplitQkv(block.qkv, block.norm1(x), shape_.heads, queries);
    const at::Tensor maps = at::softmax(at::matmul(q * HeadScale(), k.transpose(-2, -1)), -1);
    const at::Tensor mixed =
        at::matmul(block.mixing, maps.flatten(2)).add_(block.mixing_bias).view(maps.sizes());
    return block.proj(MergeHeads(at::matmul(block.var_norm(mixed), v)))
        .add_(x.narrow(1, 0, queries));
  }

  double HeadScale() const { return 1 / std::sqrt(shape_.width / shape_.heads); }

  const VitShape shape_;
  VitEmbedding embedding_;
  std::vector<Block> blocks_;
  Norm norm_;
  Linear head_;
};

}  // namespace

std::unique_ptr<ModelGraph> MakeDeepVit(const DeepVitShape& shape, const Weights& weights) {
  return std::make_unique<DeepVit>(shape, weights);
}

}  // namespace bitquake
