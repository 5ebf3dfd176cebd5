#include <gtest/gtest.h>

#include "common/report/results.h"

namespace bitquake {
namespace {

Bitmap Bits(int64_t items, std::vector<int64_t> ones) {
  Bitmap bitmap(items);
  for (const int64_t item : ones) {
    bitmap.Set(item);
  }
  return bitmap;
}

TEST(ImagesCsv, HasARowForEachFoldOfEachTrialWithTheFirstImageInTheLowestBit) {
  CellResult cell;
  cell.key = {"c", "vit", "int8", "bit_flip", "head", "blocks.0.attn.h1", 1e-6};
  TrialResult trial;
  trial.trial = 4;
  trial.folds = {{0, Bits(10, {0, 3, 9}), Bits(10, {4})}, {7, Bits(3, {}), Bits(3, {0, 1, 2})}};
  cell.trials = {TrialResult(), trial};  // the first has kept nothing
  EXPECT_EQ(ImagesCsv({cell}),
            "campaign,model,format,fault,granularity,target,ber,trial,fold,correct,same\n"
            "c,vit,int8,bit_flip,head,blocks.0.attn.h1,1e-06,4,0,0902,1000\n"
            "c,vit,int8,bit_flip,head,blocks.0.attn.h1,1e-06,4,7,00,07\n");
}

TEST(FoldsCsv, HasARowForEachImage) {
  EXPECT_EQ(FoldsCsv({{0, {5, 900}, {3, 0}}, {2, {1}, {9}}}),
            "fold,position,image,label\n0,0,5,3\n0,1,900,0\n2,0,1,9\n");
}

}  // namespace
}  // namespace bitquake
