// Swin transformer (Liu et al. 2021), as timm's SwinTransformer computes it. Activations are
// [chunk, side * side, width], row by row. Steps: patch embedding; of each stage its downsampling
// (but the first), then four for each block (qkv and attention, proj, fc1, fc2); final norm, mean
// over all tokens, head. (What the paper calls a stage is a level here: ModelGraph's stages are
// these steps.)
#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "worker/engine/layers.h"
#include "worker/engine/model_graph.h"

namespace bitquake {
namespace {

// For each pair of a window's tokens the row of the table of relative positions: [w^2 * w^2], query
// major. Rows run over differences of rows, then of columns, from -(w - 1) to w - 1.
at::Tensor RelativePositions(int64_t window) {
  const int64_t area = window * window;
  at::Tensor index = at::empty({area * area}, at::kLong);
  int64_t* out = index.mutable_data_ptr<int64_t>();
  for (int64_t query = 0; query < area; ++query) {
    for (int64_t key = 0; key < area; ++key) {
      const int64_t rows = query / window - key / window + window - 1;
      const int64_t columns = query % window - key % window + window - 1;
      *out++ = rows * (2 * window - 1) + columns;
    }
  }
  return index;
}

// After a cyclic shift the last windows hold tokens from opposite edges of the image: those must
// not see each other. [windows, 1, w^2, w^2]; -100 is timm's.
at::Tensor ShiftMask(const SwinStage& level) {
  const int64_t side = level.side;
  const int64_t window = level.window;
  const int64_t per_side = side / window;
  const int64_t area = window * window;
  const auto region = [&](int64_t position) {
    return position < side - window ? 0 : position < side - level.shift() ? 1 : 2;
  };
  at::Tensor mask = at::empty({per_side * per_side, 1, area, area}, at::kFloat);
  float* out = mask.mutable_data_ptr<float>();
  for (int64_t w = 0; w < per_side * per_side; ++w) {
    const auto region_of = [&](int64_t token) {
      return 3 * region(w / per_side * window + token / window) +
             region(w % per_side * window + token % window);
    };
    for (int64_t query = 0; query < area; ++query) {
      for (int64_t key = 0; key < area; ++key) {
        *out++ = region_of(query) == region_of(key) ? 0.0f : -100.0f;
      }
    }
  }
  return mask;
}

struct Block {
  Norm norm1;
  Linear qkv;
  at::Tensor position_bias;  // the table: [(2w - 1)^2, heads]
  Linear proj;
  Mlp mlp;
};

struct Downsampling {
  Norm norm;
  Linear reduction;
};

struct Level {
  SwinStage shape;
  int first_stage;            // of ModelGraph: its downsampling's, or its first attention's
  Downsampling downsampling;  // of all but the first
  std::vector<Block> blocks;
  at::Tensor relative_positions;
  at::Tensor shift_mask;  // undefined if windows are not shifted

  bool downsamples() const { return downsampling.norm.weight.defined(); }
  int first_attention() const { return first_stage + (downsamples() ? 1 : 0); }
  int end_stage() const { return first_attention() + kStagesPerBlock * shape.depth; }
};

class Swin : public ModelGraph {
 public:
  Swin(const SwinShape& shape, const Weights& weights)
      : image_(shape.image),
        patches_(weights, "patch_embed.proj"),
        patch_norm_(weights, "patch_embed.norm", shape.norm_eps),
        norm_(weights, "norm", shape.norm_eps),
        head_(weights, "head.fc") {
    for (const SwinStage& stage : shape.stages) {
      AddLevel(stage, weights, shape.norm_eps);
    }
  }

  int stage_count() const override { return levels_.back().end_stage() + 1; }

  int StageOf(absl::string_view weight) const override {
    const std::vector<absl::string_view> parts = absl::StrSplit(weight, '.');
    uint32_t level;
    if (parts[0] == "layers" && parts.size() > 2 && absl::SimpleAtoi(parts[1], &level) &&
        level < levels_.size()) {
      int block;
      if (parts.size() < 5 || parts[2] != "blocks" || !absl::SimpleAtoi(parts[3], &block)) {
        return levels_[level].first_stage;
      }
      return levels_[level].first_attention() + kStagesPerBlock * block +
             StageInBlock({parts.data() + 4, parts.size() - 4});
    }
    return parts[0] == "norm" || parts[0] == "head" ? stage_count() - 1 : 0;
  }

  Activations RunStage(int stage, const Activations& in) const override {
    if (stage == 0) {
      return patch_norm_(patches_(in.x));
    }
    if (stage == stage_count() - 1) {
      return head_(norm_(in.x).mean(1));
    }
    const Level& level = LevelOf(stage);
    if (stage < level.first_attention()) {
      return Downsample(level, in.x);
    }
    const int index = (stage - level.first_attention()) / kStagesPerBlock;
    const Block& block = level.blocks[index];
    switch ((stage - level.first_attention()) % kStagesPerBlock) {
      case 0:
        return Attend(level, index, in.x);
      case 1:
        return Project(level, index, in);
      case 2:
        return block.mlp.Widen(in.x);
      default:
        return block.mlp.Narrow(in);
    }
  }

  int64_t InputSize(int stage) const override {
    if (stage == 0) {
      return int64_t{3} * image_ * image_;
    }
    const Level& level = LevelOf(std::min(stage, stage_count() - 2));
    const int64_t tokens = int64_t{level.shape.side} * level.shape.side;
    if (stage < level.first_attention()) {
      return 2 * tokens * level.shape.width;  // four times the tokens of half the width
    }
    const int inside = (stage - level.first_attention()) % kStagesPerBlock;
    const int64_t branch = inside == 1   ? level.shape.width
                           : inside == 3 ? level.shape.mlp_hidden
                                         : 0;
    return tokens * (level.shape.width + branch);
  }

 private:
  void AddLevel(const SwinStage& shape, const Weights& weights, double eps) {
    Level level;
    level.shape = shape;
    level.first_stage = levels_.empty() ? 1 : levels_.back().end_stage();
    const std::string name = absl::StrCat("layers.", levels_.size());
    if (!levels_.empty()) {
      level.downsampling = {Norm(weights, name + ".downsample.norm", eps),
                            Linear(weights, name + ".downsample.reduction")};
    }
    for (int b = 0; b < shape.depth; ++b) {
      const std::string block = absl::StrCat(name, ".blocks.", b);
      level.blocks.push_back({Norm(weights, block + ".norm1", eps),
                              Linear(weights, block + ".attn.qkv"),
                              weights.at(block + ".attn.relative_position_bias_table"),
                              Linear(weights, block + ".attn.proj"), Mlp(weights, block, eps)});
    }
    const at::TensorOptions options = norm_.weight.options();
    level.relative_positions = RelativePositions(shape.window).to(options.device());
    if (shape.shift() > 0) {
      level.shift_mask = ShiftMask(shape).to(options);
    }
    levels_.push_back(std::move(level));
  }

  const Level& LevelOf(int stage) const {
    size_t level = 0;
    while (stage >= levels_[level].end_stage()) {
      ++level;
    }
    return levels_[level];
  }

  // Each four neighbours become one: upper left, lower left, upper right, lower right.
  static at::Tensor Downsample(const Level& level, const at::Tensor& x) {
    const int64_t side = level.shape.side;
    const at::Tensor merged = x.view({x.size(0), side, 2, side, 2, -1})
                                  .permute({0, 1, 3, 4, 2, 5})
                                  .reshape({x.size(0), side * side, -1});
    return level.downsampling.reduction(level.downsampling.norm(merged));
  }

  // [chunk, side * side, width] to [chunk * windows, w^2, width], and back.
  static at::Tensor SplitWindows(const SwinStage& shape, const at::Tensor& x) {
    const int64_t per_side = shape.side / shape.window;
    return x.view({-1, per_side, shape.window, per_side, shape.window, shape.width})
        .permute({0, 1, 3, 2, 4, 5})
        .reshape({-1, shape.window * shape.window, shape.width});
  }
  static at::Tensor JoinWindows(const SwinStage& shape, const at::Tensor& x) {
    const int64_t per_side = shape.side / shape.window;
    return x.view({-1, per_side, per_side, shape.window, shape.window, shape.width})
        .permute({0, 1, 3, 2, 4, 5})
        .reshape({-1, shape.side * shape.side, shape.width});
  }

  static at::Tensor Roll(const SwinStage& shape, const at::Tensor& x, int64_t by) {
    return at::roll(x.view({-1, shape.side, shape.side, shape.width}), {by, by}, {1, 2}).view_as(x);
  }

  static bool Shifted(const Level& level, int index) {
    return index % 2 == 1 && level.shape.shift() > 0;
  }

  // The branch is in windows: [chunk * windows, w^2, width].
  static Activations Attend(const Level& level, int index, const at::Tensor& x) {
    const bool shifted = Shifted(level, index);
    at::Tensor in = level.blocks[index].norm1(x);
    if (shifted) {
      in = Roll(level.shape, in, -level.shape.shift());
    }
    return {x, AttendInWindows(level, level.blocks[index], SplitWindows(level.shape, in), shifted)};
  }

  static at::Tensor Project(const Level& level, int index, const Activations& in) {
    at::Tensor out = JoinWindows(level.shape, level.blocks[index].proj(in.branch));
    if (Shifted(level, index)) {
      out = Roll(level.shape, out, level.shape.shift());
    }
    return out.add_(in.x);
  }

  static at::Tensor AttendInWindows(const Level& level, const Block& block, const at::Tensor& x,
                                    bool shifted) {
    const int64_t heads = level.shape.heads;
    const int64_t area = x.size(1);
    const double scale = 1 / std::sqrt(level.shape.width / heads);
    const auto [q, k, v] = SplitQkv(block.qkv, x, heads, area);
    at::Tensor scores = at::matmul(q * scale, k.transpose(-2, -1));
    at::Tensor bias = block.position_bias.index_select(0, level.relative_positions)
                          .view({area, area, heads})
                          .permute({2, 0, 1});
    if (shifted) {
      bias = bias + level.shift_mask;  // [windows, heads, w^2, w^2]
      scores.view({-1, bias.size(0), heads, area, area}).add_(bias);
    } else {
      scores.add_(bias);
    }
    return MergeHeads(at::matmul(at::softmax(scores, -1), v));
  }

  const int image_;
  PatchEmbedding patches_;
  Norm patch_norm_;
  std::vector<Level> levels_;
  Norm norm_;
  Linear head_;
};

}  // namespace

std::unique_ptr<ModelGraph> MakeSwin(const SwinShape& shape, const Weights& weights) {
  return std::make_unique<Swin>(shape, weights);
}

}  // namespace bitquake
