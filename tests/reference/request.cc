#include "tests/reference/request.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace bitquake {

using nlohmann::json;

FaultModel FaultModelOf(const json& json) {
  static const std::map<std::string, FaultModel::Kind> kKinds = {
      {"bit_flip", FaultModel::Kind::kBitFlip},    {"stuck_at_0", FaultModel::Kind::kStuckAt0},
      {"stuck_at_1", FaultModel::Kind::kStuckAt1}, {"burst", FaultModel::Kind::kBurst},
      {"word", FaultModel::Kind::kWord},           {"list", FaultModel::Kind::kList}};
  static const std::map<std::string, FaultModel::Sampling> kSamplings = {
      {"bernoulli", FaultModel::Sampling::kBernoulli},
      {"exact", FaultModel::Sampling::kExact},
      {"count", FaultModel::Sampling::kCount}};
  FaultModel model;
  model.kind = kKinds.at(json.at("kind"));
  model.sampling = kSamplings.at(json.value("sampling", "bernoulli"));
  model.count = json.value("count", model.count);
  model.burst_length = json.value("burst_length", model.burst_length);
  model.positions = json.value("positions", model.positions);
  for (const auto& listed : json.value("list", json::array())) {
    model.list.push_back({listed.at(0), listed.at(1), listed.at(2)});
  }
  return model;
}

Quantization QuantizationOf(const json& json) {
  Quantization quantization;
  if (json.value("scale", "per_tensor") == "per_channel") {
    quantization.scale = Quantization::Scale::kPerChannel;
  }
  quantization.percentile = json.value("percentile", quantization.percentile);
  return quantization;
}

absl::StatusOr<Target> TargetOf(const json& json, const Surface& surface,
                                const NumberFormat& format) {
  static const std::map<std::string, Granularity::Kind> kKinds = {
      {"model", Granularity::Kind::kModel},   {"block", Granularity::Kind::kBlock},
      {"tensor", Granularity::Kind::kTensor}, {"part", Granularity::Kind::kPart},
      {"type", Granularity::Kind::kType},     {"head", Granularity::Kind::kHead},
      {"bit", Granularity::Kind::kBit},       {"regex", Granularity::Kind::kRegex}};
  Granularity granularity;
  granularity.kind = kKinds.at(json.at("kind"));
  granularity.blocks = json.value("blocks", granularity.blocks);
  granularity.positions = json.value("positions", granularity.positions);
  granularity.pattern = json.value("pattern", granularity.pattern);
  absl::StatusOr<std::vector<Target>> targets = ExpandTargets(surface, granularity, format);
  if (!targets.ok()) {
    return targets.status();
  }
  const std::string name = json.value("name", "");
  for (Target& target : *targets) {
    if (target.name == name || (name.empty() && targets->size() == 1)) {
      return std::move(target);
    }
  }
  return absl::NotFoundError(absl::StrCat("none of ", targets->size(), " targets is '", name, "'"));
}

json ToJson(const FaultList& faults, const Surface& surface) {
  json tensors = json::array();
  for (const TensorFaults& tensor : faults.tensors) {
    json words = json::array();
    for (const WordFault& fault : tensor.faults) {
      words.push_back({fault.index, fault.mask, fault.value});
    }
    tensors.push_back({surface[tensor.tensor].name, std::move(words)});
  }
  return tensors;
}

}  // namespace bitquake
