#include "common/stats/threshold.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bitquake {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(IsotonicFit, PoolsWhatViolatesTheOrder) {
  EXPECT_THAT(IsotonicFit({1.0, 2.0, 4.0}, {1.0, 1.0, 1.0}), ElementsAre(1, 2, 4));
  EXPECT_THAT(IsotonicFit({3.0, 1.0, 2.0}, {1.0, 1.0, 1.0}), ElementsAre(2, 2, 2));
  EXPECT_THAT(IsotonicFit({0.0, 6.0, 3.0, 9.0}, {5.0, 1.0, 2.0, 1.0}),
              ElementsAre(0, DoubleEq(4), DoubleEq(4), 9));
  EXPECT_THAT(IsotonicFit({0.1, 0.1, 0.1}, {3.0, 7.0, 11.0}), ElementsAre(0.1, 0.1, 0.1));
  EXPECT_THAT(IsotonicFit({}, {}), ElementsAre());
}

double Point(const LossCurve& curve, double loss) {
  return FindThresholds(curve, {loss}, {}).value()[0].log10_ber;
}

TEST(FindThresholds, InterpolatesInLog10Ber) {
  const LossCurve curve = {{-6, -5, -4}, {{0.5}, {2.5}, {10.5}}};
  EXPECT_DOUBLE_EQ(Point(curve, 1), -5.75);
  EXPECT_DOUBLE_EQ(Point(curve, 5), -5 + 2.5 / 8);
  EXPECT_EQ(Point(curve, 0.5), -6);
  EXPECT_EQ(Point(curve, 2.5), -5);
  EXPECT_EQ(Point(curve, 10.5), -4);
}

TEST(FindThresholds, ExtrapolatesNothing) {
  const LossCurve curve = {{-6, -5, -4}, {{0.5}, {2.5}, {10.5}}};
  EXPECT_EQ(Point(curve, 10.6), kInfinity);
  EXPECT_EQ(Point(curve, 0.4), -kInfinity);
  EXPECT_EQ(Point({{-6}, {{1}}}, 1), -6);
}

TEST(FindThresholds, TakesTheFirstRateThatReachesTheLimit) {
  EXPECT_EQ(Point({{-6, -5, -4, -3}, {{0}, {2}, {2}, {9}}}, 2), -5);
  // Out of order: the fit is 0, 1.5, 1.5, 9.
  EXPECT_DOUBLE_EQ(Point({{-6, -5, -4, -3}, {{0}, {2}, {1}, {9}}}, 1.5), -5);
  EXPECT_DOUBLE_EQ(Point({{-6, -5, -4, -3}, {{0}, {2}, {1}, {9}}}, 1.8), -4 + 0.3 / 7.5);
}

TEST(FindThresholds, RatesWithMoreTrialsWeighMore) {
  // The fit of the last two is (3 * 4 + 1 * 2) / 4.
  EXPECT_DOUBLE_EQ(Point({{-6, -5, -4}, {{0}, {4, 4, 4}, {2}}}, 3.5), -5);
}

TEST(FindThresholds, HasNoIntervalWithOneTrial) {
  const Threshold threshold = FindThresholds({{-6, -5}, {{0, 0}, {2}}}, {1}, {}).value()[0];
  EXPECT_EQ(threshold.log10_ber, -5.5);
  EXPECT_TRUE(std::isnan(threshold.interval.low));
  EXPECT_TRUE(std::isnan(threshold.interval.high));
}

TEST(FindThresholds, AnIntervalMayLeaveTheGrid) {
  const LossCurve curve = {{-6, -5}, {{0, 0, 0, 0, 0, 0}, {2, 2, 0, 6, 1, 7}}};
  const std::vector<Threshold> thresholds = FindThresholds(curve, {2.9, 3.1}, {}).value();
  EXPECT_LT(thresholds[0].log10_ber, -5);
  EXPECT_EQ(thresholds[0].interval.high, kInfinity);
  EXPECT_TRUE(std::isfinite(thresholds[0].interval.low));
  EXPECT_EQ(thresholds[1].log10_ber, kInfinity);
  EXPECT_TRUE(std::isfinite(thresholds[1].interval.low));
}

// Fault sets nest: a trial that is bad at one rate is bad at the next. Where trials differ by a
// factor only, resampling cells one by one would mix them; resampling trials does not.
TEST(FindThresholds, ResamplesTrialsAndNotCells) {
  LossCurve curve;
  for (double log10_ber = -6; log10_ber <= -3; log10_ber += 0.5) {
    curve.log10_ber.push_back(log10_ber);
    curve.losses.emplace_back();
    for (double factor : {0.5, 0.7, 0.9, 1.0, 1.1, 1.3, 1.5, 2.0}) {
      curve.losses.back().push_back(factor * std::pow(10, log10_ber + 4));
    }
  }
  const Threshold threshold = FindThresholds(curve, {1}, {}).value()[0];
  // The mean factor m, with its percentile interval, shifts the curve by log10 m; interpolation
  // bends that a little.
  EXPECT_NEAR(threshold.log10_ber, -4 - std::log10(1.125), 0.08);
  EXPECT_NEAR(threshold.interval.high - threshold.interval.low, std::log10(1.53 / 0.79), 0.12);
}

TEST(FindThresholds, SaysWhatIsWrongWithACurve) {
  const auto error = [](const LossCurve& curve) {
    const absl::Status status = FindThresholds(curve, {1}, {}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(error({}), HasSubstr("0 rates"));
  EXPECT_THAT(error({{-6, -5}, {{1}}}), HasSubstr("2 rates and losses at 1"));
  EXPECT_THAT(error({{-6, -6}, {{1}, {1}}}), HasSubstr("not above the one before"));
  EXPECT_THAT(error({{-kInfinity, -6}, {{1}, {1}}}), HasSubstr("not finite"));
  EXPECT_THAT(error({{-6, -5}, {{1}, {}}}), HasSubstr("losses at log10 BER -5"));
  EXPECT_THAT(error({{-6}, {{std::nan("")}}}), HasSubstr("not all finite"));
}

// Trials with a sensitivity each, on nested sets, seen on 200 images each.
LossCurve SimulatedCurve(std::mt19937_64* generator, const std::vector<int>& trials) {
  std::lognormal_distribution<double> sensitivity(0, 0.5);
  std::normal_distribution<double> noise;
  LossCurve curve;
  const int most = *std::max_element(trials.begin(), trials.end());
  std::vector<double> factors;
  for (int t = 0; t < most; ++t) factors.push_back(sensitivity(*generator));
  for (size_t i = 0; i < trials.size(); ++i) {
    curve.log10_ber.push_back(-6 + 0.5 * static_cast<double>(i));
    curve.losses.emplace_back();
    for (int t = 0; t < trials[i]; ++t) {
      const double share = std::min(0.8, 0.02 * factors[static_cast<size_t>(t)] *
                                             std::pow(10, 0.6 * static_cast<double>(i) - 1));
      curve.losses.back().push_back(
          100 * (share + std::sqrt(share * (1 - share) / 200) * noise(*generator)));
    }
  }
  return curve;
}

// Equal numbers of trials, and unequal ones as adaptive campaigns have them.
TEST(FindThresholds, IntervalsCoverTheThreshold) {
  std::mt19937_64 generator(9);
  const std::vector<double> losses = {1, 5};
  const std::vector<double> truth = [&] {
    const LossCurve many = SimulatedCurve(&generator, std::vector<int>(6, 200'000));
    BootstrapOptions once;
    once.resamples = 1;
    const std::vector<Threshold> thresholds = FindThresholds(many, losses, once).value();
    return std::vector<double>{thresholds[0].log10_ber, thresholds[1].log10_ber};
  }();
  BootstrapOptions options;
  options.resamples = 1000;
  for (const std::vector<int>& trials :
       {std::vector<int>(6, 20), std::vector<int>{10, 10, 17, 44, 28, 10}}) {
    const int kRuns = 1000;
    std::vector<int> covered(losses.size());
    for (int run = 0; run < kRuns; ++run) {
      const std::vector<Threshold> thresholds =
          FindThresholds(SimulatedCurve(&generator, trials), losses, options).value();
      for (size_t i = 0; i < losses.size(); ++i) {
        const Interval& interval = thresholds[i].interval;
        covered[i] += interval.low <= truth[i] && truth[i] <= interval.high;
      }
    }
    for (size_t i = 0; i < losses.size(); ++i) {
      std::printf("%.0f pp at %.3f: covered in %d of %d\n", losses[i], truth[i], covered[i], kRuns);
      EXPECT_GE(covered[i], 0.92 * kRuns);
      EXPECT_LE(covered[i], 0.99 * kRuns);
    }
  }
}

}  // namespace
}  // namespace bitquake
