#include "worker/engine/vit_like.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace bitquake {

VitEmbedding::VitEmbedding(const Weights& weights, const VitShape& shape)
    : prefix{weights.at("cls_token")},
      positions(weights.at("pos_embed")),
      patches(weights, "patch_embed.proj") {
  if (shape.distilled) {
    prefix.push_back(weights.at("dist_token"));
  }
  if (shape.pre_norm) {
    pre_norm = Norm(weights, "norm_pre", shape.norm_eps);
  }
}

at::Tensor VitEmbedding::operator()(const at::Tensor& images) const {
  const int64_t chunk = images.size(0);
  const int64_t width = positions.size(2);
  const auto first = static_cast<int64_t>(prefix.size());
  at::Tensor x = at::empty({chunk, positions.size(1), width}, images.options());
  for (int64_t i = 0; i < first; ++i) {
    x.narrow(1, i, 1).copy_(prefix[i].expand({chunk, 1, width}));
  }
  x.narrow(1, first, positions.size(1) - first).copy_(patches(images));
  x.add_(positions);
  return pre_norm.weight.defined() ? pre_norm(x) : x;
}

VitLike::VitLike(const VitShape& shape, const Weights& weights)
    : shape_(shape), norm_(weights, "norm", shape.norm_eps), embedding_(weights, shape) {
  for (int b = 0; b < shape_.depth; ++b) {
    const std::string block = absl::StrCat("blocks.", b);
    blocks_.push_back({Norm(weights, block + ".norm1", shape_.norm_eps),
                       Linear(weights, block + ".attn.qkv"), Linear(weights, block + ".attn.proj"),
                       Mlp(weights, block, shape_.norm_eps)});
  }
}

int VitLike::StageOf(absl::string_view weight) const {
  const std::vector<absl::string_view> parts = absl::StrSplit(weight, '.');
  int block;
  if (parts.size() > 2 && parts[0] == "blocks" && absl::SimpleAtoi(parts[1], &block)) {
    return 1 + kStagesPerBlock * block + StageInBlock({parts.data() + 2, parts.size() - 2});
  }
  const bool last = parts[0] == "norm" || parts[0] == "head" || parts[0] == "head_dist";
  return last ? stage_count() - 1 : 0;
}

Activations VitLike::RunStage(int stage, const Activations& in) const {
  if (stage == 0) {
    return embedding_(in.x);
  }
  if (stage == stage_count() - 1) {
    return Classify(in.x);
  }
  const int index = (stage - 1) / kStagesPerBlock;
  const Block& block = blocks_[index];
  switch ((stage - 1) % kStagesPerBlock) {
    case 0:
      return Attend(index, in.x);
    case 1:
      return block.proj(in.branch).add_(in.x);
    case 2:
      return block.mlp.Widen(in.x);
    default:
      return block.mlp.Narrow(in);
  }
}

int VitLike::AttentionBlock(int stage) const {
  return (stage - 1) % kStagesPerBlock == 0 && stage < stage_count() - 1
             ? (stage - 1) / kStagesPerBlock
             : -1;
}

QueriesAndKeys VitLike::Attention(int stage, const at::Tensor& x) const {
  const Block& block = blocks_[AttentionBlock(stage)];
  return ScaledQueriesAndKeys(block.qkv, block.norm1(x), shape_.heads);
}

int64_t VitLike::InputSize(int stage) const {
  if (stage == 0) {
    return int64_t{3} * shape_.image * shape_.image;
  }
  // Only the prefix leaves the last attention.
  const bool cut = stage > stage_count() - 1 - kStagesPerBlock;
  const int64_t tokens = cut ? shape_.prefix_tokens() : shape_.tokens();
  const int inside = (stage - 1) % kStagesPerBlock;
  const int64_t branch = inside == 1 ? shape_.width : inside == 3 ? shape_.mlp_hidden : 0;
  return tokens * (shape_.width + branch);
}

// Only the prefix tokens leave the last block, so only their queries are needed there.
Activations VitLike::Attend(int index, const at::Tensor& x) const {
  const Block& block = blocks_[index];
  const int64_t queries = index == shape_.depth - 1 ? shape_.prefix_tokens() : x.size(1);
  const Qkv qkv = SplitQkv(block.qkv, block.norm1(x), shape_.heads, queries);
  // A copy, lest the prefix hold all of x.
  return {x.narrow(1, 0, queries).contiguous(), MergeHeads(Mix(index, qkv))};
}

}  // namespace bitquake
