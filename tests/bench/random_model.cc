#include "tests/bench/random_model.h"

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/model/vit_tensors.h"

namespace bitquake {
namespace {

constexpr int kClasses = 1000;

struct Size {
  int image, patch, width, depth, heads;
};

const std::map<std::string, Size, std::less<>>& Sizes() {
  static const auto& sizes = *new std::map<std::string, Size, std::less<>>{
      {"vit_base_patch16_224", {224, 16, 768, 12, 12}},
      {"vit_base_patch32_224", {224, 32, 768, 12, 12}},
      {"vit_large_patch16_384", {384, 16, 1024, 24, 16}},
      {"vit_tiny_patch16_224", {224, 16, 192, 12, 3}}};
  return sizes;
}

VitShape ShapeOf(const Size& size) {
  VitShape shape;
  shape.image = size.image;
  shape.patch = size.patch;
  shape.width = size.width;
  shape.depth = size.depth;
  shape.heads = size.heads;
  shape.mlp_hidden = 4 * size.width;
  return shape;
}

// Norms scale by one; everything else is small, as in a network before training.
std::vector<float> RandomValues(const SurfaceTensor& tensor, size_t count, std::mt19937& random) {
  const bool scale = tensor.shape.size() == 1 && tensor.name.find("norm") != std::string::npos &&
                     tensor.name.rfind("weight") != std::string::npos;
  std::vector<float> values(count, 1.0f);
  for (float& value : values) {
    value = scale ? 1.0f : 0.07f * (static_cast<float>(random() >> 8) * 0x1p-24f - 0.5f);
  }
  return values;
}

void WriteWeights(const VitShape& shape, const std::filesystem::path& path) {
  nlohmann::ordered_json header;
  std::string data;
  std::mt19937 random(2418);
  for (const auto& [tensor, kind] : VitTensors(shape, kClasses)) {
    size_t count = 1;
    for (const int64_t size : tensor.shape) {
      count *= static_cast<size_t>(size);
    }
    const std::vector<float> values = RandomValues(tensor, count, random);
    const size_t begin = data.size();
    data.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    header[tensor.name] = {
        {"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t size = text.size();
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&size), sizeof(size));
  file << text << data;
}

void WriteConfig(const Size& size, absl::string_view architecture,
                 const std::filesystem::path& path) {
  std::ofstream(path) << nlohmann::json{
      {"architecture", std::string(architecture)},
      {"num_classes", kClasses},
      {"pretrained_cfg", {{"input_size", {3, size.image, size.image}}, {"crop_pct", 1.0}}}};
}

}  // namespace

absl::StatusOr<ModelSnapshot> RandomVit(absl::string_view architecture) {
  const auto found = Sizes().find(architecture);
  if (found == Sizes().end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", architecture, "' is not one of ",
                     absl::StrJoin(Sizes(), ", ", [](std::string* out, const auto& entry) {
                       absl::StrAppend(out, entry.first);
                     })));
  }
  char pattern[] = "/tmp/bitquake-bench-XXXXXX";
  if (mkdtemp(pattern) == nullptr) {
    return absl::InternalError("no temporary folder");
  }
  const std::filesystem::path folder = pattern;
  WriteWeights(ShapeOf(found->second), folder / "model.safetensors");
  WriteConfig(found->second, architecture, folder / "config.json");
  absl::StatusOr<ModelSnapshot> snapshot = OpenSnapshot(pattern);
  std::filesystem::remove_all(folder);  // the weights stay mapped
  return snapshot;
}

RandomImages::RandomImages(const Preprocessing& preprocessing, int classes, int count) {
  std::mt19937 random(7);
  const size_t image = size_t{3} * preprocessing.height * preprocessing.width;
  bytes.resize(image * count);
  for (uint8_t& byte : bytes) {
    byte = static_cast<uint8_t>(random() >> 24);
  }
  for (int i = 0; i < count; ++i) {
    fold.pixels.push_back(bytes.data() + image * i);
    fold.labels.push_back(static_cast<int>(random() % classes));
  }
}

}  // namespace bitquake
