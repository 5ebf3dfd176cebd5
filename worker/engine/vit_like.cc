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
    return 1 + 2 * block + (parts[2] == "norm2" || parts[2] == "mlp" ? 1 : 0);
  }
  const bool last = parts[0] == "norm" || parts[0] == "head" || parts[0] == "head_dist";
  return last ? stage_count() - 1 : 0;
}

at::Tensor VitLike::RunStage(int stage, const at::Tensor& x) const {
  if (stage == 0) {
    return embedding_(x);
  }
  if (stage == stage_count() - 1) {
    return Classify(x);
  }
  const int block = (stage - 1) / 2;
  return stage % 2 == 1 ? Attend(block, x) : blocks_[block].mlp(x);
}

int VitLike::AttentionBlock(int stage) const {
  return stage % 2 == 1 && stage < stage_count() - 1 ? (stage - 1) / 2 : -1;
}

QueriesAndKeys VitLike::Attention(int stage, const at::Tensor& x) const {
  const Block& block = blocks_[AttentionBlock(stage)];
  return ScaledQueriesAndKeys(block.qkv, block.norm1(x), shape_.heads);
}

int64_t VitLike::InputBytes(int stage) const {
  const int64_t image = int64_t{3} * shape_.image * shape_.image;
  // Only the prefix leaves the last attention.
  const bool cut = stage >= stage_count() - 2;
  const int64_t tokens = cut ? shape_.prefix_tokens() : shape_.tokens();
  return static_cast<int64_t>(sizeof(float)) * (stage == 0 ? image : tokens * shape_.width);
}

// Only the prefix tokens leave the last block, so only their queries are needed there.
at::Tensor VitLike::Attend(int index, const at::Tensor& x) const {
  const Block& block = blocks_[index];
  const int64_t queries = index == shape_.depth - 1 ? shape_.prefix_tokens() : x.size(1);
  const Qkv qkv = SplitQkv(block.qkv, block.norm1(x), shape_.heads, queries);
  return block.proj(MergeHeads(Mix(index, qkv))).add_(x.narrow(1, 0, queries));
}

}  // namespace bitquake
