#include "common/stats/interval.h"

#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bitquake {
namespace {

using ::testing::HasSubstr;

const std::vector<IntervalMethod> kMethods = {IntervalMethod::kStudent, IntervalMethod::kBca,
                                              IntervalMethod::kBernstein};

IntervalOptions Options(IntervalMethod method) {
  IntervalOptions options;
  options.method = method;
  options.bounds = {-100, 100};
  return options;
}

TEST(IntervalMethod, HasTheNamesOfTheCampaignFile) {
  for (IntervalMethod method : kMethods) {
    EXPECT_EQ(ParseIntervalMethod(IntervalMethodName(method)).value(), method);
  }
  const absl::Status status = ParseIntervalMethod("student").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("t, bca or bernstein, and is 'student'"));
}

TEST(MeanInterval, NeedsTwoValues) {
  for (IntervalMethod method : kMethods) {
    for (const std::vector<double>& values : {std::vector<double>{}, std::vector<double>{3}}) {
      EXPECT_TRUE(std::isnan(MeanInterval(values, Options(method)).low));
      EXPECT_TRUE(std::isnan(MeanInterval(values, Options(method)).high));
    }
  }
}

// What t and BCa cannot know, Bernstein allows for.
TEST(MeanInterval, OfEqualValuesIsAPointButForBernstein) {
  const std::vector<double> values(10, 0.3);
  for (IntervalMethod method : {IntervalMethod::kStudent, IntervalMethod::kBca}) {
    const Interval interval = MeanInterval(values, Options(method));
    EXPECT_EQ(interval.low, 0.3);
    EXPECT_EQ(interval.high, 0.3);
  }
  IntervalOptions options = Options(IntervalMethod::kBernstein);
  options.bounds = {0, 1};
  const std::vector<double> many(1000, 0.3);
  const Interval interval = MeanInterval(many, options);
  EXPECT_NEAR(interval.high - 0.3, 7 * std::log(4 / 0.05) / (3 * 999), 1e-12);
  EXPECT_NEAR(0.3 - interval.low, interval.high - 0.3, 1e-12);
}

TEST(BernsteinInterval, IsCutToTheBoundsAndNoneForValuesOutsideOfThem) {
  const Interval wide = BernsteinInterval({0.2, 0.4, 0.3}, {-0.8, 0.6}, 0.95);
  EXPECT_EQ(wide.low, -0.8);
  EXPECT_EQ(wide.high, 0.6);
  EXPECT_TRUE(std::isnan(BernsteinInterval({0.2, 0.7}, {-0.8, 0.6}, 0.95).low));
  EXPECT_TRUE(std::isnan(BernsteinInterval({0.2, std::nan("")}, {-0.8, 0.6}, 0.95).high));
  // On the bound, but for rounding.
  EXPECT_EQ(BernsteinInterval({0.2, 0.6 + 1e-16}, {-0.8, 0.6}, 0.95).high, 0.6);
  EXPECT_TRUE(std::isnan(BernsteinHalfWidth(0, 1, 1, 0.95)));
}

TEST(BcaInterval, IsAPureFunctionOfValuesAndSeed) {
  const std::vector<double> values = {1, 4, 2, 8, 5, 7, 1, 1, 0, 3};
  BootstrapOptions options;
  options.seed = 7;
  const Interval first = BcaInterval(values, options);
  const Interval again = BcaInterval(values, options);
  EXPECT_EQ(first.low, again.low);
  EXPECT_EQ(first.high, again.high);
  options.seed = uint64_t{7} << 32;
  const Interval other = BcaInterval(values, options);
  EXPECT_NE(first.low, other.low);
  EXPECT_NEAR(first.low, other.low, 0.2);
  EXPECT_NEAR(first.high, other.high, 0.2);
}

TEST(BcaInterval, FollowsTheSkewAndTheOrderOfMagnitude) {
  const std::vector<double> values = {0, 0, 0.5, 0, 1, 0, 0, 12, 0.5, 0, 0, 2};
  const Interval interval = BcaInterval(values, {});
  const double mean = Mean(values);
  EXPECT_GT(interval.high - mean, 1.5 * (mean - interval.low));
  EXPECT_GE(interval.low, 0);
  EXPECT_LE(interval.high, 12);
  std::vector<double> small;
  for (double value : values) small.push_back(value * 1e-9);
  EXPECT_NEAR(BcaInterval(small, {}).high, interval.high * 1e-9, 1e-15);
}

TEST(BcaInterval, OfTwoValuesIsTheirRange) {
  const Interval interval = BcaInterval({1, 3}, {});
  EXPECT_EQ(interval.low, 1);
  EXPECT_EQ(interval.high, 3);
}

}  // namespace
}  // namespace bitquake
