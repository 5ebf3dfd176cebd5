// Small model folders for tests: seeded random networks of each family, written as a person would
// find them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bitquake {

struct TestTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

struct TestVit {
  int image = 8;
  int patch = 4;
  int width = 16;
  int depth = 3;
  int heads = 2;
  int hidden = 32;
  int classes = 7;
  bool pre_norm = false;   // as CLIP: norm_pre, no bias of the patch embedding, eps 1e-5
  bool distilled = false;  // as DeiT: dist_token, head_dist
};

struct TestSwin {
  int image = 16;
  int patch = 2;
  std::vector<int> widths = {8, 16};  // of each stage; each twice the one before
  std::vector<int> depths = {2, 2};
  std::vector<int> heads = {2, 4};
  int window = 4;  // covers all of the second stage
  int classes = 7;
};

struct TestDeepVit {
  int image = 8;
  int patch = 4;
  int width = 16;
  int depth = 3;
  int heads = 4;
  int hidden = 24;
  int classes = 7;
};

// All tensors, values from `seed`; in no particular order.
std::vector<TestTensor> RandomTensors(const TestVit& vit, uint32_t seed);
std::vector<TestTensor> RandomTensors(const TestSwin& swin, uint32_t seed);
std::vector<TestTensor> RandomTensors(const TestDeepVit& deepvit, uint32_t seed);

std::string ConfigJson(const TestVit& vit);
std::string ConfigJson(const TestSwin& swin);
std::string ConfigJson(const TestDeepVit& deepvit);

// A safetensors file of fp32 tensors.
std::string SafetensorsBytes(const std::vector<TestTensor>& tensors);
// A safetensors file from its header and data.
std::string SafetensorsBytes(const std::string& header, const std::string& data);

// A new empty folder, below the test's own temporary one.
std::string NewFolder();

// Writes config.json and model.safetensors into a new folder and returns it.
std::string WriteSnapshot(const std::string& config, const std::vector<TestTensor>& tensors);

}  // namespace bitquake
