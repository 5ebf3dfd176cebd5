#include "common/stats/rank.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bitquake {
namespace {

using ::testing::ElementsAre;

TEST(MidRanks, EqualValuesShareTheirRanks) {
  EXPECT_THAT(MidRanks({10.0, 30.0, 20.0}), ElementsAre(1, 3, 2));
  EXPECT_THAT(MidRanks({5.0, 1.0, 5.0, 5.0, 7.0}), ElementsAre(3, 1, 3, 3, 5));
  EXPECT_THAT(MidRanks({2.0, 2.0}), ElementsAre(1.5, 1.5));
  EXPECT_THAT(MidRanks({}), ElementsAre());
}

TEST(SpearmanCorrelation, IsOneForAnyMonotoneRelation) {
  const RankCorrelation up = SpearmanCorrelation({1, 2, 3, 4, 5}, {1, 10, 11, 500, 501}, 0.95);
  EXPECT_EQ(up.rho, 1);
  EXPECT_NEAR(up.p_value, 2 / 120.0, 1e-12) << "two of 5! orders are monotone";
  EXPECT_TRUE(std::isnan(up.interval.low));
  EXPECT_EQ(SpearmanCorrelation({1, 2, 3}, {9, 5, 2}, 0.95).rho, -1);
}

TEST(SpearmanCorrelation, LeavesOutPairsWithoutAFigure) {
  const double none = std::nan("");
  const RankCorrelation whole = SpearmanCorrelation({1, 4, 2, 7, 3}, {2, 8, 9, 4, 1}, 0.95);
  const RankCorrelation holes =
      SpearmanCorrelation({1, none, 4, 2, 7, 5, 3}, {2, 0, 8, 9, 4, none, 1}, 0.95);
  EXPECT_EQ(holes.n, 5);
  EXPECT_EQ(holes.rho, whole.rho);
  EXPECT_EQ(holes.p_value, whole.p_value);
}

TEST(SpearmanCorrelation, IsUndefinedWhereNothingVaries) {
  EXPECT_TRUE(std::isnan(SpearmanCorrelation({1, 2}, {1, 2}, 0.95).rho));
  EXPECT_TRUE(std::isnan(SpearmanCorrelation({1, 1, 1}, {1, 2, 3}, 0.95).rho));
  EXPECT_TRUE(std::isnan(SpearmanCorrelation({1, 2, 3}, {0, 0, 0}, 0.95).p_value));
  EXPECT_TRUE(std::isnan(SpearmanCorrelation({1, 2, 3}, {1, 3, 2}, 0.95).interval.low));
}

}  // namespace
}  // namespace bitquake
