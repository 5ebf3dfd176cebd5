// Vision transformer (Dosovitskiy et al. 2021), as timm's VisionTransformer computes it with
// pooling by class token, and as its VisionTransformerDistilled.
#include <vector>

#include "worker/engine/vit_like.h"

namespace bitquake {
namespace {

class Vit : public VitLike {
 public:
  Vit(const VitShape& shape, const Weights& weights)
      : VitLike(shape, weights), heads_{Linear(weights, "head")} {
    if (shape_.distilled) {
      heads_.push_back(Linear(weights, "head_dist"));
    }
  }

 private:
  at::Tensor Mix(int /*block*/, const Qkv& qkv) const override { return bitquake::Attend(qkv); }

  // Each prefix token has its head; the logits are their mean.
  at::Tensor Classify(const at::Tensor& x) const override {
    at::Tensor logits = heads_[0](norm_(x.select(1, 0)));
    if (shape_.distilled) {
      logits.add_(heads_[1](norm_(x.select(1, 1)))).div_(2);
    }
    return logits;
  }

  std::vector<Linear> heads_;
};

}  // namespace

std::unique_ptr<ModelGraph> MakeVit(const VitShape& shape, const Weights& weights) {
  return std::make_unique<Vit>(shape, weights);
}

}  // namespace bitquake
