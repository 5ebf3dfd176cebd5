#include "tests/model/test_snapshot.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>

namespace bitquake {

std::vector<TestTensor> RandomTensors(const TestVit& vit, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<TestTensor> tensors;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape, float centre,
                       float spread) {
    TestTensor tensor{name, std::move(shape), {}};
    const int64_t count =
        std::accumulate(tensor.shape.begin(), tensor.shape.end(), int64_t{1}, std::multiplies<>());
    for (int64_t i = 0; i < count; ++i) {
      const float uniform = static_cast<float>(random() >> 8) * 0x1p-24f;
      tensor.values.push_back(centre + spread * (2 * uniform - 1));
    }
    tensors.push_back(std::move(tensor));
  };
  const auto add_norm = [&](const std::string& name) {
    add(name + ".weight", {vit.width}, 1, 0.5f);
    add(name + ".bias", {vit.width}, 0, 0.3f);
  };
  const auto add_linear = [&](const std::string& name, int64_t out, int64_t in) {
    add(name + ".weight", {out, in}, 0, 0.5f);
    add(name + ".bias", {out}, 0, 0.3f);
  };
  const int grid = vit.image / vit.patch;
  add("head.weight", {vit.classes, vit.width}, 0, 0.5f);
  add("head.bias", {vit.classes}, 0, 0.1f);
  add_norm("norm");
  for (int b = 0; b < vit.depth; ++b) {
    const std::string prefix = "blocks." + std::to_string(b) + ".";
    add_norm(prefix + "norm1");
    add_linear(prefix + "attn.qkv", 3 * vit.width, vit.width);
    add_linear(prefix + "attn.proj", vit.width, vit.width);
    add_norm(prefix + "norm2");
    add_linear(prefix + "mlp.fc1", vit.hidden, vit.width);
    add_linear(prefix + "mlp.fc2", vit.width, vit.hidden);
  }
  add("patch_embed.proj.weight", {vit.width, 3, vit.patch, vit.patch}, 0, 0.3f);
  if (vit.pre_norm) {
    add_norm("norm_pre");
  } else {
    add("patch_embed.proj.bias", {vit.width}, 0, 0.3f);
  }
  add("pos_embed", {1, 1 + grid * grid, vit.width}, 0, 0.5f);
  add("cls_token", {1, 1, vit.width}, 0, 0.5f);
  return tensors;
}

std::string ConfigJson(const TestVit& vit) {
  nlohmann::json config = {{"architecture", vit.pre_norm ? "vit_test_clip" : "vit_test"},
                           {"num_classes", vit.classes},
                           {"num_features", vit.width},
                           {"global_pool", "token"},
                           {"model_args",
                            {{"img_size", vit.image},
                             {"patch_size", vit.patch},
                             {"embed_dim", vit.width},
                             {"depth", vit.depth},
                             {"num_heads", vit.heads},
                             {"mlp_ratio", static_cast<double>(vit.hidden) / vit.width}}},
                           {"pretrained_cfg",
                            {{"input_size", {3, vit.image, vit.image}},
                             {"interpolation", "bicubic"},
                             {"crop_pct", 1.0},
                             {"mean", {0.5, 0.4, 0.3}},
                             {"std", {0.5, 0.25, 0.2}}}}};
  if (vit.pre_norm) {
    config["model_args"]["pre_norm"] = true;
  }
  return config.dump(1);
}

std::string SafetensorsBytes(const std::string& header, const std::string& data) {
  const uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + header + data;
}

std::string SafetensorsBytes(const std::vector<TestTensor>& tensors) {
  nlohmann::json header = nlohmann::json::object();
  std::string data;
  for (const TestTensor& tensor : tensors) {
    const size_t bytes = tensor.values.size() * sizeof(float);
    header[tensor.name] = {{"dtype", "F32"},
                           {"shape", tensor.shape},
                           {"data_offsets", {data.size(), data.size() + bytes}}};
    data.append(reinterpret_cast<const char*>(tensor.values.data()), bytes);
  }
  return SafetensorsBytes(header.dump(), data);
}

std::string NewFolder() {
  std::string folder = ::testing::TempDir() + "bitquake_XXXXXX";
  EXPECT_NE(mkdtemp(folder.data()), nullptr);
  return folder;
}

std::string WriteSnapshot(const std::string& config, const std::vector<TestTensor>& tensors) {
  const std::string folder = NewFolder();
  std::ofstream(folder + "/config.json") << config;
  std::ofstream(folder + "/model.safetensors", std::ios::binary) << SafetensorsBytes(tensors);
  return folder;
}

}  // namespace bitquake
