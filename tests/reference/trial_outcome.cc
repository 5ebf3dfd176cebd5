// For trial_reference_test.py: the faults of one trial, what the evaluator makes of them, and how
// far its predictions are another's. Reads requests, writes answers, one JSON document a line; an
// error is answered by {"error": "..."}. Arguments: model, data set, a folder for pixels.
//
//   {"format": "int8", "quantization": {}, "fault": {...}, "target": {...}, "seed": 7, "trial": 0,
//    "ber": 1e-2}
//   {"surface": [names], "faults": [["head.weight", [[index, mask, value]]]], "digest": "..."}
//
// A request with "predictions", the other's class of every image or -1 for logits that are not all
// finite, also gets the outcome, and the images on which the evaluator predicts something else:
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

// A trial on the images of a data set, and on parts of them.
class TrialOnImages {
 public:
  TrialOnImages(Evaluator* evaluator, const FaultList* faults, std::vector<const uint8_t*> pixels)
      : evaluator_(evaluator), faults_(faults), pixels_(std::move(pixels)) {}

  // On `images`, by their numbers, with these labels.
  absl::StatusOr<TrialOutcome> Run(const std::vector<int>& images, const std::vector<int>& labels) {
    FoldImages fold;
    fold.fold = folds_++;  // golden outcomes are kept by it
    for (const int image : images) {
      fold.pixels.push_back(pixels_[image]);
      fold.labels.push_back(labels[image]);
    }
    const TrialRequest request = {0, faults_};
    ASSIGN_OR_RETURN(std::vector<TrialOutcome> outcomes,
                     evaluator_->Run(fold, {request}, [] { return false; }));
    return outcomes[0];
  }

  // The ones of `images` on which the evaluator does not predict `predictions`, found by halving:
  // an evaluator tells how many of a fold's predictions equal its labels. `finite`: whether these
  // images have predictions.
  absl::StatusOr<std::vector<int>> Differing(const std::vector<int>& images,
                                             const std::vector<int>& predictions, bool finite) {
    if (images.empty()) {
      return images;
    }
    ASSIGN_OR_RETURN(const TrialOutcome outcome,
                     Run(images, finite ? predictions : std::vector<int>(predictions.size(), 0)));
    const int64_t agreeing = finite ? outcome.top1 : outcome.due;
    if (agreeing == outcome.images) {
      return std::vector<int>();
    }
    if (images.size() == 1) {
      return images;
    }
    const auto middle = images.begin() + images.size() / 2;
    ASSIGN_OR_RETURN(std::vector<int> differing,
                     Differing({images.begin(), middle}, predictions, finite));
    ASSIGN_OR_RETURN(const std::vector<int> rest,
                     Differing({middle, images.end()}, predictions, finite));
    differing.insert(differing.end(), rest.begin(), rest.end());
    return differing;
  }

 private:
  Evaluator* evaluator_;
  const FaultList* faults_;
  std::vector<const uint8_t*> pixels_;
  int folds_ = 0;
};

struct Material {
  ModelSnapshot snapshot;
  std::unique_ptr<PixelCache> cache;
  std::vector<const uint8_t*> pixels;
  std::vector<int> images;  // all of them
  std::vector<int> labels;
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
    material.images.push_back(material.images.size());
    material.labels.push_back(sample.label);
    ASSIGN_OR_RETURN(const auto pixels, material.cache->Pixels(material.images.back()));
    material.pixels.push_back(pixels.data());
  }
  return material;
}

absl::StatusOr<json> Answer(const Material& material, const json& request) {
  EvaluatorOptions options;
  ASSIGN_OR_RETURN(options.format, NumberFormat::FromName(request.at("format")));
  options.quantization = QuantizationOf(request.at("quantization"));
  options.chunk = DefaultChunk(material.snapshot.architecture);
  options.threads = 2;
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
  TrialOnImages trial(evaluator.get(), &faults, material.pixels);
  ASSIGN_OR_RETURN(const TrialOutcome outcome, trial.Run(material.images, material.labels));
  answer.update({{"flips", outcome.flips},
                 {"images", outcome.images},
                 {"top1", outcome.top1},
                 {"due", outcome.due},
                 {"golden_top1", outcome.golden_top1}});

  const std::vector<int> predictions = request.at("predictions");
  std::vector<int> finite, infinite;
  for (const int image : material.images) {
    (predictions.at(image) >= 0 ? finite : infinite).push_back(image);
  }
  ASSIGN_OR_RETURN(std::vector<int> differing, trial.Differing(finite, predictions, true));
  ASSIGN_OR_RETURN(const std::vector<int> rest, trial.Differing(infinite, predictions, false));
  differing.insert(differing.end(), rest.begin(), rest.end());
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
