#include "worker/engine/scoring.h"

#include <cmath>

#include "common/base/digest.h"

namespace bitquake {
namespace {

constexpr int kTop = 5;

Score ScoreRow(absl::Span<const float> logits, int label) {
  Score score;
  int before_label = 0;
  for (int c = 0; c < static_cast<int>(logits.size()); ++c) {
    if (!std::isfinite(logits[c])) {
      return {kNotFinite, false};
    }
    if (logits[c] > logits[score.prediction]) {
      score.prediction = c;
    }
    if (logits[c] > logits[label] || (logits[c] == logits[label] && c < label)) {
      ++before_label;
    }
  }
  score.top5 = before_label < kTop;
  return score;
}

}  // namespace

void ScoreLogits(const at::Tensor& logits, absl::Span<const int> labels, absl::Span<Score> scores) {
  const size_t classes = logits.size(1);
  const float* row = logits.const_data_ptr<float>();
  for (size_t i = 0; i < labels.size(); ++i, row += classes) {
    scores[i] = ScoreRow({row, classes}, labels[i]);
  }
}

TrialOutcome CompareWithGolden(absl::Span<const Score> trial, absl::Span<const Score> golden,
                               absl::Span<const int> labels) {
  TrialOutcome outcome;
  outcome.images = static_cast<int64_t>(labels.size());
  Xxh3 digest;
  for (size_t i = 0; i < labels.size(); ++i) {
    const bool right = trial[i].prediction == labels[i];
    const bool golden_right = golden[i].prediction == labels[i];
    const bool finite = trial[i].prediction != kNotFinite;
    outcome.top1 += right;
    outcome.top5 += trial[i].top5;
    outcome.golden_top1 += golden_right;
    outcome.golden_top5 += golden[i].top5;
    outcome.sdc += finite && trial[i].prediction != golden[i].prediction;
    outcome.right_to_wrong += golden_right && !right;
    outcome.wrong_to_right += !golden_right && right;
    outcome.due += !finite;
    digest.UpdateValue<int32_t>(trial[i].prediction);
    digest.UpdateValue<uint8_t>(trial[i].top5);
  }
  outcome.digest = digest.Hex();
  return outcome;
}

void MarkImages(absl::Span<const Score> trial, absl::Span<const Score> golden,
                absl::Span<const int> labels, TrialOutcome& outcome) {
  outcome.correct = Bitmap(static_cast<int64_t>(labels.size()));
  outcome.same = outcome.correct;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (trial[i].prediction == labels[i]) {
      outcome.correct.Set(static_cast<int64_t>(i));
    }
    if (trial[i].prediction == golden[i].prediction && trial[i].prediction != kNotFinite) {
      outcome.same.Set(static_cast<int64_t>(i));
    }
  }
}

}  // namespace bitquake
