// When a cell has trials enough: `trials: {min, max, half_width, confidence}`.
//
// The rule. Trials are counted only at looks: n_0 = min, then each a quarter more, n_(k+1) =
// ceil(1.25 n_k), and at last max. At a look the interval of the first n_k trials is computed; the
// cell stops at the first look where its half-width is at most the one asked for, and at max
// anyway. Between looks nothing is decided, so the trials of a cell, and its numbers, are a pure
// function of its trials' values: not of workers, timing, or other cells.
//
// With Student's t, the observed half-width is t s / sqrt(n) (1 + c |G1| / sqrt(n)), with s the
// standard deviation, G1 the skewness of the sample and c = (2 z^2 + 1) / (3 z), z being the normal
// quantile of the confidence: 1.48 at 95%. Half of c is the first term of the error of t under skew
// (Johnson 1978, "Modified t tests and confidence intervals for asymmetrical populations", JASA
// 73(363); Hall 1992, "The Bootstrap and Edgeworth Expansion", section 2.6). It counts twice
// because few trials show less skew than there is, and because stopping selects those that show
// least. What a cell reports that stopped so is mean +- half_width, the width that was asked for,
// and not the narrower one observed (Chow & Robbins 1965, "On the asymptotic theory of fixed-width
// sequential confidence intervals for the mean", Ann. Math. Stat. 36(2)). That is the correction
// for peeking: stopping selects looks whose deviation came out small, so the observed width is too
// narrow (taken for what it nominally is, with a look at each trial, 95% cover 93%); the width
// asked for was there beforehand. A cell that has max trials without meeting the width reports the
// observed one. With min = max nobody peeks, and the plain t interval is reported.
//
// Why 95% stays at least 94%: the mean of normal trials is independent of all that does not move
// with them (Basu), and on such figures alone, the deviation and skewness up to n, the stop
// depends. So the coverage is exactly E[2 Phi(h sqrt(N) / sigma) - 1], with N the stop and h the
// half-width reported: one number for each half_width / sigma. Its least value over all of them is
// above the confidence from min = 8 on, at confidences from 0.8 to 0.99
// (tests/stats/sequential_test.cc computes it), because looks a quarter apart overshoot by more
// than the stop takes away. Other distributions are simulated in tests/stats/coverage_test.cc:
// binomial, symmetric heavy tails and skew up to the exponential distribution's keep 94%. More
// skew, or rare collapse, does not: those are for Bernstein.
//
// With empirical Bernstein (for rare collapse; see interval.h), each of K looks has its share of
// the error: the interval of Maurer & Pontil at confidence 1 - (1 - confidence) / K. All K hold at
// once by the union bound, whatever the distribution within the bounds, so the one observed at the
// stop is reported. Looks at which even trials without any variance could not stop are left out,
// which keeps K small.
//
// BCa is no choice here: it is not a function of sums, and its coverage under stopping is unproven.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/stats/estimate.h"
#include "common/stats/interval.h"

namespace bitquake {

// All that a rule knows of the trials of a cell. Sums of whole numbers (images lost) are exact, in
// any order, up to 2^53; Scaled then gives those of the figures (100 / images of a trial, for
// percentage points). Other values are to be added in the order of their trials, so that a restart
// gives the same doubles.
struct TrialSums {
  int64_t trials = 0;
  double sum = 0;
  double sum_of_squares = 0;
  double sum_of_cubes = 0;

  void Add(double value);
  TrialSums Scaled(double factor) const;  // of all values times `factor`
  double Mean() const;                    // NaN without trials
  double Variance() const;  // of a sample (n - 1), never negative; NaN for fewer than two
  // G1 of Joanes & Gill 1998, "Comparing measures of sample skewness and kurtosis"; in [-sqrt(n),
  // sqrt(n)]. 0 without variance; NaN for fewer than three.
  double Skewness() const;
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
  double HalfWidth(const TrialSums& sums) const;
  // The interval to report, in the end and (as an interim one) on the way. NaN for fewer than two
  // trials. Bernstein's is cut to the bounds.
  Interval Report(const TrialSums& sums) const;
  // Where a cell stops whose variance and skewness stay these: for forecasts of work. Without
  // variance, the fewest trials at which any cell can stop.
  int64_t ForecastTrials(double variance, double skewness) const;

 private:
  explicit SequentialRule(const SequentialDesign& design);
  double HalfWidth(int64_t trials, double variance, double skewness) const;
  double StudentFactor(int64_t trials) const;  // t / sqrt(n)

  SequentialDesign design_;
  std::vector<int64_t> looks_;
  double look_confidence_ = 0;           // of the interval at one look
  double skewness_allowance_ = 0;        // c
  std::vector<double> student_factors_;  // of each look
};

}  // namespace bitquake
