// What a plain vision transformer and DeepViT share: everything but how a block mixes its tokens
// and how the tokens become logits. Stages: embedding; four per block (qkv and attention, proj,
// fc1, fc2), so that a fault in a projection repeats nothing before it; final norm and head.
// (Inside worker/engine only: this header shows torch.)
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "absl/strings/string_view.h"
#include "common/model/architecture.h"
#include "worker/engine/layers.h"
#include "worker/engine/model_graph.h"

namespace bitquake {

// Prefix tokens, patches, positions, CLIP's norm.
struct VitEmbedding {
  VitEmbedding(const Weights& weights, const VitShape& shape);

  // [chunk, 3, side, side] to [chunk, tokens, width].
  at::Tensor operator()(const at::Tensor& images) const;

  std::vector<at::Tensor> prefix;  // [1, 1, width] each
  at::Tensor positions;            // [1, tokens, width]
  PatchEmbedding patches;
  Norm pre_norm;  // its weight is undefined if there is none
};

class VitLike : public ModelGraph {
 public:
  int stage_count() const override { return 2 + kStagesPerBlock * shape_.depth; }
  int StageOf(absl::string_view weight) const override;
  Activations RunStage(int stage, const Activations& in) const override;
  int AttentionBlock(int stage) const override;
  QueriesAndKeys Attention(int stage, const at::Tensor& x) const override;
  int64_t InputSize(int stage) const override;

 protected:
  struct Block {
    Norm norm1;
    Linear qkv;
    Linear proj;
    Mlp mlp;
  };

  VitLike(const VitShape& shape, const Weights& weights);

  // Of all queries, keys and values to what the projection takes, [chunk, heads, queries,
  // head_dim].
  virtual at::Tensor Mix(int block, const Qkv& qkv) const = 0;
  // From the last block's tokens, not normalised yet, of which the first are the prefix: [chunk,
  // tokens, width].
  virtual at::Tensor Classify(const at::Tensor& x) const = 0;

  const VitShape shape_;
  const Norm norm_;

 private:
  Activations Attend(int block, const at::Tensor& x) const;

  const VitEmbedding embedding_;
  std::vector<Block> blocks_;
};

}  // namespace bitquake
