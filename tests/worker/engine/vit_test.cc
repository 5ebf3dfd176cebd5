// The vision transformer against its definition (Dosovitskiy et al. 2021; with a distillation
// token, Touvron et al. 2021).
#include <gtest/gtest.h>

#include "tests/worker/engine/reference_network.h"

namespace bitquake {
namespace {

class ReferenceVit : public ReferenceNetwork {
 public:
  ReferenceVit(const TestVit& vit, uint32_t seed)
      : ReferenceNetwork(RandomTensors(vit, seed), vit.pre_norm ? 1e-5 : 1e-6), vit_(vit) {}

  Vector Logits(const std::vector<uint8_t>& pixels) override {
    Tokens x = EmbedPatches(pixels, vit_.image, vit_.patch);
    if (vit_.distilled) {
      x.insert(x.begin(), Get("dist_token"));
    }
    x.insert(x.begin(), Get("cls_token"));
    for (size_t t = 0; t < x.size(); ++t) {
      for (int i = 0; i < vit_.width; ++i) {
        x[t][i] += Get("pos_embed")[t * vit_.width + i];
      }
      if (vit_.pre_norm) {
        x[t] = Norm("norm_pre", x[t]);
      }
    }
    for (int b = 0; b < vit_.depth; ++b) {
      Block("blocks." + std::to_string(b) + ".", x);
    }
    Vector logits = Linear("head", Norm("norm", x[0]));
    if (vit_.distilled) {
      Add(Linear("head_dist", Norm("norm", x[1])), logits);
      for (double& v : logits) v /= 2;
    }
    return logits;
  }

 private:
  void Block(const std::string& block, Tokens& x) const {
    const int head_dim = vit_.width / vit_.heads;
    const Tokens qkv = Qkv(block, x);
    std::vector<Map> maps;
    for (int h = 0; h < vit_.heads; ++h) {
      maps.push_back(AttentionMap(qkv, h, head_dim));
    }
    AddProjected(block, Mix(maps, qkv, head_dim), x);
    AddMlp(block, x);
  }

  const TestVit vit_;
};

void ExpectLogitsOfTheDefinition(const TestVit& vit) {
  ReferenceVit reference(vit, 11);
  ExpectLogitsOf(reference, vit, 11);
}

TEST(Vit, GivesTheLogitsOfItsDefinition) { ExpectLogitsOfTheDefinition({}); }

TEST(Vit, GivesTheLogitsOfItsDefinitionWithPreNorm) {
  TestVit vit;
  vit.pre_norm = true;
  ExpectLogitsOfTheDefinition(vit);
}

TEST(Vit, GivesTheLogitsOfItsDefinitionForOneBlock) {  // first and last at once
  TestVit vit;
  vit.depth = 1;
  vit.image = 12;
  vit.heads = 4;
  ExpectLogitsOfTheDefinition(vit);
}

TEST(Vit, GivesTheMeanOfBothHeadsWithADistillationToken) {
  TestVit vit;
  vit.distilled = true;
  ExpectLogitsOfTheDefinition(vit);
  vit.depth = 1;
  ExpectLogitsOfTheDefinition(vit);
}

}  // namespace
}  // namespace bitquake
