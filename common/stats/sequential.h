// When a cell has trials enough: `trials: {min, max, half_width, confidence}`.
//
// The rule. Trials are counted only at looks: n_0 = min, then each a quarter more, n_(k+1) =
// ceil(1.25 n_k), and at last max. At a look the interval of the first n_k trials is computed; the
// cell stops at the first look where its half-width is at most the one asked for, and at max
// anyway. Between looks nothing is decided, so the trials of a cell, and its numbers, are a pure
// function of its trials' values: not of workers, timing, or other cells.
//
// With Student's t (Chow & Robbins 1965, "On the asymptotic theory of fixed-width sequential
// confidence intervals for the mean", Ann. Math. Stat. 36(2)), the interval reported is mean +-
// half_width, the width that was asked for, and not the narrower one observed. That is the
// correction for peeking: stopping selects looks whose variance came out small, so the observed
// width at the stop is too narrow (as the nominal 95%, with a look at each trial from the eighth
// on, it covers 93%); the width asked for was fixed beforehand. A cell that stops at max without
// having met the width reports the observed interval, which nothing selected. Why 95% stays 95%:
// for normal trials the mean of the first n is independent of all variances up to n (Helmert), and
// on these alone the stop depends. So the coverage is E[2 Phi(h sqrt(N) / sigma) - 1], with N the
// stop and h the half-width reported: a number for each half_width / sigma. Its least value over
// all of them is at or above the confidence for min >= 8 at confidences 0.8 to 0.99, since looks a
// quarter apart overshoot by more than the stop's bias takes away; hence kMinTrials.
// tests/stats/sequential_test.cc computes it; coverage_test.cc simulates other distributions. With
// min = max there is one look, no peeking, and the plain t interval is reported.
//
// With empirical Bernstein (for rare collapse; see interval.h), each of K looks has its share of
// the error: the interval of Maurer & Pontil at confidence 1 - (1 - confidence) / K. All K hold at
// once by the union bound, whatever the distribution within the bounds, so the one observed at the
// stop is reported. Looks at which even trials without any variance could not stop are left out,
// which keeps K small.
//
// BCa is no choice here: it is not a function of sums, and its coverage under stopping is unknown.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/stats/estimate.h"
#include "common/stats/interval.h"

namespace bitquake {

// All that a rule knows of the trials of a cell. Add values in the order of their numbers: sums are
// then the same doubles after a restart.
struct TrialSums {
  int64_t trials = 0;
  double sum = 0;
  double sum_of_squares = 0;

  void Add(double value);
  double Mean() const;      // NaN without trials
  double Variance() const;  // of a sample (n - 1), never negative; NaN for fewer than two
};

struct SequentialDesign {
  static constexpr int64_t kMinTrials = 8;

  int64_t min = 10;  // at least kMinTrials, unless it is max
  int64_t max = 500;
  double half_width = 0.5;   // positive; in the unit of the values (percentage points)
  double confidence = 0.95;  // in [0.8, 0.99], where the coverage is proven
  IntervalMethod method = IntervalMethod::kStudent;
  Bounds bounds;  // for kBernstein; in the unit of the values
};

class SequentialRule {  // immutable
 public:
  // Errors: InvalidArgument that says which member, its value and what it must be.
  static absl::StatusOr<SequentialRule> Create(const SequentialDesign& design);

  const SequentialDesign& design() const { return design_; }
  // Ascending; the last is max.
  absl::Span<const int64_t> looks() const { return looks_; }
  // The first look after `trials`; max if there is none.
  int64_t NextLook(int64_t trials) const;
  // True at a look whose half-width is at most the one asked for, and from max on. `sums` are of
  // the trials 0, ..., sums.trials - 1.
  bool IsDone(const TrialSums& sums) const;
  // Observed; infinite for fewer than two trials, where there is none.
  double HalfWidth(const TrialSums& sums) const { return HalfWidth(sums.Variance(), sums.trials); }
  // The interval to report, in the end and (as an interim one) on the way. NaN for fewer than two
  // trials. Bernstein's is cut to the bounds.
  Interval Report(const TrialSums& sums) const;
  // Where a cell whose variance stays `variance` stops: for forecasts of work. With 0, the fewest
  // trials at which any cell can stop.
  int64_t ForecastTrials(double variance) const;

 private:
  explicit SequentialRule(const SequentialDesign& design);
  double HalfWidth(double variance, int64_t trials) const;
  bool IsNarrow(double half_width) const;

  SequentialDesign design_;
  std::vector<int64_t> looks_;
  double look_confidence_ = 0;        // of the interval at one look
  std::vector<double> look_factors_;  // Student's t / sqrt(n) at each look
};

}  // namespace bitquake
