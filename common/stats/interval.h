// The interval of a mean over independent, identically distributed trials, by one of three methods.
// `interval: t | bca | bernstein` in a campaign picks one:
//
//   t          assumes a mean of nearly normal error; for almost everything, and the default.
//   bca        assumes that the sample shows the distribution's shape; for skewed outcomes of 30
//              trials and more.
//   bernstein  assumes bounds that every trial keeps; for rare collapse, where most trials lose
//              nothing and one in a hundred everything.
//
// t covers less than it says of few trials that are skewed (as is the exponential distribution: 90%
// of ten, 93% of thirty) or that have hardly an image changed (under about ten over all trials; its
// width is below 0.2 pp then, of ten trials on 200 images). bca halves the former; on symmetric
// heavy tails it is worse than t.
//
// t and bca can know nothing of a collapse that no trial has shown: their interval of ten equal
// values is a point. Only bernstein is right then, and it pays: without any variance it needs about
// 10 range / half-width trials at 95%.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/stats/bootstrap.h"
#include "common/stats/estimate.h"

namespace bitquake {

enum class IntervalMethod { kStudent, kBca, kBernstein };

// "t", "bca", "bernstein".
absl::string_view IntervalMethodName(IntervalMethod method);
// Errors: InvalidArgument that names the three.
absl::StatusOr<IntervalMethod> ParseIntervalMethod(absl::string_view name);

// What every trial's value is sure to keep. A trial's paired difference lies in [-golden accuracy,
// 1 - golden accuracy] of its images: a range of 1 (100 percentage points), not 2.
struct Bounds {
  double low = -1;
  double high = 1;
};

// Bias-corrected and accelerated bootstrap (Efron 1987, "Better bootstrap confidence intervals",
// JASA 82(397); the acceleration by the jackknife), with tails widened for few trials
// (ExpandedTail). Follows the skew of the sample, and never leaves its range. A point for equal
// values; NaN for fewer than two.
Interval BcaInterval(absl::Span<const double> values, const BootstrapOptions& options);

// Half of the two-sided empirical Bernstein interval of Maurer & Pontil 2009, "Empirical Bernstein
// bounds and sample-variance penalization", theorem 4 with delta = (1 - confidence) / 2 on each
// side: sqrt(2 V ln(2 / delta) / n) + 7 range ln(2 / delta) / (3 (n - 1)), V the variance (n - 1)
// of `n` values within a range of `range`. Covers for every distribution and every n; so it is wide
// when n is small. NaN for n < 2.
double BernsteinHalfWidth(double variance, int64_t n, double range, double confidence);

// Around the mean, and cut to the bounds, which the true mean keeps. NaN for fewer than two values,
// and where a value lies outside the bounds: the assumption is false then.
Interval BernsteinInterval(absl::Span<const double> values, const Bounds& bounds,
                           double confidence);

struct IntervalOptions {
  IntervalMethod method = IntervalMethod::kStudent;
  Bounds bounds;               // for kBernstein
  BootstrapOptions bootstrap;  // its confidence is that of every method; the rest for kBca
};

// By `options.method`. NaN for fewer than two values.
Interval MeanInterval(absl::Span<const double> values, const IntervalOptions& options);

}  // namespace bitquake
