#include "common/report/bits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/report/made_up_cells.h"

namespace bitquake {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::SizeIs;

TEST(BitsCsv, HasARowForEachPositionOfEachTarget) {
  // Position 7 before 6, and another granularity between them.
  const std::string csv =
      ToCsv(BitFigures({Cell("bit", "bit7", {90, 90}), Cell("model", "model", {99, 99}),
                        Cell("bit", "bit6", {30, 30})}));
  EXPECT_EQ(csv,
            "campaign,model,format,fault,granularity,target,bit,bits,ber,trials,flips_mean,"
            "loss_mean,ci_low,ci_high,loss_per_flip,share\n"
            "c,vit,int8,bit_flip,bit,model,6,64,1e-06,2,3,3,3,3,1,25\n"
            "c,vit,int8,bit_flip,bit,model,7,64,1e-06,2,3,9,9,9,3,75\n");
}

TEST(BitsCsv, TargetsAndRatesAreApart) {
  const auto lines = Lines(ToCsv(BitFigures(
      {Cell("block", "blocks.0.bit7", {40, 40}), Cell("block", "blocks.0.bit6", {10, 10}),
       Cell("block", "blocks.1.bit7", {20, 20}), Cell("block", "blocks.0.bit7", {80, 80}, 1e-5),
       Cell("block", "blocks.0", {50, 50})})));
  ASSERT_THAT(lines, SizeIs(5));
  EXPECT_THAT(lines[1], HasSubstr("block,blocks.0,6,"));
  EXPECT_THAT(lines[1], EndsWith(",20"));
  EXPECT_THAT(lines[2], HasSubstr("block,blocks.0,7,"));
  EXPECT_THAT(lines[2], EndsWith(",80"));
  EXPECT_THAT(lines[3], HasSubstr("block,blocks.1,7,"));
  EXPECT_THAT(lines[3], EndsWith(",100"));
  EXPECT_THAT(lines[4], HasSubstr(",1e-05,"));
}

// 1 and 3 pp: 2 +- 12.706 sqrt(2) / sqrt(2) pp.
TEST(BitsCsv, TheIntervalIsThatOfTheLoss) {
  const auto line = Lines(ToCsv(BitFigures({Cell("bit", "bit0", {10, 30})}))).at(1);
  std::vector<std::string> fields = absl::StrSplit(line, ',');
  EXPECT_NEAR(std::stod(fields.at(12)), 2 - 12.7062, 1e-3);
  EXPECT_NEAR(std::stod(fields.at(13)), 2 + 12.7062, 1e-3);
}

TEST(BitsCsv, WithoutLossOrFlipsThereIsNoShareAndNoLossPerFlip) {
  CellResult none = Cell("bit", "bit0", {0, 0});
  for (TrialResult& trial : none.trials) {
    trial.flips = 0;
  }
  EXPECT_THAT(Lines(ToCsv(BitFigures({none}))).at(1), EndsWith(",0,0,0,0,,"));
}

TEST(BitsTable, IsEmptyWithoutPositions) {
  EXPECT_EQ(BitsTable({Cell("block", "blocks.0", {5})}), "");
  EXPECT_EQ(BitsTable({Cell("bit", "bit7", {90, 90}), Cell("bit", "bit6", {30, 30})}),
            "Loss by bit position, 0 the least significant:\n"
            "model  format  granularity  target       BER  bit  loss pp      interval  pp a flip  "
            "share %\n"
            "vit    int8    bit          model   1.00e-06    6     3.00  [3.00, 3.00]   1.00e+00  "
            "  25.00\n"
            "vit    int8    bit          model   1.00e-06    7     9.00  [9.00, 9.00]   3.00e+00  "
            "  75.00\n");
}

}  // namespace
}  // namespace bitquake
