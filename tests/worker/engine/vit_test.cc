// The network against its definition: plain loops in double precision, written from the paper.
#include <ATen/Parallel.h>
#include <gmock/gmock.h>

#include <cmath>

#include "tests/worker/engine/fixtures.h"

namespace bitquake {
namespace {

using Vector = std::vector<double>;

class Reference {
 public:
  Reference(const TestVit& vit, uint32_t seed) : vit_(vit) {
    for (const TestTensor& tensor : RandomTensors(vit, seed)) {
      tensors_[tensor.name] = Vector(tensor.values.begin(), tensor.values.end());
    }
  }

  Vector Logits(const std::vector<uint8_t>& pixels) {
    const Vector mean = {0.5, 0.4, 0.3};
    const Vector std = {0.5, 0.25, 0.2};
    const int grid = vit_.image / vit_.patch;
    std::vector<Vector> x = {tensors_["cls_token"]};
    for (int gy = 0; gy < grid; ++gy) {
      for (int gx = 0; gx < grid; ++gx) {
        Vector patch;
        for (int c = 0; c < 3; ++c) {
          for (int y = 0; y < vit_.patch; ++y) {
            for (int px = 0; px < vit_.patch; ++px) {
              const int row = gy * vit_.patch + y;
              const int column = gx * vit_.patch + px;
              patch.push_back(
                  (pixels[(c * vit_.image + row) * vit_.image + column] / 255.0 - mean[c]) /
                  std[c]);
            }
          }
        }
        x.push_back(Linear("patch_embed.proj", patch, vit_.width));
      }
    }
    for (size_t t = 0; t < x.size(); ++t) {
      for (int i = 0; i < vit_.width; ++i) {
        x[t][i] += tensors_["pos_embed"][t * vit_.width + i];
      }
      if (vit_.pre_norm) {
        x[t] = Norm("norm_pre", x[t]);
      }
    }
    for (int b = 0; b < vit_.depth; ++b) {
      Block("blocks." + std::to_string(b) + ".", x);
    }
    return Linear("head", Norm("norm", x[0]), vit_.classes);
  }

 private:
  Vector Linear(const std::string& name, const Vector& in, int out_size) {
    const Vector& weight = tensors_[name + ".weight"];
    Vector out(out_size);
    for (int o = 0; o < out_size; ++o) {
      for (size_t i = 0; i < in.size(); ++i) {
        out[o] += weight[o * in.size() + i] * in[i];
      }
      out[o] += tensors_.count(name + ".bias") ? tensors_[name + ".bias"][o] : 0;
    }
    return out;
  }

  Vector Norm(const std::string& name, Vector x) {
    const double eps = vit_.pre_norm ? 1e-5 : 1e-6;
    double mean = 0, variance = 0;
    for (const double v : x) mean += v / static_cast<double>(x.size());
    for (const double v : x) variance += (v - mean) * (v - mean) / static_cast<double>(x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] = (x[i] - mean) / std::sqrt(variance + eps) * tensors_[name + ".weight"][i] +
             tensors_[name + ".bias"][i];
    }
    return x;
  }

  void Block(const std::string& prefix, std::vector<Vector>& x) {
    const int head_dim = vit_.width / vit_.heads;
    std::vector<Vector> qkv;
    for (const Vector& token : x) {
      qkv.push_back(Linear(prefix + "attn.qkv", Norm(prefix + "norm1", token), 3 * vit_.width));
    }
    const std::vector<Vector> before = x;
    for (size_t t = 0; t < x.size(); ++t) {
      Vector mixed(vit_.width);
      for (int h = 0; h < vit_.heads; ++h) {
        Vector weight(x.size());
        double sum = 0;
        for (size_t u = 0; u < x.size(); ++u) {
          double dot = 0;
          for (int j = 0; j < head_dim; ++j) {
            dot += qkv[t][h * head_dim + j] * qkv[u][vit_.width + h * head_dim + j];
          }
          weight[u] = std::exp(dot / std::sqrt(head_dim));
          sum += weight[u];
        }
        for (size_t u = 0; u < x.size(); ++u) {
          for (int j = 0; j < head_dim; ++j) {
            mixed[h * head_dim + j] += weight[u] / sum * qkv[u][2 * vit_.width + h * head_dim + j];
          }
        }
      }
      const Vector projected = Linear(prefix + "attn.proj", mixed, vit_.width);
      for (int i = 0; i < vit_.width; ++i) x[t][i] = before[t][i] + projected[i];
    }
    for (Vector& token : x) {
      Vector hidden = Linear(prefix + "mlp.fc1", Norm(prefix + "norm2", token), vit_.hidden);
      for (double& v : hidden) v *= 0.5 * (1 + std::erf(v / std::sqrt(2.0)));
      const Vector out = Linear(prefix + "mlp.fc2", hidden, vit_.width);
      for (int i = 0; i < vit_.width; ++i) token[i] += out[i];
    }
  }

  TestVit vit_;
  std::map<std::string, Vector> tensors_;
};

void ExpectLogitsOfTheDefinition(const TestVit& vit) {
  const TestImages images(vit, 7);
  auto evaluator = MakeEvaluator(RandomSnapshot(vit, 11), Options("fp32", 4));
  const at::Tensor logits = evaluator->Logits(images.fold).value();
  Reference reference(vit, 11);
  for (size_t i = 0; i < images.pixels.size(); ++i) {
    const Vector expected = reference.Logits(images.pixels[i]);
    for (int c = 0; c < vit.classes; ++c) {
      const float actual = logits.const_data_ptr<float>()[i * vit.classes + c];
      EXPECT_NEAR(actual, expected[c], 2e-5 * (1 + std::fabs(expected[c])))
          << "image " << i << ", class " << c;
    }
  }
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

// Sums depend on the number of threads: as in the pool, one.
TEST(Vit, AStageReadsNoWeightOfALaterOne) {
  at::set_num_threads(1);
  const TestVit vit;
  const ModelSnapshot snapshot = RandomSnapshot(vit, 3);
  Weights weights;
  for (const StoredTensor& stored : snapshot.weights.tensors()) {
    weights[stored.name] = at::tensor(ToFloat(stored).value()).view(stored.shape);
  }
  const auto graph = MakeVit(std::get<VitShape>(snapshot.architecture.network), weights);
  const at::Tensor input = at::ones({2, 3, vit.image, vit.image});
  for (const auto& [name, weight] : weights) {
    const int stage = graph->StageOf(name);
    at::Tensor before = input;
    for (int s = 0; s < stage; ++s) {
      before = graph->RunStage(s, before);
    }
    const at::Tensor after = graph->RunStage(stage, before);
    const at::Tensor kept = weight.clone();
    weights[name].add_(at::randn_like(kept));
    at::Tensor x = input;
    for (int s = 0; s < stage; ++s) {
      x = graph->RunStage(s, x);
    }
    EXPECT_TRUE(x.equal(before)) << name << " is read before stage " << stage;
    // Its own stage reads it: resuming there sees the change. (The bias of k cancels in softmax,
    // but the other two thirds of qkv's bias do not.)
    EXPECT_FALSE(graph->RunStage(stage, before).equal(after)) << name;
    weights[name].copy_(kept);
  }
}

TEST(Vit, StagesLeaveTheirInputAsItIs) {
  at::set_num_threads(1);
  const TestVit vit;
  const ModelSnapshot snapshot = RandomSnapshot(vit, 3);
  Weights weights;
  for (const StoredTensor& stored : snapshot.weights.tensors()) {
    weights[stored.name] = at::tensor(ToFloat(stored).value()).view(stored.shape);
  }
  const auto graph = MakeVit(std::get<VitShape>(snapshot.architecture.network), weights);
  at::Tensor x = at::ones({2, 3, vit.image, vit.image});
  for (int stage = 0; stage < graph->stage_count(); ++stage) {
    EXPECT_EQ(x.numel() * 4, graph->InputBytes(stage) * 2) << stage;
    const at::Tensor copy = x.clone();
    const at::Tensor next = graph->RunStage(stage, x);
    EXPECT_TRUE(x.equal(copy)) << stage;
    x = next;
  }
}

}  // namespace
}  // namespace bitquake
