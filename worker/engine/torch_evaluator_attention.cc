// Attention distances of golden and of trials, beside their forward passes.
#include <algorithm>
#include <utility>

#include "worker/engine/torch_evaluator.h"

namespace bitquake {

void TorchEvaluator::MeasureAttention(const FoldImages& fold, int64_t chunk, int stage,
                                      const at::Tensor& x, AttentionDistances& distances) const {
  const int block = graph_.AttentionBlock(stage);
  if (block < 0) {
    return;
  }
  if (distances.sums.empty()) {
    distances = meter_->Zero();
  }
  meter_->Measure(graph_.Attention(stage, x), ImagesIn(fold, chunk),
                  absl::MakeSpan(distances.sums)
                      .subspan(static_cast<size_t>(block) * distances.heads, distances.heads));
}

at::Tensor TorchEvaluator::RunMeasured(const FoldImages& fold, int64_t chunk, Activations golden,
                                       RunningTrial& trial) const {
  Activations a = std::move(golden);
  for (int stage = trial.stage; stage < graph_.stage_count(); ++stage) {
    MeasureAttention(fold, chunk, stage, a.x, trial.attention[chunk]);
    a = graph_.RunStage(stage, a);
  }
  return a.x;
}

// Blocks before the first faulty stage attend as golden's do.
AttentionDistances TorchEvaluator::TrialAttention(const RunningTrial& trial,
                                                  const FoldGolden& golden) const {
  AttentionDistances sum = SumOf(trial.attention);
  if (sum.sums.empty()) {
    return golden.attention;  // it does not resume before the last attention
  }
  for (int stage = 0; stage < trial.stage; ++stage) {
    const int block = graph_.AttentionBlock(stage);
    if (block >= 0) {
      const auto first = golden.attention.sums.begin() + int64_t{block} * sum.heads;
      std::copy(first, first + sum.heads, sum.sums.begin() + int64_t{block} * sum.heads);
    }
  }
  return sum;
}

}  // namespace bitquake
