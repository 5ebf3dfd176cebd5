// Networks as their definitions have them: plain loops in double precision, for one image, written
// from the papers. What the families share; each test adds its own.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/worker/engine/fixtures.h"

namespace bitquake {

using Vector = std::vector<double>;
using Tokens = std::vector<Vector>;
using Map = std::vector<Vector>;  // attention: [query][key]

class ReferenceNetwork {
 public:
  ReferenceNetwork(const std::vector<TestTensor>& tensors, double eps) : eps_(eps) {
    for (const TestTensor& tensor : tensors) {
      tensors_[tensor.name] = Vector(tensor.values.begin(), tensor.values.end());
    }
  }
  virtual ~ReferenceNetwork() = default;

  virtual Vector Logits(const std::vector<uint8_t>& pixels) = 0;

 protected:
  const Vector& Get(const std::string& name) const { return tensors_.at(name); }

  Vector Linear(const std::string& name, const Vector& in) const {
    const Vector& weight = Get(name + ".weight");
    Vector out(weight.size() / in.size());
    for (size_t o = 0; o < out.size(); ++o) {
      for (size_t i = 0; i < in.size(); ++i) {
        out[o] += weight[o * in.size() + i] * in[i];
      }
      out[o] += tensors_.count(name + ".bias") ? Get(name + ".bias")[o] : 0;
    }
    return out;
  }

  Vector Norm(const std::string& name, Vector x) const {
    double mean = 0, variance = 0;
    for (const double v : x) mean += v / static_cast<double>(x.size());
    for (const double v : x) variance += (v - mean) * (v - mean) / static_cast<double>(x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] = (x[i] - mean) / std::sqrt(variance + eps_) * Get(name + ".weight")[i] +
             Get(name + ".bias")[i];
    }
    return x;
  }

  // Of the patches of an image, row by row.
  Tokens EmbedPatches(const std::vector<uint8_t>& pixels, int image, int patch) const {
    const Vector mean = {0.5, 0.4, 0.3};
    const Vector std = {0.5, 0.25, 0.2};
    Tokens tokens;
    for (int top = 0; top < image; top += patch) {
      for (int left = 0; left < image; left += patch) {
        Vector values;
        for (int c = 0; c < 3; ++c) {
          for (int row = top; row < top + patch; ++row) {
            for (int column = left; column < left + patch; ++column) {
              values.push_back((pixels[(c * image + row) * image + column] / 255.0 - mean[c]) /
                               std[c]);
            }
          }
        }
        tokens.push_back(Linear("patch_embed.proj", values));
      }
    }
    return tokens;
  }

  // One head's softmax(q k / sqrt(head_dim) + bias) over the keys that a query sees.
  static Map AttentionMap(const Tokens& qkv, int head, int head_dim,
                          const std::function<double(int, int)>& bias,
                          const std::function<bool(int, int)>& sees) {
    const int width = static_cast<int>(qkv[0].size()) / 3;
    Map map(qkv.size(), Vector(qkv.size()));
    for (size_t t = 0; t < qkv.size(); ++t) {
      double sum = 0;
      for (size_t u = 0; u < qkv.size(); ++u) {
        double dot = 0;
        for (int j = 0; j < head_dim; ++j) {
          dot += qkv[t][head * head_dim + j] * qkv[u][width + head * head_dim + j];
        }
        map[t][u] = sees(t, u) ? std::exp(dot / std::sqrt(head_dim) + bias(t, u)) : 0;
        sum += map[t][u];
      }
      for (double& weight : map[t]) weight /= sum;
    }
    return map;
  }
  static Map AttentionMap(const Tokens& qkv, int head, int head_dim) {
    return AttentionMap(
        qkv, head, head_dim, [](int, int) { return 0.0; }, [](int, int) { return true; });
  }

  // The heads' maps applied to their values, side by side.
  static Tokens Mix(const std::vector<Map>& maps, const Tokens& qkv, int head_dim) {
    const int width = static_cast<int>(qkv[0].size()) / 3;
    Tokens mixed(qkv.size(), Vector(width));
    for (size_t h = 0; h < maps.size(); ++h) {
      for (size_t t = 0; t < qkv.size(); ++t) {
        for (size_t u = 0; u < qkv.size(); ++u) {
          for (int j = 0; j < head_dim; ++j) {
            const int at = static_cast<int>(h) * head_dim + j;
            mixed[t][at] += maps[h][t][u] * qkv[u][2 * width + at];
          }
        }
      }
    }
    return mixed;
  }

  Tokens Qkv(const std::string& block, const Tokens& x) const {
    Tokens qkv;
    for (const Vector& token : x) {
      qkv.push_back(Linear(block + "attn.qkv", Norm(block + "norm1", token)));
    }
    return qkv;
  }

  static void Add(const Vector& more, Vector& x) {
    for (size_t i = 0; i < x.size(); ++i) x[i] += more[i];
  }

  void AddProjected(const std::string& block, const Tokens& mixed, Tokens& x) const {
    for (size_t t = 0; t < x.size(); ++t) Add(Linear(block + "attn.proj", mixed[t]), x[t]);
  }

  void AddMlp(const std::string& block, Tokens& x) const {
    for (Vector& token : x) {
      Vector hidden = Linear(block + "mlp.fc1", Norm(block + "norm2", token));
      for (double& v : hidden) v *= 0.5 * (1 + std::erf(v / std::sqrt(2.0)));
      Add(Linear(block + "mlp.fc2", hidden), token);
    }
  }

 private:
  const double eps_;
  std::map<std::string, Vector> tensors_;
};

// The engine's logits of random images are those of the definition.
template <typename Network>
void ExpectLogitsOf(ReferenceNetwork& reference, const Network& network, uint32_t seed) {
  const TestImages images(network, 7);
  auto evaluator = MakeEvaluator(RandomSnapshot(network, seed), Options("fp32", 4));
  const at::Tensor logits = evaluator->Logits(images.fold).value();
  for (size_t i = 0; i < images.pixels.size(); ++i) {
    const Vector expected = reference.Logits(images.pixels[i]);
    ASSERT_EQ(static_cast<int>(expected.size()), network.classes);
    for (int c = 0; c < network.classes; ++c) {
      const float actual = logits.const_data_ptr<float>()[i * network.classes + c];
      EXPECT_NEAR(actual, expected[c], 2e-5 * (1 + std::fabs(expected[c])))
          << "image " << i << ", class " << c;
    }
  }
}

}  // namespace bitquake
