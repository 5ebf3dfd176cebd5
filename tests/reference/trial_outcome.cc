// For trial_reference_test.py: the faults of one trial, what the evaluator makes of them, and how
// far its predictions are another's. Reads requests, writes answers, one JSON document a line; an
// error is answered by {"error": "..."}. Arguments: model, data set, a folder for pixels.
//
//   {"format": "int8", "quantization": {}, "fault": {...}, "target": {...}, "seed": 7, "trial": 0,
//    "ber": 1e-2}
//   {"surface": [names], "faults": [["head.weight", [[index, mask, value]]]], "digest": "..."}
//
// A request with "predictions", the other's class of every image, or -1 for logits that are not all
// finite, also gets the outcome and the images on which the evaluator predicts something else:
//
//   {"flips": 3, "images": 2000, "top1": 1200, "due": 0, "golden_top1": 1857, "differing": [17]}
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/status_macros.h"
#include "common/fault/fault_list.h"
#include "common/model/snapshot.h"
#include "nlohmann/json.hpp"
#include "tests/reference/request.h"
#include "worker/data/dataset.h"
#include "worker/data/pixel_cache.h"
#include "worker/engine/evaluator.h"

namespace bitquake {
namespace {

using nlohmann::json;

struct Material {
  ModelSnapshot snapshot;
  std::unique_ptr<PixelCache> cache;
  FoldImages images;  // all of them
};

absl::StatusOr<Material> OpenMaterial(const std::string& model, const std::string& data,
                                      const std::string& cache_folder) {
  Material material;
  ASSIGN_OR_RETURN(material.snapshot, OpenSnapshot(model));
  ASSIGN_OR_RETURN(const Dataset dataset, Dataset::Open(data));
  PixelCacheOptions options;
  options.folder = cache_folder;
  ASSIGN_OR_RETURN(material.cache,
                   PixelCache::OpenOrBuild(dataset, "reference",
                                           material.snapshot.architecture.preprocessing, options));
  for (const Sample& sample : dataset.samples()) {
    ASSIGN_OR_RETURN(const auto pixels, material.cache->Pixels(material.images.pixels.size()));
    material.images.pixels.push_back(pixels.data());
    material.images.labels.push_back(sample.label);
  }
  return material;
}

absl::StatusOr<TrialOutcome> Run(Evaluator* evaluator, const FaultList& faults,
                                 const FoldImages& images) {
  const TrialRequest trial = {0, &faults};
  ASSIGN_OR_RETURN(std::vector<TrialOutcome> outcomes,
                   evaluator->Run(images, {trial}, [] { return false; }));
  return std::move(outcomes[0]);
}

// The images, by their numbers, on which the evaluator does not predict `predictions`. `outcome`,
// of all images, tells which labels it predicts; where that leaves it open, the predictions are
// given as labels; those of logits that are not finite apart.
absl::StatusOr<std::vector<int>> Differing(Evaluator* evaluator, const FaultList& faults,
                                           const FoldImages& images,
                                           const std::vector<int>& predictions,
                                           const TrialOutcome& outcome) {
  std::vector<int> differing;
  std::vector<int> wrong, not_finite;
  for (size_t image = 0; image < images.pixels.size(); ++image) {
    const int prediction = predictions.at(image);
    if (outcome.correct.Get(image) != (prediction == images.labels[image])) {
      differing.push_back(image);
    } else if (prediction != images.labels[image]) {
      (prediction >= 0 ? wrong : not_finite).push_back(image);
    }
  }
  for (const auto& numbers : {wrong, not_finite}) {
    if (numbers.empty()) {
      continue;
    }
    const bool finite = predictions[numbers[0]] >= 0;
    FoldImages fold;
    fold.fold = finite ? 1 : 2;  // golden outcomes are kept by it
    for (const int image : numbers) {
      fold.pixels.push_back(images.pixels[image]);
      fold.labels.push_back(finite ? predictions[image] : 0);
    }
    ASSIGN_OR_RETURN(const TrialOutcome again, Run(evaluator, faults, fold));
    for (size_t i = 0; i < numbers.size(); ++i) {
      if (finite ? !again.correct.Get(i) : again.due != again.images) {
        differing.push_back(numbers[i]);
      }
    }
  }
  return differing;
}

absl::StatusOr<json> Answer(const Material& material, const json& request) {
  EvaluatorOptions options;
  ASSIGN_OR_RETURN(options.format, NumberFormat::FromName(request.at("format")));
  options.quantization = QuantizationOf(request.at("quantization"));
  ASSIGN_OR_RETURN(options.chunk, ChooseChunk(material.snapshot, options, 1000));
  options.keep_images = true;
  const Surface& surface = material.snapshot.surface;
  ASSIGN_OR_RETURN(const Target target, TargetOf(request.at("target"), surface, options.format));
  ASSIGN_OR_RETURN(const FaultList faults,
                   DrawFaults(surface, target, FaultModelOf(request.at("fault")), options.format,
                              request.at("seed"), request.at("trial"), request.at("ber")));
  json answer = {{"faults", ToJson(faults, surface)},
                 {"digest", faults.Digest(surface)},
                 {"surface", json::array()}};
  for (const SurfaceTensor& tensor : surface) {
    answer["surface"].push_back(tensor.name);
  }
  if (!request.contains("predictions")) {
    return answer;
  }
  ASSIGN_OR_RETURN(const auto evaluator, CreateEvaluator(material.snapshot, options));
  ASSIGN_OR_RETURN(const TrialOutcome outcome, Run(evaluator.get(), faults, material.images));
  answer.update({{"flips", outcome.flips},
                 {"images", outcome.images},
                 {"top1", outcome.top1},
                 {"due", outcome.due},
                 {"golden_top1", outcome.golden_top1}});
  ASSIGN_OR_RETURN(
      const std::vector<int> differing,
      Differing(evaluator.get(), faults, material.images, request.at("predictions"), outcome));
  answer["differing"] = differing;
  return answer;
}

absl::Status AnswerAll(const std::string& model, const std::string& data,
                       const std::string& cache_folder) {
  ASSIGN_OR_RETURN(const Material material, OpenMaterial(model, data, cache_folder));
  std::string line;
  while (std::getline(std::cin, line)) {
    const absl::StatusOr<json> answer = Answer(material, json::parse(line));
    std::cout << (answer.ok() ? *answer : json{{"error", answer.status().ToString()}}).dump()
              << std::endl;  // flushed: the script waits for it
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace bitquake

int main(int argc, char** argv) {
  bitquake::PrepareProcess();
  if (argc != 4) {
    std::cerr << "usage: trial_outcome MODEL DATA CACHE\n";
    return 2;
  }
  const absl::Status status = bitquake::AnswerAll(argv[1], argv[2], argv[3]);
  if (!status.ok()) {
    std::cerr << status << "\n";
  }
  return status.ok() ? 0 : 1;
}
