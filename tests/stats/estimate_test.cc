#include "common/stats/estimate.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace bitquake {
namespace {

TEST(Estimate, MeanAndDeviationOfASample) {
  const std::vector<double> values = {2, 4, 4, 4, 5, 5, 7, 9};
  EXPECT_DOUBLE_EQ(Mean(values), 5);
  EXPECT_DOUBLE_EQ(StandardDeviation(values), std::sqrt(32.0 / 7));
}

// Certified values of NIST's Statistical Reference Datasets: NumAcc3, NumAcc4 (a small deviation on
// a large mean).
TEST(Estimate, HoldsOnNistsHardCases) {
  for (double base : {1'000'000.0, 10'000'000.0}) {
    std::vector<double> values = {base + 0.2};
    for (int i = 0; i < 500; ++i) {
      values.push_back(base + 0.1);
      values.push_back(base + 0.3);
    }
    EXPECT_DOUBLE_EQ(Mean(values), base + 0.2);
    EXPECT_NEAR(StandardDeviation(values), 0.1, 1e-8);
  }
}

TEST(Estimate, EqualValuesHaveNoDeviation) {
  for (double value : {0.1, -0.3, 1.0 / 3, 71.43}) {
    const std::vector<double> values(37, value);
    EXPECT_EQ(Mean(values), value);
    EXPECT_EQ(StandardDeviation(values), 0);
    const Interval interval = StudentInterval(values, 0.95);
    EXPECT_EQ(interval.low, value);
    EXPECT_EQ(interval.high, value);
  }
}

// numpy.quantile's default.
TEST(Estimate, QuantilesInterpolateBetweenOrderStatistics) {
  const std::vector<double> values = {15, 50, 20, 40, 35};
  EXPECT_DOUBLE_EQ(Quantile(values, 0), 15);
  EXPECT_DOUBLE_EQ(Quantile(values, 0.05), 16);
  EXPECT_DOUBLE_EQ(Quantile(values, 0.4), 29);
  EXPECT_DOUBLE_EQ(Quantile(values, 0.5), 35);
  EXPECT_DOUBLE_EQ(Quantile(values, 0.95), 48);
  EXPECT_DOUBLE_EQ(Quantile(values, 1), 50);
  EXPECT_DOUBLE_EQ(Quantile({3.0, 1.0}, 0.5), 2);
  EXPECT_DOUBLE_EQ(Quantile({7.0}, 0.95), 7);
}

// Two-sided quantiles of Student's t as printed in tables.
TEST(Estimate, StudentIntervalsFollowTheTable) {
  struct Row {
    int n;
    double confidence;
    double t;
  };
  const Row table[] = {{2, 0.95, 12.706},  {3, 0.95, 4.303},   {10, 0.95, 2.262},
                       {11, 0.95, 2.228},  {31, 0.95, 2.042},  {121, 0.95, 1.980},
                       {10, 0.90, 1.833},  {10, 0.99, 3.250},  {6, 0.99, 4.032},
                       {10, 0.999, 4.781}, {61, 0.999, 3.460}, {21, 0.80, 1.325}};
  for (const Row& row : table) {
    std::vector<double> values;
    for (int i = 0; i < row.n; ++i) values.push_back(i * i % 7 - 3);
    const double standard_error = StandardDeviation(values) / std::sqrt(row.n);
    const Interval interval = StudentInterval(values, row.confidence);
    EXPECT_NEAR((interval.high - Mean(values)) / standard_error, row.t, 0.0006)
        << row.n << " values at " << row.confidence;
    EXPECT_NEAR((interval.low + interval.high) / 2, Mean(values), 1e-12);
  }
}

TEST(Estimate, StudentIntervalsCoverTheMean) {
  std::mt19937_64 generator(5);
  std::normal_distribution<double> normal(3, 2);
  const int samples = 20'000;
  int covered = 0;
  for (int sample = 0; sample < samples; ++sample) {
    std::vector<double> values(5);
    for (double& value : values) value = normal(generator);
    const Interval interval = StudentInterval(values, 0.95);
    covered += interval.low <= 3 && 3 <= interval.high;
  }
  EXPECT_NEAR(covered, 0.95 * samples, 4.5 * std::sqrt(samples * 0.95 * 0.05));
}

}  // namespace
}  // namespace bitquake
