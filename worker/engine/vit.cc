// Vision transformer (Dosovitskiy et al. 2021), as timm's VisionTransformer computes it with
// pooling by class token. Stages: embedding; two per block (attention, MLP), so that a fault in an
// MLP does not repeat the attention before it; final norm and head.
#include <cmath>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "worker/engine/model_graph.h"

namespace bitquake {
namespace {

struct Norm {
  at::Tensor weight;
  at::Tensor bias;
};

struct Linear {
  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // undefined if the layer has none
};

struct Block {
  Norm norm1;
  Linear qkv;
  Linear proj;
  Norm norm2;
  Linear fc1;
  Linear fc2;
};

at::Tensor Apply(const Linear& layer, const at::Tensor& x) {
  return at::linear(x, layer.weight, layer.bias);
}

class Vit : public ModelGraph {
 public:
  Vit(const Architecture& architecture, const Weights& weights) : shape_(architecture.vit) {
    const auto get = [&](const std::string& name) { return weights.find(name)->second; };
    const auto norm = [&](const std::string& name) {
      return Norm{get(name + ".weight"), get(name + ".bias")};
    };
    const auto linear = [&](const std::string& name) {
      const auto bias = weights.find(name + ".bias");
      return Linear{get(name + ".weight"), bias == weights.end() ? at::Tensor() : bias->second};
    };
    class_token_ = get("cls_token");
    positions_ = get("pos_embed");
    patch_embedding_ = linear("patch_embed.proj");
    patch_embedding_.weight = patch_embedding_.weight.view({shape_.width, -1});  // same storage
    if (shape_.pre_norm) {
      pre_norm_ = norm("norm_pre");
    }
    for (int b = 0; b < shape_.depth; ++b) {
      const std::string prefix = absl::StrCat("blocks.", b, ".");
      blocks_.push_back({norm(prefix + "norm1"), linear(prefix + "attn.qkv"),
                         linear(prefix + "attn.proj"), norm(prefix + "norm2"),
                         linear(prefix + "mlp.fc1"), linear(prefix + "mlp.fc2")});
    }
    norm_ = norm("norm");
    head_ = linear("head");
  }

  int stage_count() const override { return 2 + 2 * shape_.depth; }

  int StageOf(absl::string_view weight) const override {
    const std::vector<absl::string_view> parts = absl::StrSplit(weight, '.');
    int block;
    if (parts.size() > 2 && parts[0] == "blocks" && absl::SimpleAtoi(parts[1], &block)) {
      return 1 + 2 * block + (parts[2] == "norm2" || parts[2] == "mlp" ? 1 : 0);
    }
    return parts[0] == "head" || parts[0] == "norm" ? stage_count() - 1 : 0;
  }

  at::Tensor RunStage(int stage, const at::Tensor& x) const override {
    if (stage == 0) {
      return Embed(x);
    }
    if (stage == stage_count() - 1) {
      return Apply(head_, Normalize(norm_, x.select(1, 0)));
    }
    const int block = (stage - 1) / 2;
    return stage % 2 == 1 ? Attend(blocks_[block], x, block == shape_.depth - 1)
                          : Mlp(blocks_[block], x);
  }

  int64_t InputBytes(int stage) const override {
    const int64_t image = int64_t{3} * shape_.image * shape_.image;
    const int64_t tokens = stage >= stage_count() - 2 ? 1 : positions_.size(1);
    return static_cast<int64_t>(sizeof(float)) * (stage == 0 ? image : tokens * shape_.width);
  }

 private:
  at::Tensor Normalize(const Norm& norm, const at::Tensor& x) const {
    return at::layer_norm(x, {shape_.width}, norm.weight, norm.bias, shape_.norm_eps);
  }

  at::Tensor Embed(const at::Tensor& images) const {
    const int64_t chunk = images.size(0);
    const int64_t grid = shape_.image / shape_.patch;
    // The convolution's stride is its size: a linear layer over unfolded patches (channel, row,
    // column).
    const at::Tensor patches = images.view({chunk, 3, grid, shape_.patch, grid, shape_.patch})
                                   .permute({0, 2, 4, 1, 3, 5})
                                   .reshape({chunk, grid * grid, -1});
    at::Tensor x = at::empty({chunk, 1 + grid * grid, shape_.width}, images.options());
    x.narrow(1, 0, 1).copy_(class_token_.expand({chunk, 1, shape_.width}));
    x.narrow(1, 1, grid * grid).copy_(Apply(patch_embedding_, patches));
    x.add_(positions_);
    return shape_.pre_norm ? Normalize(pre_norm_, x) : x;
  }

  // Only the class token leaves the last block, so only its query is needed there.
  at::Tensor Attend(const Block& block, const at::Tensor& x, bool last) const {
    const int64_t chunk = x.size(0);
    const int64_t tokens = x.size(1);
    const int64_t width = shape_.width;
    const int64_t head_dim = width / shape_.heads;
    const at::Tensor normalized = Normalize(block.norm1, x);
    const auto heads = [&](const at::Tensor& t) {
      return t.view({chunk, t.size(1), -1, shape_.heads, head_dim}).permute({2, 0, 3, 1, 4});
    };
    const auto rows = [&](int64_t first, int64_t count) {
      return Linear{
          block.qkv.weight.narrow(0, first, count),
          block.qkv.bias.defined() ? block.qkv.bias.narrow(0, first, count) : at::Tensor()};
    };
    at::Tensor q, k, v;
    if (last) {
      q = heads(Apply(rows(0, width), normalized.narrow(1, 0, 1).contiguous()))[0];
      const at::Tensor kv = heads(Apply(rows(width, 2 * width), normalized));
      k = kv[0];
      v = kv[1];
    } else {
      const at::Tensor qkv = heads(Apply(block.qkv, normalized));
      q = qkv[0];
      k = qkv[1];
      v = qkv[2];
    }
    const int64_t queries = last ? 1 : tokens;
    const at::Tensor mixed =
        at::scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape({chunk, queries, width});
    return Apply(block.proj, mixed).add_(last ? x.narrow(1, 0, 1) : x);
  }

  at::Tensor Mlp(const Block& block, const at::Tensor& x) const {
    at::Tensor hidden = Apply(block.fc1, Normalize(block.norm2, x));
    at::gelu_(hidden);  // exact: erf
    return Apply(block.fc2, hidden).add_(x);
  }

  const VitShape shape_;
  at::Tensor class_token_;
  at::Tensor positions_;
  Linear patch_embedding_;
  Norm pre_norm_;
  std::vector<Block> blocks_;
  Norm norm_;
  Linear head_;
};

}  // namespace

std::unique_ptr<ModelGraph> MakeVit(const Architecture& architecture, const Weights& weights) {
  return std::make_unique<Vit>(architecture, weights);
}

}  // namespace bitquake
