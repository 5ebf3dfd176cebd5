#include "common/campaign/ber_grid.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bitquake {
namespace {

using testing::ElementsAre;

TEST(BerGrid, HoldsBothEndsAndShortDecimalsBetween) {
  EXPECT_THAT(LogGrid(1e-9, 1e-6, 2),
              ElementsAre(1e-9, 3.16227766e-9, 1e-8, 3.16227766e-8, 1e-7, 3.16227766e-7, 1e-6));
}

TEST(BerGrid, EndsAtToAlsoOffTheGrid) {
  EXPECT_THAT(LogGrid(2e-7, 5e-5, 1), ElementsAre(2e-7, 2e-6, 2e-5, 5e-5));
}

TEST(BerGrid, KeepsEndsAsWritten) {
  EXPECT_THAT(LogGrid(1.23456789012e-7, 1.23456789013e-7, 3),
              ElementsAre(1.23456789012e-7, 1.23456789013e-7));
}

TEST(BerGrid, OfOneRateIsThatRate) { EXPECT_THAT(LogGrid(1e-5, 1e-5, 10), ElementsAre(1e-5)); }

// A decade on is the same decimal, whatever the start: rounding removes what the power left.
TEST(BerGrid, DecadesAreExactDecimals) {
  const std::vector<double> grid = LogGrid(1e-12, 1, 3);
  ASSERT_EQ(grid.size(), 37u);
  for (size_t i = 0; i < grid.size(); ++i) {
    EXPECT_EQ(grid[i], RoundToDigits(grid[i], 9));
  }
  EXPECT_EQ(grid[3], 1e-11);
  EXPECT_EQ(grid[33], 0.1);
  EXPECT_EQ(grid[1], 2.15443469e-12);
  EXPECT_EQ(grid[34], 0.215443469);
}

TEST(BerGrid, SizeIsPredicted) {
  for (const int per_decade : {1, 2, 7, 100}) {
    EXPECT_NEAR(LogGridSize(1e-9, 3e-2, per_decade), LogGrid(1e-9, 3e-2, per_decade).size(), 1.0);
  }
}

TEST(BerGrid, RoundsToSignificantDigits) {
  EXPECT_EQ(RoundToDigits(3.1622776601683795e-9, 9), 3.16227766e-9);
  EXPECT_EQ(RoundToDigits(0.99999999999, 9), 1.0);
}

}  // namespace
}  // namespace bitquake
