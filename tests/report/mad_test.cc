#include <gtest/gtest.h>

#include <limits>

#include "common/report/results.h"

namespace bitquake {
namespace {

TEST(MadCsv, HasMeansOverTheImagesOfGoldenThenOfTrials) {
  GoldenResult golden = {"vit", "int8", 8, 7, 8, {2, {{8, 16}, {4, 12}, {2, 20}, {1, 24}}}};
  CellResult cell;
  cell.key = {"c", "vit", "int8", "bit_flip", "block", "blocks.1", 1e-3};
  TrialResult trial;
  trial.trial = 6;
  trial.images = 4;
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  trial.attention = {1, {{2, 6}, {kNaN, kNaN}}};
  cell.trials = {TrialResult(), trial};  // the first has measured nothing
  EXPECT_EQ(MadCsv("c", {golden}, {cell}),
            "campaign,model,format,fault,granularity,target,ber,trial,block,head,mad_px,"
            "mad_renormalised_px,images\n"
            "c,vit,int8,,,,,,0,0,1,2,8\n"
            "c,vit,int8,,,,,,0,1,0.5,1.5,8\n"
            "c,vit,int8,,,,,,1,0,0.25,2.5,8\n"
            "c,vit,int8,,,,,,1,1,0.125,3,8\n"
            "c,vit,int8,bit_flip,block,blocks.1,0.001,6,0,0,0.5,1.5,4\n"
            "c,vit,int8,bit_flip,block,blocks.1,0.001,6,1,0,,,4\n");
}

}  // namespace
}  // namespace bitquake
