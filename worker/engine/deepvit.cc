// DeepViT (Zhou et al. 2021), as its official code computes it in evaluation: a vision transformer
// with Re-Attention.
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "worker/engine/vit_like.h"

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

// Mixes a block's attention maps over the heads.
struct ReAttention {
  at::Tensor mixing;       // [heads, heads]: new head, old head
  at::Tensor mixing_bias;  // [heads, 1]
  VarNorm var_norm;
};

class DeepVit : public VitLike {
 public:
  DeepVit(const DeepVitShape& shape, const Weights& weights)
      : VitLike(shape.vit, weights), head_(weights, "head") {
    const int64_t heads = shape_.heads;
    for (int b = 0; b < shape_.depth; ++b) {
      const std::string attention = absl::StrCat("blocks.", b, ".attn");
      re_attention_.push_back(
          {weights.at(attention + ".reatten_matrix.weight").view({heads, heads}),
           weights.at(attention + ".reatten_matrix.bias").view({heads, 1}),
           VarNorm(weights, attention + ".var_norm", shape.var_norm_eps)});
    }
  }

 private:
  at::Tensor Mix(int block, const Qkv& qkv) const override {
    const ReAttention& re = re_attention_[block];
    const at::Tensor maps =
        at::softmax(at::matmul(qkv.q * HeadScale(), qkv.k.transpose(-2, -1)), -1);
    const at::Tensor mixed =
        at::matmul(re.mixing, maps.flatten(2)).add_(re.mixing_bias).view(maps.sizes());
    return at::matmul(re.var_norm(mixed), qkv.v);
  }

  at::Tensor Classify(const at::Tensor& x) const override { return head_(norm_(x.select(1, 0))); }

  double HeadScale() const { return 1 / std::sqrt(shape_.width / shape_.heads); }

  std::vector<ReAttention> re_attention_;
  Linear head_;
};

}  // namespace

std::unique_ptr<ModelGraph> MakeDeepVit(const DeepVitShape& shape, const Weights& weights) {
  return std::make_unique<DeepVit>(shape, weights);
}

}  // namespace bitquake
