// That nominal 95% intervals cover the mean in at least 94% of 2,000 simulated cells, with a fixed
// number of trials and with adaptive ones; and that the simulation would notice if they did not.
// Prints what it finds as a table.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "common/stats/interval.h"
#include "common/stats/sequential.h"
#include "gtest/gtest.h"
#include "tests/stats/outcomes.h"

namespace bitquake {
namespace {

constexpr int kCells = 2000;
constexpr double kEnough = 0.94;
constexpr Bounds kBounds = {-20, 80};  // of a model with 80% accuracy

// What was reported of one cell.
struct Reported {
  Interval interval;
  int64_t trials;
};

struct Coverage {
  double share;       // of cells whose interval contains the mean
  double trials;      // mean of a cell
  double half_width;  // mean of a cell
};

using Procedure = std::function<Reported(const OutcomeDistribution&, Generator*)>;

Coverage Simulate(const std::string& name, const OutcomeDistribution& outcomes,
                  const Procedure& procedure, int cells = kCells) {
  Generator generator(2418);
  double covered = 0;
  double trials = 0;
  double half_widths = 0;
  for (int cell = 0; cell < cells; ++cell) {
    const Reported reported = procedure(outcomes, &generator);
    covered += reported.interval.low <= outcomes.mean && outcomes.mean <= reported.interval.high;
    trials += static_cast<double>(reported.trials);
    half_widths += (reported.interval.high - reported.interval.low) / 2;
  }
  const Coverage coverage = {covered / cells, trials / cells, half_widths / cells};
  std::printf("%-36s %-34s covers %6.2f%%  %7.1f trials  +-%6.3f pp\n", outcomes.name.c_str(),
              name.c_str(), 100 * coverage.share, coverage.trials, coverage.half_width);
  return coverage;
}

Procedure Fixed(int64_t trials, IntervalMethod method) {
  IntervalOptions options;
  options.method = method;
  options.bounds = kBounds;
  options.bootstrap.resamples = 2000;
  return [=](const OutcomeDistribution& outcomes, Generator* generator) -> Reported {
    std::vector<double> values;
    for (int64_t t = 0; t < trials; ++t) {
      values.push_back(outcomes.draw(generator));
    }
    return {MeanInterval(values, options), trials};
  };
}

Procedure Adaptive(const SequentialDesign& design) {
  return [rule = SequentialRule::Create(design).value()](const OutcomeDistribution& outcomes,
                                                         Generator* generator) -> Reported {
    TrialSums sums;
    while (!rule.IsDone(sums)) {
      for (int64_t next = rule.NextLook(sums.trials); sums.trials < next;) {
        sums.Add(outcomes.draw(generator));
      }
    }
    return {rule.Report(sums), sums.trials};
  };
}

// The mutant: stops when the width is met as well, but looks after each trial and takes the
// interval at the stop for what it is nominally. No correction for peeking.
Procedure UncorrectedAdaptive(const SequentialDesign& design) {
  std::vector<double> factors(static_cast<size_t>(design.max) + 1);
  for (int64_t n = design.min; n <= design.max; ++n) {
    factors[static_cast<size_t>(n)] = StudentHalfWidth(1, n, design.confidence);
  }
  return [=](const OutcomeDistribution& outcomes, Generator* generator) -> Reported {
    TrialSums sums;
    double half_width = std::numeric_limits<double>::infinity();
    while (sums.trials < design.max && half_width > design.half_width) {
      sums.Add(outcomes.draw(generator));
      if (sums.trials >= design.min) {
        half_width = factors[static_cast<size_t>(sums.trials)] * std::sqrt(sums.Variance());
      }
    }
    return {{sums.Mean() - half_width, sums.Mean() + half_width}, sums.trials};
  };
}

SequentialDesign Design(int64_t min, int64_t max, double half_width,
                        IntervalMethod method = IntervalMethod::kStudent) {
  SequentialDesign design;
  design.min = min;
  design.max = max;
  design.half_width = half_width;
  design.method = method;
  design.bounds = kBounds;
  return design;
}

// What Student's t is for: outcomes whose mean of ten is nearly normal, and symmetric heavy tails.
std::vector<OutcomeDistribution> OrdinaryOutcomes() {
  return {BinomialOutcomes(0.02), BinomialOutcomes(0.1), BinomialOutcomes(0.4), HeavyTail()};
}

// Where most trials say nothing of the mean.
std::vector<OutcomeDistribution> TreacherousOutcomes() {
  return {RareCollapse(), SkewedHeavyTail()};
}

TEST(Coverage, StudentIntervalsOfTenTrialsCoverOrdinaryOutcomes) {
  for (const OutcomeDistribution& outcomes : OrdinaryOutcomes()) {
    EXPECT_GE(Simulate("t, 10 trials", outcomes, Fixed(10, IntervalMethod::kStudent)).share,
              kEnough);
  }
}

// From thirty trials on; and on skewed outcomes, where t takes longer to be right. A symmetric
// heavy tail is t's, not BCa's: no sample of it shows its shape.
TEST(Coverage, BcaIntervalsOfThirtyTrialsCoverSkewedOutcomes) {
  for (const OutcomeDistribution& outcomes :
       {BinomialOutcomes(0.02), BinomialOutcomes(0.4), SkewedOutcomes()}) {
    EXPECT_GE(Simulate("bca, 30 trials", outcomes, Fixed(30, IntervalMethod::kBca)).share, kEnough);
  }
  EXPECT_LT(Simulate("t, 30 trials", SkewedOutcomes(), Fixed(30, IntervalMethod::kStudent)).share,
            kEnough);
}

TEST(Coverage, BernsteinIntervalsCoverAnyOutcomes) {
  std::vector<OutcomeDistribution> all = OrdinaryOutcomes();
  for (const OutcomeDistribution& outcomes : TreacherousOutcomes()) {
    all.push_back(outcomes);
  }
  for (const OutcomeDistribution& outcomes : all) {
    for (int64_t trials : {10, 500}) {
      const std::string name = "bernstein, " + std::to_string(trials) + " trials";
      EXPECT_GE(Simulate(name, outcomes, Fixed(trials, IntervalMethod::kBernstein)).share, kEnough);
    }
  }
}

TEST(Coverage, StudentIntervalsFailOnRareCollapse) {
  for (const OutcomeDistribution& outcomes : TreacherousOutcomes()) {
    EXPECT_LT(Simulate("t, 10 trials", outcomes, Fixed(10, IntervalMethod::kStudent)).share, 0.85);
  }
  EXPECT_LT(Simulate("t, adaptive, 1 pp", RareCollapse(), Adaptive(Design(10, 500, 1))).share,
            0.85);
}

// Half-widths at which cells stop at the first look, after a few, and at the maximum: those that so
// many trials have when the deviation is known.
void ExpectAdaptiveTrialsCover(const OutcomeDistribution& outcomes, int cells) {
  for (int needed : {6, 10, 14, 20, 30, 40, 100, 700}) {
    const double half_width = 1.96 * outcomes.deviation / std::sqrt(needed);
    const std::string name = "t, adaptive, " + std::to_string(needed) + " needed";
    EXPECT_GE(Simulate(name, outcomes, Adaptive(Design(10, 500, half_width)), cells).share, kEnough)
        << outcomes.name << ", half-width " << half_width;
  }
}

TEST(Coverage, AdaptiveTrialsKeepTheConfidence) {
  for (const OutcomeDistribution& outcomes : OrdinaryOutcomes()) {
    ExpectAdaptiveTrialsCover(outcomes, kCells);
  }
}

// The limit of what the allowance for skew is for; near 94%, so with more cells.
TEST(Coverage, AdaptiveTrialsKeepTheConfidenceOfSkewedOutcomes) {
  for (const OutcomeDistribution& outcomes : {BinomialOutcomes(0.002), SkewedOutcomes()}) {
    ExpectAdaptiveTrialsCover(outcomes, 10 * kCells);
  }
}

// A curve of losses over bit-error rates. A fixed design must give every cell what the worst one
// needs.
TEST(Coverage, AdaptiveTrialsSpendLessThanFixedOnes) {
  const SequentialDesign design = Design(10, 1000, 0.5);
  double adaptive = 0;
  double worst = 0;
  const std::vector<double> losses = {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4};
  for (double loss : losses) {
    const OutcomeDistribution outcomes = BinomialOutcomes(loss);
    const Coverage coverage = Simulate("t, adaptive, 0.5 pp", outcomes, Adaptive(design));
    EXPECT_GE(coverage.share, kEnough);
    adaptive += coverage.trials;
    worst = std::max(worst, std::pow(1.96 * outcomes.deviation / design.half_width, 2));
  }
  const double fixed = worst * static_cast<double>(losses.size());
  std::printf("%.0f trials instead of %.0f: %.1f times fewer\n", adaptive, fixed, fixed / adaptive);
  EXPECT_LT(adaptive, fixed / 2.5);
}

TEST(Coverage, AdaptiveBernsteinTrialsCoverRareCollapse) {
  for (const OutcomeDistribution& outcomes : TreacherousOutcomes()) {
    for (double half_width : {5.0, 2.5}) {
      const std::string name =
          "bernstein, adaptive, " + std::to_string(half_width).substr(0, 3) + " pp";
      const Coverage coverage = Simulate(
          name, outcomes, Adaptive(Design(10, 20000, half_width, IntervalMethod::kBernstein)));
      EXPECT_GE(coverage.share, kEnough);
      EXPECT_LE(coverage.half_width, half_width);
    }
  }
}

// The negative control: the same simulation, at the width where it matters most, finds too little
// coverage without the correction, and enough with it. More cells, so that chance decides neither.
TEST(Coverage, PeekingWithoutCorrectionFails) {
  constexpr int kManyCells = 20000;
  for (const OutcomeDistribution& outcomes : {BinomialOutcomes(0.1), BinomialOutcomes(0.4)}) {
    const SequentialDesign design = Design(8, 500, 1.96 * outcomes.deviation / std::sqrt(14));
    EXPECT_LT(Simulate("mutant: t, uncorrected", outcomes, UncorrectedAdaptive(design)).share,
              kEnough);
    EXPECT_LT(
        Simulate("mutant: t, uncorrected", outcomes, UncorrectedAdaptive(design), kManyCells).share,
        kEnough);
    EXPECT_GE(Simulate("t, adaptive", outcomes, Adaptive(design), kManyCells).share, kEnough);
  }
}

}  // namespace
}  // namespace bitquake
