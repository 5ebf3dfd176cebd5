// From logits to outcomes: predictions, hits, and how a trial differs from golden.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "worker/engine/evaluator.h"

namespace bitquake {

inline constexpr int kNotFinite = -1;

// One image.
struct Score {
  int32_t prediction =
      0;  // arg max, the lowest class of equals; kNotFinite if some logit is NaN or infinite
  bool top5 = false;  // fewer than five classes precede the label in order of (logit descending,
                      // class ascending); false if not finite
};

// Scores the first labels.size() rows of `logits` [chunk, classes], fp32 and contiguous. Labels are
// classes.
void ScoreLogits(const at::Tensor& logits, absl::Span<const int> labels, absl::Span<Score> scores);

// Fills the counts of images and the digest; `id`, `flips`, `inferences` and `seconds` are the
// caller's.
TrialOutcome CompareWithGolden(absl::Span<const Score> trial, absl::Span<const Score> golden,
                               absl::Span<const int> labels);

// Fills the bitmaps.
void MarkImages(absl::Span<const Score> trial, absl::Span<const Score> golden,
                absl::Span<const int> labels, TrialOutcome& outcome);

}  // namespace bitquake
