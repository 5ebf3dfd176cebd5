// Ranks, and whether two figures rank the same things alike: vf against mean attention distance,
// head by head.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/stats/estimate.h"

namespace bitquake {

// 1 for the smallest; equal values share the mean of their ranks.
std::vector<double> MidRanks(absl::Span<const double> values);

struct RankCorrelation {
  int64_t n = 0;
  double rho = 0;  // in [-1, 1]
  // Two-sided, of no monotone association: t = rho sqrt((n - 2) / (1 - rho^2)) against Student's t
  // with n - 2 degrees of freedom; 2 / n! for |rho| = 1. An approximation that holds from about ten
  // pairs on.
  double p_value = 1;
  // By Fisher's transformation, with the standard error sqrt((1 + rho^2 / 2) / (n - 3)) of Bonett &
  // Wright 2000, "Sample size requirements for estimating Pearson, Kendall and Spearman
  // correlations", Psychometrika 65(1).
  Interval interval;
};

// Spearman's: Pearson's correlation of the mid-ranks, which is right with ties too. `x` and `y` are
// of the same length. Pairs with a NaN are left out. All is NaN (but n) for fewer than three pairs,
// or where all of x or all of y are equal; the interval also for fewer than four, and for |rho|
// = 1.
RankCorrelation SpearmanCorrelation(absl::Span<const double> x, absl::Span<const double> y,
                                    double confidence);

}  // namespace bitquake
