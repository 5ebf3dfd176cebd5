#include "common/report/precision.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace bitquake {
namespace {

Campaign Parsed(const std::string& more) {
  return ParseCampaign(absl::StrCat("name: n\nmodels: [m]\ndataset: d\nber: 1e-6\n", more), "f")
      .value();
}

// 90% of 1,000 images; from 85% to 97% of a fold.
GoldenResult Golden(const std::string& format) {
  GoldenResult golden = {"m", format, 1000, 900, 990};
  golden.least_fold_top1 = 85;
  golden.most_fold_top1 = 97;
  return golden;
}

TEST(LossRange, IsAHundredWhereEveryTrialSeesTheSameImages) {
  EXPECT_EQ(LossRange(Parsed("images: all\n"), {Golden("int8")}), 100);
  EXPECT_EQ(LossRange(Parsed("images: {first: 1000}\n"), {Golden("int8")}), 100);
}

TEST(LossRange, HoldsForTheFoldsWithTheLeastAndTheMostOfTheMeasuredVariants) {
  GoldenResult reference = Golden("fp32");
  reference.most_fold_top1 = 99;
  EXPECT_EQ(LossRange(Parsed("images: spread\n"), {reference, Golden("int8")}), 112);
  EXPECT_EQ(LossRange(Parsed("images: spread\nformats: [fp32]\n"), {reference}), 114);
}

TEST(PrecisionOfVariants, AreThoseOfTheMeasuredVariantsWithTheCampaignsDesign) {
  const Campaign campaign =
      Parsed("trials: {min: 9, max: 12, half_width: 3, confidence: 0.9}\nseed: 5\n");
  const auto variants = PrecisionOfVariants(campaign, {Golden("fp32"), Golden("int8")});
  ASSERT_TRUE(variants.ok()) << variants.status();
  ASSERT_EQ(variants->size(), 1u);
  EXPECT_EQ(variants->front().format, "int8");
  EXPECT_EQ(variants->front().rule->design().half_width, 3);
  EXPECT_EQ(variants->front().rule->design().confidence, 0.9);
}

// By Bernstein's interval nothing is sure of few trials, but for what bounds say: golden has 90% of
// its images right, so a trial loses 90 points at most, and gains 10.
TEST(PrecisionOfVariants, IntervalsKeepTheBoundsOfLosses) {
  const auto variants =
      PrecisionOfVariants(Parsed("interval: bernstein\ntrials: 4\n"), {Golden("int8")});
  ASSERT_TRUE(variants.ok()) << variants.status();
  const CellPrecision precision = variants->front().rule->Of({1, 2, 3, 4}, /*from_first=*/true);
  EXPECT_EQ(precision.loss.low, -10);
  EXPECT_EQ(precision.loss.high, 90);
  EXPECT_EQ(precision.stopped, Stopped::kFixed);
}

}  // namespace
}  // namespace bitquake
