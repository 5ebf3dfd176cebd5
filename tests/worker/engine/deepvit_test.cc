// DeepViT against its definition (Zhou et al. 2021).
#include <gtest/gtest.h>

#include "tests/worker/engine/reference_network.h"

namespace bitquake {
namespace {

class ReferenceDeepVit : public ReferenceNetwork {
 public:
  ReferenceDeepVit(const TestDeepVit& deepvit, uint32_t seed)
      : ReferenceNetwork(RandomTensors(deepvit, seed), 1e-6), deepvit_(deepvit) {}

  Vector Logits(const std::vector<uint8_t>& pixels) override {
    Tokens x = EmbedPatches(pixels, deepvit_.image, deepvit_.patch);
    x.insert(x.begin(), Get("cls_token"));
    for (size_t t = 0; t < x.size(); ++t) {
      for (int i = 0; i < deepvit_.width; ++i) {
        x[t][i] += Get("pos_embed")[t * deepvit_.width + i];
      }
    }
    for (int b = 0; b < deepvit_.depth; ++b) {
      Block("blocks." + std::to_string(b) + ".", x);
    }
    return Linear("head", Norm("norm", x[0]));
  }

 private:
  void Block(const std::string& block, Tokens& x) const {
    const int head_dim = deepvit_.width / deepvit_.heads;
    const Tokens qkv = Qkv(block, x);
    std::vector<Map> maps;
    for (int h = 0; h < deepvit_.heads; ++h) {
      maps.push_back(AttentionMap(qkv, h, head_dim));
    }
    AddProjected(block, Mix(ReAttend(block, maps), qkv, head_dim), x);
    AddMlp(block, x);
  }

  // Each new map is a mixture of the heads' maps, normalised by the statistics of training.
  std::vector<Map> ReAttend(const std::string& block, const std::vector<Map>& maps) const {
    const std::string norm = block + "attn.var_norm.";
    const Vector& matrix = Get(block + "attn.reatten_matrix.weight");
    std::vector<Map> out(maps.size(), Map(maps[0].size(), Vector(maps[0].size())));
    for (size_t h = 0; h < maps.size(); ++h) {
      for (size_t t = 0; t < maps[0].size(); ++t) {
        for (size_t u = 0; u < maps[0].size(); ++u) {
          double mixed = Get(block + "attn.reatten_matrix.bias")[h];
          for (size_t g = 0; g < maps.size(); ++g) {
            mixed += matrix[h * maps.size() + g] * maps[g][t][u];
          }
          out[h][t][u] = (mixed - Get(norm + "running_mean")[h]) /
                             std::sqrt(Get(norm + "running_var")[h] + 1e-5) *
                             Get(norm + "weight")[h] +
                         Get(norm + "bias")[h];
        }
      }
    }
    return out;
  }

  const TestDeepVit deepvit_;
};

void ExpectLogitsOfTheDefinition(const TestDeepVit& deepvit) {
  ReferenceDeepVit reference(deepvit, 11);
  ExpectLogitsOf(reference, deepvit, 11);
}

TEST(DeepVit, GivesTheLogitsOfItsDefinition) { ExpectLogitsOfTheDefinition({}); }

TEST(DeepVit, GivesTheLogitsOfItsDefinitionForOneBlock) {  // first and last at once
  TestDeepVit deepvit;
  deepvit.depth = 1;
  deepvit.image = 12;
  deepvit.heads = 2;
  ExpectLogitsOfTheDefinition(deepvit);
}

}  // namespace
}  // namespace bitquake
