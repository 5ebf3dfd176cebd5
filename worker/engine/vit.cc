// Vision transformer (Dosovitskiy et al. 2021), as timm's VisionTransformer computes it with
// pooling by class token, and as its VisionTransformerDistilled. Stages: embedding; two per block
// (attention, MLP), so that a fault in an MLP does not repeat the attention before it; final norm
// and head.
#include <vector>

#include "absl/strings/str_cat.h"
#include "worker/engine/layers.h"
#include "worker/engine/model_graph.h"

namespace bitquake {
namespace {

struct Block {
  Norm norm1;
  Linear qkv;
  Linear proj;
  Mlp mlp;
};

class Vit : public ModelGraph {
 public:
  Vit(const VitShape& shape, const Weights& weights)
      : shape_(shape),
        embedding_(weights, shape),
        norm_(weights, "norm", shape.norm_eps),
        heads_{Linear(weights, "head")} {
    for (int b = 0; b < shape_.depth; ++b) {
      const std::string block = absl::StrCat("blocks.", b);
      blocks_.push_back(
          {Norm(weights, block + ".norm1", shape_.norm_eps), Linear(weights, block + ".attn.qkv"),
           Linear(weights, block + ".attn.proj"), Mlp(weights, block, shape_.norm_eps)});
    }
    if (shape_.distilled) {
      heads_.push_back(Linear(weights, "head_dist"));
    }
  }

  int stage_count() const override { return VitStageCount(shape_.depth); }

  int StageOf(absl::string_view weight) const override { return VitStageOf(weight, shape_.depth); }

  at::Tensor RunStage(int stage, const at::Tensor& x) const override {
    if (stage == 0) {
      return embedding_(x);
    }
    if (stage == stage_count() - 1) {
      return Classify(x);
    }
    const int block = (stage - 1) / 2;
    return stage % 2 == 1 ? Attend(blocks_[block], x, block == shape_.depth - 1)
                          : blocks_[block].mlp(x);
  }

  int AttentionBlock(int stage) const override { return VitAttentionBlock(stage, shape_.depth); }

  QueriesAndKeys Attention(int stage, const at::Tensor& x) const override {
    const Block& block = blocks_[VitAttentionBlock(stage, shape_.depth)];
    return ScaledQueriesAndKeys(block.qkv, block.norm1(x), shape_.heads);
  }

  int64_t InputBytes(int stage) const override { return VitInputBytes(shape_, stage); }

 private:
  // Only the prefix tokens leave the last block, so only their queries are needed there.
  at::Tensor Attend(const Block& block, const at::Tensor& x, bool last) const {
    const int64_t queries = last ? shape_.prefix_tokens() : x.size(1);
    const auto [q, k, v] = SplitQkv(block.qkv, block.norm1(x), shape_.heads, queries);
    const at::Tensor mixed = MergeHeads(at::scaled_dot_product_attention(q, k, v));
    return block.proj(mixed).add_(x.narrow(1, 0, queries));
  }

  // Each prefix token has its head; the logits are their mean.
  at::Tensor Classify(const at::Tensor& x) const {
    at::Tensor logits = heads_[0](norm_(x.select(1, 0)));
    if (shape_.distilled) {
      logits.add_(heads_[1](norm_(x.select(1, 1)))).div_(2);
    }
    return logits;
  }

  const VitShape shape_;
  VitEmbedding embedding_;
  std::vector<Block> blocks_;
  Norm norm_;
  std::vector<Linear> heads_;
};

}  // namespace

std::unique_ptr<ModelGraph> MakeVit(const VitShape& shape, const Weights& weights) {
  return std::make_unique<Vit>(shape, weights);
}

}  // namespace bitquake
