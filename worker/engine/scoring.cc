#include "worker/engine/scoring.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/base/digest.h"

namespace bitquake {
namespace {

constexpr int kTop = 5;
constexpr int kLanes = 16;

// In loops that compilers vectorise: with a thousand classes scoring must not hold up a GPU.
Score ScoreRow(absl::Span<const float> logits, int label) {
  const auto classes = static_cast<int>(logits.size());
  int not_finite = 0;
  for (int c = 0; c < classes; ++c) {
    not_finite += !(std::fabs(logits[c]) <= std::numeric_limits<float>::max());
  }
  if (not_finite > 0) {
    return {kNotFinite, false};
  }
  int before_label = 0;
  for (int c = 0; c < label; ++c) {
    before_label += logits[c] >= logits[label];
  }
  for (int c = label + 1; c < classes; ++c) {
    before_label += logits[c] > logits[label];
  }
  float highest[kLanes];  // of classes that are equal modulo kLanes
  std::fill_n(highest, kLanes, logits[0]);
  int c = 0;
  for (; c + kLanes <= classes; c += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      highest[lane] = logits[c + lane] > highest[lane] ? logits[c + lane] : highest[lane];
    }
  }
  float most = *std::max_element(highest, highest + kLanes);
  for (; c < classes; ++c) {
    most = std::max(most, logits[c]);
  }
  const auto first = std::find(logits.begin(), logits.end(), most);
  return {static_cast<int32_t>(first - logits.begin()), before_label < kTop};
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
