// For the reference tests: what common/fault makes of weights. Reads requests, writes answers, one
// JSON document a line; an error is answered by {"error": "..."}. Arrays are base64 of
// little-endian numbers: words of 32 bits, or fp32.
//
//   {"tensors": [{"name": "a", "shape": [8, 4], "block": "", "heads": 0, "weights": ARRAY}],
//    "format": "int8", "quantization": {}, "fault": {...}, "target": {...},
//    "seed": 7, "trial": 0, "ber": [1e-3, 1e-2]}
//   {"tensors": {"a": {"words": ARRAY, "scales": ARRAY, "values": ARRAY}}, "exposed_bits": 256,
//    "drawn": [{"faults": [["a", [[index, mask, value]]]], "flips": 3, "digest": "...",
//               "tensors": {"a": {"words": ARRAY, "values": ARRAY}}}, ...]}
//
// `drawn` has a fault list for each rate, and the tensors that it hits. Without `fault`, all that
// follows it is absent.
#include <cstring>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "common/base/status_macros.h"
#include "common/fault/fault_list.h"
#include "common/fault/number_format.h"
#include "nlohmann/json.hpp"
#include "tests/reference/request.h"

namespace bitquake {
namespace {

using nlohmann::json;

template <typename T>
std::string Base64(const std::vector<T>& items) {
  return absl::Base64Escape(
      absl::string_view(reinterpret_cast<const char*>(items.data()), items.size() * sizeof(T)));
}

std::vector<float> WeightsOf(const std::string& base64) {
  std::string bytes;
  if (!absl::Base64Unescape(base64, &bytes)) {
    throw std::invalid_argument("weights: no base64");
  }
  std::vector<float> weights(bytes.size() / sizeof(float));
  std::memcpy(weights.data(), bytes.data(), bytes.size());
  return weights;
}

struct Tensor {
  std::string name;
  QuantizedTensor golden;

  std::vector<float> Values(const std::vector<uint32_t>& words, const NumberFormat& format) const {
    std::vector<float> values;
    for (size_t i = 0; i < words.size(); ++i) {
      values.push_back(Dequantize(words[i], golden.ScaleOf(i), format));
    }
    return values;
  }
};

Surface SurfaceOf(const json& tensors) {
  Surface surface;
  for (const json& tensor : tensors) {
    surface.push_back({tensor.at("name"), tensor.at("shape"), tensor.value("block", ""),
                       Part::kEmbed, std::nullopt});
    if (const int heads = tensor.value("heads", 0); heads > 0) {
      surface.back().part = Part::kAttention;
      surface.back().qkv = FusedQkv{heads, static_cast<int>(surface.back().shape[0] / 3 / heads)};
    }
  }
  return surface;
}

json Faulty(const Surface& surface, const std::vector<Tensor>& tensors, const FaultList& faults,
            const NumberFormat& format) {
  json answer = {{"faults", ToJson(faults, surface)},
                 {"flips", faults.flips()},
                 {"digest", faults.Digest(surface)},
                 {"tensors", json::object()}};
  for (const TensorFaults& hit : faults.tensors) {
    const Tensor& tensor = tensors[hit.tensor];
    std::vector<uint32_t> words = tensor.golden.words;
    for (const WordFault& fault : hit.faults) {
      uint32_t& word = words[fault.index];
      word = faults.effect == FaultList::Effect::kSet ? (word & ~fault.mask) | fault.value
                                                      : word ^ fault.mask;
    }
    answer["tensors"][tensor.name] = {{"words", Base64(words)},
                                      {"values", Base64(tensor.Values(words, format))}};
  }
  return answer;
}

absl::StatusOr<json> Answer(const json& request) {
  ASSIGN_OR_RETURN(const NumberFormat format, NumberFormat::FromName(request.at("format")));
  const Surface surface = SurfaceOf(request.at("tensors"));
  const Quantization quantization = QuantizationOf(request.at("quantization"));
  std::vector<Tensor> tensors;
  json answer = {{"tensors", json::object()}, {"drawn", json::array()}};
  for (const json& tensor : request.at("tensors")) {
    const std::vector<int64_t> shape = tensor.at("shape");
    ASSIGN_OR_RETURN(QuantizedTensor golden,
                     Quantize(WeightsOf(tensor.at("weights")), format, quantization, shape));
    tensors.push_back({tensor.at("name"), std::move(golden)});
    const Tensor& made = tensors.back();
    answer["tensors"][made.name] = {{"words", Base64(made.golden.words)},
                                    {"scales", Base64(made.golden.scales.values)},
                                    {"values", Base64(made.Values(made.golden.words, format))}};
  }
  if (!request.contains("fault")) {
    return answer;
  }
  const FaultModel model = FaultModelOf(request.at("fault"));
  ASSIGN_OR_RETURN(const Target target, TargetOf(request.at("target"), surface, format));
  answer["exposed_bits"] = ExposedBits(target, format, model);
  for (const double ber : request.at("ber")) {
    ASSIGN_OR_RETURN(
        const FaultList faults,
        DrawFaults(surface, target, model, format, request.at("seed"), request.at("trial"), ber));
    answer["drawn"].push_back(Faulty(surface, tensors, faults, format));
  }
  return answer;
}

}  // namespace
}  // namespace bitquake

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    nlohmann::json answer;
    try {
      auto answered = bitquake::Answer(nlohmann::json::parse(line));
      answer = answered.ok() ? *std::move(answered)
                             : nlohmann::json{{"error", answered.status().ToString()}};
    } catch (const std::exception& error) {
      answer = {{"error", error.what()}};
    }
    std::cout << answer.dump() << std::endl;  // flushed: the script waits for it
  }
}
