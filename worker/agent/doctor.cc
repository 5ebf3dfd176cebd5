#include "worker/agent/doctor.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/fault/fault_list.h"

namespace bitquake {
namespace {

using Json = nlohmann::ordered_json;

Json ToJson(const Fidelity::Agreement& agreement) {
  return {{"images", agreement.images},
          {"same", agreement.same},
          {"top1", agreement.top1},
          {"fp32_top1", agreement.fp32_top1}};
}

// Model-wise trials on the first images.
absl::StatusOr<std::vector<FaultList>> DrawTrials(const Surface& surface,
                                                  const NumberFormat& format, const Json& wanted) {
  ASSIGN_OR_RETURN(const std::vector<Target> targets,
                   ExpandTargets(surface, Granularity(), format));
  std::vector<FaultList> lists;
  for (uint32_t trial = 0; trial < wanted.at("trials").get<uint32_t>(); ++trial) {
    ASSIGN_OR_RETURN(FaultList list,
                     DrawFaults(surface, targets[0], FaultModel(), format,
                                wanted.at("seed").get<uint64_t>(), trial, wanted.at("ber")));
    lists.push_back(std::move(list));
  }
  return lists;
}

absl::StatusOr<Json> FidelityOf(const Json& wanted, Workbench& workbench,
                                const DoctorOptions& options) {
  Campaign campaign;
  campaign.dataset = wanted.at("dataset");
  campaign.images.kind = ImageSelection::Kind::kFirst;
  campaign.images.count = wanted.at("images");
  campaign.folds = 1;
  ASSIGN_OR_RETURN(const auto model, workbench.Model(wanted.at("model").get<std::string>()));
  const ModelSnapshot& snapshot = model->snapshot;
  ASSIGN_OR_RETURN(
      const auto images,
      workbench.Images(campaign, snapshot.architecture.preprocessing, [] { return false; }));
  ASSIGN_OR_RETURN(const FoldImages fold, images->Fold(0));
  EvaluatorOptions evaluator = workbench.OnDevice({});
  ASSIGN_OR_RETURN(evaluator.format,
                   NumberFormat::FromName(wanted.at("format").get<std::string>()));
  ASSIGN_OR_RETURN(evaluator.chunk, workbench.Chunk(*model, static_cast<int>(fold.labels.size())));
  ASSIGN_OR_RETURN(const std::vector<FaultList> trials,
                   DrawTrials(snapshot.surface, evaluator.format, wanted));
  ASSIGN_OR_RETURN(const std::vector<Fidelity> measured,
                   options.measure_fidelity(snapshot, evaluator, fold, trials));
  Json modes = Json::array();
  for (const Fidelity& fidelity : measured) {
    modes.push_back({{"compute", fidelity.compute},
                     {"golden", ToJson(fidelity.golden)},
                     {"faulty", ToJson(fidelity.faulty)}});
  }
  return modes;
}

// In fp32, as published figures are: all images, fold by fold.
absl::StatusOr<Json> GoldenOf(const Json& wanted, Workbench& workbench) {
  Campaign campaign;
  campaign.dataset = wanted.at("dataset");
  ASSIGN_OR_RETURN(const auto model, workbench.Model(wanted.at("model").get<std::string>()));
  ASSIGN_OR_RETURN(
      const auto images,
      workbench.Images(campaign, model->snapshot.architecture.preprocessing, [] { return false; }));
  const int classes = model->snapshot.architecture.num_classes;
  for (const int label : images->labels) {
    if (label >= classes) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the data set has label ", label, ", but the model has only ", classes, " classes"));
    }
  }
  size_t largest = 0;
  for (const std::vector<int64_t>& fold : images->folds) {
    largest = std::max(largest, fold.size());
  }
  EvaluatorOptions options;
  ASSIGN_OR_RETURN(options.format, NumberFormat::FromName("fp32"));
  options.surface = model->snapshot.surface;
  ASSIGN_OR_RETURN(options.chunk, workbench.Chunk(*model, static_cast<int>(largest)));
  ASSIGN_OR_RETURN(Evaluator* const evaluator, workbench.EvaluatorFor("doctor", *model, options));
  int64_t top1 = 0;
  int64_t top5 = 0;
  for (size_t fold = 0; fold < images->folds.size(); ++fold) {
    ASSIGN_OR_RETURN(const FoldImages pixels, images->Fold(static_cast<int>(fold)));
    ASSIGN_OR_RETURN(const GoldenOutcome golden, evaluator->Golden(pixels));
    top1 += golden.top1;
    top5 += golden.top5;
  }
  return Json{{"images", images->labels.size()}, {"top1", top1}, {"top5", top5}};
}

}  // namespace

absl::StatusOr<std::string> Examine(absl::string_view request, Workbench& workbench,
                                    const DoctorOptions& options) {
  Json answer = {{"device", options.device}, {"device_kind", options.device_kind}};
  if (options.memory) {
    answer["memory"] = {{"used", options.memory->used}, {"total", options.memory->total}};
  }
  try {
    const Json wanted = Json::parse(request);
    if (wanted.contains("fidelity")) {
      ASSIGN_OR_RETURN(answer["fidelity"], FidelityOf(wanted.at("fidelity"), workbench, options));
    }
    if (wanted.contains("golden")) {
      ASSIGN_OR_RETURN(answer["golden"], GoldenOf(wanted.at("golden"), workbench));
    }
  } catch (const nlohmann::json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("doctor's request: ", error.what()));
  }
  return answer.dump(2);
}

}  // namespace bitquake
