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

namespace {

using Json = nlohmann::json;

// Tensors of seeded random values, uniform around a centre.
class TensorMaker {
 public:
  explicit TensorMaker(uint32_t seed) : random_(seed) {}

  void Add(const std::string& name, std::vector<int64_t> shape, float centre, float spread) {
    TestTensor tensor{name, std::move(shape), {}};
    const int64_t count =
        std::accumulate(tensor.shape.begin(), tensor.shape.end(), int64_t{1}, std::multiplies<>());
    for (int64_t i = 0; i < count; ++i) {
      const float uniform = static_cast<float>(random_() >> 8) * 0x1p-24f;
      tensor.values.push_back(centre + spread * (2 * uniform - 1));
    }
    tensors_.push_back(std::move(tensor));
  }
  void AddNorm(const std::string& name, int64_t width) {
    Add(name + ".weight", {width}, 1, 0.5f);
    Add(name + ".bias", {width}, 0, 0.3f);
  }
  void AddLinear(const std::string& name, int64_t out, int64_t in) {
    Add(name + ".weight", {out, in}, 0, 0.5f);
    Add(name + ".bias", {out}, 0, 0.3f);
  }
  void AddMlp(const std::string& block, int64_t width, int64_t hidden) {
    AddNorm(block + "norm2", width);
    AddLinear(block + "mlp.fc1", hidden, width);
    AddLinear(block + "mlp.fc2", width, hidden);
  }

  std::vector<TestTensor> Take() && { return std::move(tensors_); }

 private:
  std::mt19937 random_;
  std::vector<TestTensor> tensors_;
};

Json PretrainedConfig(int image) {
  return {{"input_size", {3, image, image}},
          {"interpolation", "bicubic"},
          {"crop_pct", 1.0},
          {"mean", {0.5, 0.4, 0.3}},
          {"std", {0.5, 0.25, 0.2}}};
}

}  // namespace

std::vector<TestTensor> RandomTensors(const TestVit& vit, uint32_t seed) {
  TensorMaker make(seed);
  const int grid = vit.image / vit.patch;
  make.Add("head.weight", {vit.classes, vit.width}, 0, 0.5f);
  make.Add("head.bias", {vit.classes}, 0, 0.1f);
  make.AddNorm("norm", vit.width);
  for (int b = 0; b < vit.depth; ++b) {
    const std::string block = "blocks." + std::to_string(b) + ".";
    make.AddNorm(block + "norm1", vit.width);
    make.AddLinear(block + "attn.qkv", 3 * vit.width, vit.width);
    make.AddLinear(block + "attn.proj", vit.width, vit.width);
    make.AddMlp(block, vit.width, vit.hidden);
  }
  make.Add("patch_embed.proj.weight", {vit.width, 3, vit.patch, vit.patch}, 0, 0.3f);
  if (vit.pre_norm) {
    make.AddNorm("norm_pre", vit.width);
  } else {
    make.Add("patch_embed.proj.bias", {vit.width}, 0, 0.3f);
  }
  make.Add("pos_embed", {1, (vit.distilled ? 2 : 1) + grid * grid, vit.width}, 0, 0.5f);
  make.Add("cls_token", {1, 1, vit.width}, 0, 0.5f);
  if (vit.distilled) {
    make.Add("dist_token", {1, 1, vit.width}, 0, 0.5f);
    make.AddLinear("head_dist", vit.classes, vit.width);
  }
  return std::move(make).Take();
}

std::vector<TestTensor> RandomTensors(const TestSwin& swin, uint32_t seed) {
  TensorMaker make(seed);
  make.AddLinear("head.fc", swin.classes, swin.widths.back());
  make.AddNorm("norm", swin.widths.back());
  make.Add("patch_embed.proj.weight", {swin.widths[0], 3, swin.patch, swin.patch}, 0, 0.3f);
  make.Add("patch_embed.proj.bias", {swin.widths[0]}, 0, 0.3f);
  make.AddNorm("patch_embed.norm", swin.widths[0]);
  for (size_t s = 0; s < swin.widths.size(); ++s) {
    const std::string stage = "layers." + std::to_string(s) + ".";
    const int width = swin.widths[s];
    const int positions = (2 * swin.window - 1) * (2 * swin.window - 1);
    if (s > 0) {
      make.AddNorm(stage + "downsample.norm", 2 * width);
      make.Add(stage + "downsample.reduction.weight", {width, 2 * width}, 0, 0.5f);
    }
    for (int b = 0; b < swin.depths[s]; ++b) {
      const std::string block = stage + "blocks." + std::to_string(b) + ".";
      make.AddNorm(block + "norm1", width);
      make.AddLinear(block + "attn.qkv", 3 * width, width);
      make.Add(block + "attn.relative_position_bias_table", {positions, swin.heads[s]}, 0, 1);
      make.AddLinear(block + "attn.proj", width, width);
      make.AddMlp(block, width, 4 * width);
    }
  }
  return std::move(make).Take();
}

std::vector<TestTensor> RandomTensors(const TestDeepVit& deepvit, uint32_t seed) {
  TensorMaker make(seed);
  const int grid = deepvit.image / deepvit.patch;
  make.AddLinear("head", deepvit.classes, deepvit.width);
  make.AddNorm("norm", deepvit.width);
  make.Add("cls_token", {1, 1, deepvit.width}, 0, 0.5f);
  make.Add("pos_embed", {1, 1 + grid * grid, deepvit.width}, 0, 0.5f);
  make.Add("patch_embed.proj.weight", {deepvit.width, 3, deepvit.patch, deepvit.patch}, 0, 0.3f);
  make.Add("patch_embed.proj.bias", {deepvit.width}, 0, 0.3f);
  for (int b = 0; b < deepvit.depth; ++b) {
    const std::string block = "blocks." + std::to_string(b) + ".";
    make.AddNorm(block + "norm1", deepvit.width);
    make.Add(block + "attn.qkv.weight", {3 * deepvit.width, deepvit.width}, 0, 0.5f);
    make.Add(block + "attn.reatten_matrix.weight", {deepvit.heads, deepvit.heads, 1, 1}, 0, 1);
    make.Add(block + "attn.reatten_matrix.bias", {deepvit.heads}, 0, 0.3f);
    make.AddNorm(block + "attn.var_norm", deepvit.heads);
    make.Add(block + "attn.var_norm.running_mean", {deepvit.heads}, 0.2f, 0.1f);
    make.Add(block + "attn.var_norm.running_var", {deepvit.heads}, 0.02f, 0.01f);
    make.AddLinear(block + "attn.proj", deepvit.width, deepvit.width);
    make.AddMlp(block, deepvit.width, deepvit.hidden);
  }
  return std::move(make).Take();
}

std::string ConfigJson(const TestVit& vit) {
  Json config = {{"architecture", vit.pre_norm    ? "vit_test_clip"
                                  : vit.distilled ? "deit_test_distilled"
                                                  : "vit_test"},
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
                 {"pretrained_cfg", PretrainedConfig(vit.image)}};
  if (vit.pre_norm) {
    config["model_args"]["pre_norm"] = true;
  }
  return config.dump(1);
}

std::string ConfigJson(const TestSwin& swin) {
  return Json{{"architecture", "swin_test"},
              {"num_classes", swin.classes},
              {"num_features", swin.widths.back()},
              {"global_pool", "avg"},
              {"model_args",
               {{"img_size", swin.image},
                {"patch_size", swin.patch},
                {"window_size", swin.window},
                {"embed_dim", swin.widths[0]},
                {"depths", swin.depths},
                {"num_heads", swin.heads}}},
              {"pretrained_cfg", PretrainedConfig(swin.image)}}
      .dump(1);
}

std::string ConfigJson(const TestDeepVit& deepvit) {
  return Json{{"architecture", "deepvit_test"},
              {"num_classes", deepvit.classes},
              {"num_features", deepvit.width},
              {"global_pool", "token"},
              {"model_args",
               {{"img_size", deepvit.image},
                {"patch_size", deepvit.patch},
                {"embed_dim", deepvit.width},
                {"depth", deepvit.depth},
                {"num_heads", deepvit.heads},
                {"mlp_ratio", static_cast<double>(deepvit.hidden) / deepvit.width},
                {"qkv_bias", false}}},
              {"pretrained_cfg", PretrainedConfig(deepvit.image)}}
      .dump(1);
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
