#include "worker/engine/fidelity.h"

#include <utility>

#include "common/base/status_macros.h"
#include "worker/engine/scoring.h"
#include "worker/engine/torch_evaluator.h"

namespace bitquake {
namespace {

using Predictions = std::vector<Score>;

// Golden's predictions, then those of each trial.
absl::StatusOr<std::vector<Predictions>> Predict(const ModelSnapshot& snapshot,
                                                 const EvaluatorOptions& options,
                                                 const FoldImages& fold,
                                                 absl::Span<const FaultList> trials) {
  ASSIGN_OR_RETURN(const auto evaluator, TorchEvaluator::Create(snapshot, options));
  std::vector<Predictions> all;
  const auto predict = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const at::Tensor logits, evaluator->Logits(fold));
    Predictions predictions(fold.labels.size());
    ScoreLogits(logits.contiguous(), fold.labels, absl::MakeSpan(predictions));
    all.push_back(std::move(predictions));
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(predict());
  for (const FaultList& faults : trials) {
    ASSIGN_OR_RETURN(const FaultList flips, evaluator->RealFlips(faults));
    const StagedFlips staged = evaluator->model().Stage(flips);
    const absl::Status patched = evaluator->model().Patch(staged).status();
    const absl::Status predicted = patched.ok() ? predict() : patched;
    evaluator->model().Undo(staged);
    RETURN_IF_ERROR(predicted);
  }
  RETURN_IF_ERROR(evaluator->model().Prove());
  return all;
}

void Add(const Predictions& mode, const Predictions& fp32, const std::vector<int>& labels,
         Fidelity::Agreement* agreement) {
  for (size_t i = 0; i < labels.size(); ++i) {
    ++agreement->images;
    agreement->same += mode[i].prediction == fp32[i].prediction;
    agreement->top1 += mode[i].prediction == labels[i];
    agreement->fp32_top1 += fp32[i].prediction == labels[i];
  }
}

}  // namespace

absl::StatusOr<std::vector<Fidelity>> MeasureFidelity(const ModelSnapshot& snapshot,
                                                      const EvaluatorOptions& options,
                                                      const FoldImages& fold,
                                                      absl::Span<const FaultList> trials) {
  EvaluatorOptions mode = options;
  mode.compute = "fp32";
  ASSIGN_OR_RETURN(const std::vector<Predictions> fp32, Predict(snapshot, mode, fold, trials));
  std::vector<Fidelity> fidelities;
  for (const char* compute : {"tf32", "bf16", "fp16"}) {
    mode.compute = compute;
    const absl::StatusOr<std::vector<Predictions>> found = Predict(snapshot, mode, fold, trials);
    if (absl::IsUnimplemented(found.status())) {
      continue;  // the device or the network has not this mode
    }
    RETURN_IF_ERROR(found.status());
    Fidelity& fidelity = fidelities.emplace_back();
    fidelity.compute = compute;
    Add((*found)[0], fp32[0], fold.labels, &fidelity.golden);
    for (size_t trial = 1; trial < fp32.size(); ++trial) {
      Add((*found)[trial], fp32[trial], fold.labels, &fidelity.faulty);
    }
  }
  return fidelities;
}

}  // namespace bitquake
