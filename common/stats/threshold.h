// The bit-error rate at which the mean loss of a target reaches a limit: 1, 5, 10 percentage
// points.
//
// Mean losses are fitted by the non-decreasing function that is nearest to them in least squares,
// weighted by trials (isotonic regression), and joined by straight lines over log10 BER; the
// threshold is where that line first reaches the limit. Its interval is the percentile bootstrap's
// (with tails widened for few trials, ExpandedTail), over trials and not over cells: trial t has
// nested fault sets at all rates, so a resampled trial brings its losses at every rate along. In
// simulation (threshold_test.cc) nominal 95% cover 93 to 96% of 20 trials.
//
// Nothing is extrapolated. A threshold beyond the measured rates is infinite: +inf is "not reached
// on this grid", -inf is "below the grid". An interval may have such ends, also around a finite
// threshold.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/stats/bootstrap.h"
#include "common/stats/estimate.h"

namespace bitquake {

// The non-decreasing values nearest to `values` in weighted least squares, by pooling adjacent
// violators (Ayer et al. 1955, Ann. Math. Stat. 26(4)). `weights` are positive, one for each value.
// Time and memory are linear.
std::vector<double> IsotonicFit(absl::Span<const double> values, absl::Span<const double> weights);

// One target's losses over bit-error rates.
struct LossCurve {
  std::vector<double> log10_ber;  // finite, ascending, distinct; rate 0 has no place here
  // Of each rate, of trials 0, 1, ...: loss in percentage points. Rates may have different numbers
  // of trials, at least one each. Equal numbers at two rates are one trial: the same random
  // numbers.
  std::vector<std::vector<double>> losses;
};

struct Threshold {
  double loss = 0;  // percentage points, as asked
  // Where the fit first reaches it. +inf: nowhere on the grid; -inf: it is above it at the lowest
  // rate already.
  double log10_ber = 0;
  // Ends may be infinite, with the same meaning. NaN if some rate has fewer than two trials.
  Interval interval;
};

// One threshold for each of `losses`, in their order. Errors: InvalidArgument for a curve without
// rates, or that breaks what LossCurve states.
absl::StatusOr<std::vector<Threshold>> FindThresholds(const LossCurve& curve,
                                                      absl::Span<const double> losses,
                                                      const BootstrapOptions& options);

}  // namespace bitquake
