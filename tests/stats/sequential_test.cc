#include "common/stats/sequential.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bitquake {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Lt;

SequentialDesign Design(int64_t min, int64_t max, double half_width, double confidence = 0.95) {
  SequentialDesign design;
  design.min = min;
  design.max = max;
  design.half_width = half_width;
  design.confidence = confidence;
  return design;
}

SequentialDesign BernsteinDesign(int64_t min, int64_t max, double half_width) {
  SequentialDesign design = Design(min, max, half_width);
  design.method = IntervalMethod::kBernstein;
  design.bounds = {-20, 80};
  return design;
}

SequentialRule Rule(const SequentialDesign& design) {
  return SequentialRule::Create(design).value();
}

TrialSums Sums(const std::vector<double>& values) {
  TrialSums sums;
  for (double value : values) {
    sums.Add(value);
  }
  return sums;
}

// `n` values, half of them mean - deviation and half mean + deviation: no skew.
TrialSums EvenSums(int64_t n, double mean, double deviation) {
  TrialSums sums;
  for (int64_t t = 0; t < n; ++t) {
    sums.Add(mean + (t % 2 == 0 ? deviation : -deviation));
  }
  return sums;
}

TEST(TrialSums, AreTheMomentsOfTheValues) {
  const std::vector<double> values = {0.5, -0.25, 3, 0, 0, 7.5, 1, 0.5};
  const TrialSums sums = Sums(values);
  EXPECT_EQ(sums.trials, 8);
  EXPECT_DOUBLE_EQ(sums.Mean(), Mean(values));
  EXPECT_DOUBLE_EQ(sums.Variance(), std::pow(StandardDeviation(values), 2));
}

TEST(TrialSums, OfWholeNumbersScaleToFigures) {
  TrialSums images;
  TrialSums points;
  for (int lost : {0, 3, 1, 0, 12, 2, 5, 5, 0, 1}) {
    images.Add(lost);
    points.Add(lost * 0.5);
  }
  const TrialSums scaled = images.Scaled(0.5);
  EXPECT_EQ(scaled.trials, points.trials);
  EXPECT_DOUBLE_EQ(scaled.Mean(), points.Mean());
  EXPECT_DOUBLE_EQ(scaled.Variance(), points.Variance());
  EXPECT_DOUBLE_EQ(scaled.Skewness(), points.Skewness());
}

TEST(TrialSums, AreUndefinedForTooFewValues) {
  EXPECT_TRUE(std::isnan(Sums({}).Mean()));
  EXPECT_TRUE(std::isnan(Sums({1}).Variance()));
  EXPECT_TRUE(std::isnan(Sums({1, 2}).Skewness()));
  EXPECT_EQ(Sums({2, 2, 2}).Variance(), 0);
  EXPECT_EQ(Sums({2, 2, 2}).Skewness(), 0);
}

TEST(SequentialRule, LooksAreAQuarterApartAndEndAtTheMaximum) {
  EXPECT_THAT(Rule(Design(10, 100, 1)).looks(),
              ElementsAre(10, 13, 17, 22, 28, 35, 44, 55, 69, 87, 100));
  EXPECT_THAT(Rule(Design(10, 10, 1)).looks(), ElementsAre(10));
  const SequentialRule rule = Rule(Design(10, 17, 1));
  EXPECT_EQ(rule.NextLook(0), 10);
  EXPECT_EQ(rule.NextLook(9), 10);
  EXPECT_EQ(rule.NextLook(10), 13);
  EXPECT_EQ(rule.NextLook(12), 13);
  EXPECT_EQ(rule.NextLook(17), 17);
}

TEST(SequentialRule, StopsAtTheFirstLookThatIsNarrowEnough) {
  const double deviation = 1.5;
  const SequentialRule rule = Rule(Design(10, 500, 0.5));
  int64_t stop = 0;
  for (int64_t n = 1; n <= 500 && stop == 0; ++n) {
    const TrialSums sums = EvenSums(n, 4, deviation);
    const bool is_look =
        std::find(rule.looks().begin(), rule.looks().end(), n) != rule.looks().end();
    // The widths that matter here, without the look-up of the rule. An odd number has some skew.
    const bool is_narrow = n % 2 == 0 && StudentHalfWidth(sums.Variance(), n, 0.95) <= 0.5;
    if (is_look && n % 2 == 0) {
      EXPECT_EQ(rule.IsDone(sums), is_narrow) << n;
    }
    if (!is_look) {
      EXPECT_FALSE(rule.IsDone(sums)) << n;
    }
    if (rule.IsDone(sums)) stop = n;
  }
  EXPECT_EQ(stop, 44);
  EXPECT_EQ(rule.ForecastTrials(EvenSums(44, 4, deviation).Variance(), 0), 44);
}

TEST(SequentialRule, StopsAtTheMaximumInAnyCase) {
  const SequentialRule rule = Rule(Design(10, 20, 0.001));
  EXPECT_FALSE(rule.IsDone(EvenSums(17, 0, 5)));
  EXPECT_TRUE(rule.IsDone(EvenSums(20, 0, 5)));
  EXPECT_TRUE(rule.IsDone(EvenSums(21, 0, 5)));
  EXPECT_EQ(rule.ForecastTrials(25, 0), 20);
}

TEST(SequentialRule, ReportsTheWidthAskedForNotTheNarrowerOneObserved) {
  const SequentialRule rule = Rule(Design(10, 500, 0.5));
  const TrialSums sums = EvenSums(10, 4, 0.01);
  EXPECT_TRUE(rule.IsDone(sums));
  EXPECT_LT(rule.HalfWidth(sums), 0.02);
  const Interval interval = rule.Report(sums);
  EXPECT_DOUBLE_EQ(interval.low, 3.5);
  EXPECT_DOUBLE_EQ(interval.high, 4.5);
}

TEST(SequentialRule, ReportsTheObservedWidthAtTheMaximum) {
  const SequentialRule rule = Rule(Design(10, 20, 0.5));
  const TrialSums sums = EvenSums(20, 4, 3);
  const Interval interval = rule.Report(sums);
  const double half_width = StudentHalfWidth(sums.Variance(), 20, 0.95);
  EXPECT_GT(half_width, 0.5);
  EXPECT_NEAR(interval.low, 4 - half_width, 1e-12);
  EXPECT_NEAR(interval.high, 4 + half_width, 1e-12);
}

TEST(SequentialRule, SkewWidensTheInterval) {
  const SequentialRule rule = Rule(Design(10, 500, 0.5));
  const TrialSums sums = Sums({0, 0, 0, 1, 0, 0, 0, 0, 9, 2});
  const double z = 1.959964;
  const double expected = StudentHalfWidth(sums.Variance(), 10, 0.95) *
                          (1 + (2 * z * z + 1) / (3 * z) * sums.Skewness() / std::sqrt(10));
  EXPECT_NEAR(rule.HalfWidth(sums), expected, 1e-6);
  EXPECT_GT(sums.Skewness(), 2);
}

// A fixed number of trials, as in the paper: nothing is selected, nothing corrected.
TEST(SequentialRule, WithOneLookIsThePlainInterval) {
  const std::vector<double> values = {0, 0, 0, 1, 0, 0, 0, 0, 9, 2};
  const Interval plain = StudentInterval(values, 0.95);
  const Interval reported = Rule(Design(10, 10, 100)).Report(Sums(values));
  EXPECT_NEAR(reported.low, plain.low, 1e-12);
  EXPECT_NEAR(reported.high, plain.high, 1e-12);
}

TEST(SequentialRule, HasNoIntervalOfOneTrial) {
  const SequentialRule rule = Rule(Design(10, 500, 0.5));
  EXPECT_EQ(rule.HalfWidth(Sums({1})), std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(rule.Report(Sums({1})).low));
  EXPECT_FALSE(rule.IsDone(Sums({})));
}

TEST(SequentialRule, BernsteinLooksShareTheError) {
  const SequentialRule rule = Rule(BernsteinDesign(10, 2000, 5));
  const double looks = static_cast<double>(rule.looks().size());
  const TrialSums sums = EvenSums(rule.looks()[1], 4, 3);
  const double half_width = BernsteinHalfWidth(sums.Variance(), sums.trials, 100, 1 - 0.05 / looks);
  EXPECT_DOUBLE_EQ(rule.HalfWidth(sums), half_width);
  EXPECT_NEAR(rule.Report(sums).high, 4 + half_width, 1e-12);
  EXPECT_EQ(rule.Report(EvenSums(2, 4, 3)).low, -20);
  EXPECT_EQ(rule.Report(EvenSums(2, 4, 3)).high, 80);
}

TEST(SequentialRule, BernsteinLooksStartWhereTrialsWithoutVarianceCouldStop) {
  const SequentialRule rule = Rule(BernsteinDesign(10, 2000, 5));
  EXPECT_TRUE(rule.IsDone(EvenSums(rule.looks()[0], 4, 0)));
  EXPECT_EQ(rule.ForecastTrials(0, 0), rule.looks()[0]);
  EXPECT_THAT(rule.looks().size(), Lt(12U));
  EXPECT_EQ(rule.looks().back(), 2000);
  EXPECT_THAT(Rule(BernsteinDesign(10, 50, 5)).looks(), ElementsAre(50));
}

TEST(SequentialRule, SaysWhatIsWrongWithADesign) {
  const auto error = [](const SequentialDesign& design) {
    return std::string(SequentialRule::Create(design).status().message());
  };
  EXPECT_THAT(error(Design(7, 500, 1)), AllOf(HasSubstr("min is 7"), HasSubstr("at least 8")));
  EXPECT_THAT(error(Design(1, 1, 1)), HasSubstr("at least 2"));
  EXPECT_THAT(error(Design(20, 10, 1)), HasSubstr("max is 10 and must be at least min, 20"));
  EXPECT_THAT(error(Design(10, 20, 0)), HasSubstr("half_width is 0"));
  EXPECT_THAT(error(Design(10, 20, std::nan(""))), HasSubstr("half_width"));
  EXPECT_THAT(error(Design(10, 20, 1, 0.5)), HasSubstr("confidence is 0.5"));
  EXPECT_THAT(error(Design(10, 20, 1, 0.999)), HasSubstr("confidence is 0.999"));
  SequentialDesign bca = Design(10, 20, 1);
  bca.method = IntervalMethod::kBca;
  EXPECT_THAT(error(bca), HasSubstr("bca needs a fixed number"));
  SequentialDesign bernstein = BernsteinDesign(10, 20, 1);
  bernstein.bounds = {1, 1};
  EXPECT_THAT(error(bernstein), HasSubstr("bounds"));
}

// The coverage of `report` at stops of `rule`, for normal trials of deviation 1: given N and the
// half-width h, which do not depend on the mean, it is 2 Phi(h sqrt(N)) - 1.
template <typename Report>
double NormalCoverage(const SequentialRule& rule, int paths, Report report) {
  std::mt19937_64 generator(1965);
  std::normal_distribution<double> normal;
  double covered = 0;
  for (int path = 0; path < paths; ++path) {
    TrialSums sums;
    while (!rule.IsDone(sums)) {
      for (int64_t next = rule.NextLook(sums.trials); sums.trials < next;) {
        sums.Add(normal(generator));
      }
    }
    const double errors = report(rule, sums) * std::sqrt(static_cast<double>(sums.trials));
    covered += std::erf(errors / std::sqrt(2));
  }
  return covered / paths;
}

// The least over half-widths that stop cells at the first look, on the way, and at the maximum.
template <typename Report>
double LeastNormalCoverage(int64_t min, int64_t max, double confidence, Report report) {
  const double z = StudentHalfWidth(1, 1'000'000, confidence) * 1000;
  double least = 1;
  for (double needed = 0.6 * static_cast<double>(min); needed < 3 * static_cast<double>(max);
       needed *= 1.2) {
    const SequentialRule rule = Rule(Design(min, max, z / std::sqrt(needed), confidence));
    least = std::min(least, NormalCoverage(rule, 2000, report));
  }
  return least;
}

TEST(SequentialRule, KeepsTheConfidenceOfNormalTrials) {
  const auto reported = [](const SequentialRule& rule, const TrialSums& sums) {
    return rule.Report(sums).high - sums.Mean();
  };
  for (double confidence : {0.8, 0.9, 0.95, 0.99}) {
    for (int64_t min : {8, 10, 30}) {
      for (int64_t max : {40, 300}) {
        EXPECT_GE(LeastNormalCoverage(min, max, confidence, reported), confidence)
            << confidence << ", min " << min << ", max " << max;
      }
    }
  }
}

// The negative control: the computation sees the bias of the width observed at the stop.
TEST(SequentialRule, WouldNotKeepItWithTheObservedWidth) {
  const auto observed = [](const SequentialRule& rule, const TrialSums& sums) {
    return StudentHalfWidth(sums.Variance(), sums.trials, rule.design().confidence);
  };
  EXPECT_LT(LeastNormalCoverage(8, 300, 0.95, observed), 0.94);
}

}  // namespace
}  // namespace bitquake
