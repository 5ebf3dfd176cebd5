// How many trials a cell gets, and what its interval is: `trials` and `interval` of a campaign, and
// what they make of a cell's trials. The coordinator decides by this whether a cell has trials
// enough, and the report states it: the same figures, from the same function.
//
// The figure of a trial is its loss in percentage points: 100 (correct without faults - correct
// with faults) / images, on the trial's own images.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "common/stats/estimate.h"
#include "common/stats/interval.h"
#include "common/stats/sequential.h"

namespace bitquake {

// A cell has `max` trials; or, with min below max, as many as the rule of sequential.h says.
struct TrialDesign {
  int64_t min = 10;
  int64_t max = 10;
  double half_width = 0.5;   // asked for, in percentage points; means nothing unless adaptive
  double confidence = 0.95;  // of every interval of the campaign
  IntervalMethod interval = IntervalMethod::kStudent;

  bool adaptive() const { return min < max; }
};

// `trials: count`.
TrialDesign FixedTrials(int64_t count);

// What every loss of a variant is sure to keep, for Bernstein's interval. Golden accuracies in
// percent, of the folds with the least and the most: a trial loses at most what golden has right on
// its images, and gains at most the rest.
Bounds LossBounds(double least_golden, double most_golden);

// Of an adaptive design. `range` is high - low of LossBounds, the largest of all variants: one rule
// holds for all cells of a campaign. Errors: as SequentialRule::Create.
absl::StatusOr<SequentialRule> StoppingRule(const TrialDesign& design, double range);

// Percentage points.
double LossPp(int64_t golden_correct, int64_t correct, int64_t images);

// Why a cell has no more trials than it has.
enum class Stopped {
  kInterim,  // it has not stopped: trials are missing still, or for good (poisoned)
  kFixed,    // it has as many as the campaign asks of each
  kWidth,    // its half-width is at most the one asked for
  kMax,      // it has the most, and its interval is wider than was asked for
};
const char* StoppedName(Stopped stopped);  // "interim", "fixed", "width", "max"

struct CellPrecision {
  Interval loss;          // of the mean loss, at the design's confidence; percentage points
  double half_width = 0;  // observed: of a cell that stopped by width, at most the asked one
  Stopped stopped = Stopped::kInterim;
};

// Turns the losses of a cell into its precision: one for each variant of a campaign. Immutable.
class PrecisionRule {
 public:
  // `bounds` are LossBounds of the variant and `range` is as StoppingRule takes it: both are read
  // for Bernstein only. `seed` is the campaign's, for bca. Errors: as StoppingRule.
  static absl::StatusOr<PrecisionRule> Create(const TrialDesign& design, const Bounds& bounds,
                                              double range, uint64_t seed);

  const TrialDesign& design() const { return design_; }

  // Of the losses of a cell's finished trials, in their order. `from_first`: they are trials 0, 1,
  // ... without a gap. Interval and half-width are NaN for fewer than two trials.
  CellPrecision Of(absl::Span<const double> losses, bool from_first) const;

 private:
  PrecisionRule(const TrialDesign& design, const Bounds& bounds, uint64_t seed)
      : design_(design), bounds_(bounds), seed_(seed) {}
  CellPrecision Fixed(absl::Span<const double> losses) const;
  CellPrecision Adaptive(absl::Span<const double> losses) const;

  TrialDesign design_;
  Bounds bounds_;
  uint64_t seed_;
  absl::optional<SequentialRule> stopping_;  // of an adaptive design
};

}  // namespace bitquake
