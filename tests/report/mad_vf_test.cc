#include "common/report/mad_vf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "absl/strings/str_cat.h"
#include "tests/report/made_up_cells.h"

namespace bitquake {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// Two blocks of three heads: as they are, the distances are 1 to 6 px; renormalised, 6 to 1.
GoldenResult Golden() {
  GoldenResult golden = {"vit", "int8", 1000, 900, 990};
  golden.attention.heads = 3;
  for (int i = 1; i <= 6; ++i) {
    golden.attention.sums.push_back({1000.0 * i, 1000.0 * (7 - i)});
  }
  return golden;
}

std::vector<CellResult> Heads(const std::vector<int64_t>& losses, const std::string& type = "",
                              double ber = 1e-6) {
  std::vector<CellResult> cells;
  for (size_t i = 0; i < losses.size(); ++i) {
    cells.push_back(
        Cell("head", absl::StrCat("blocks.", i / 3, ".attn.h", i % 3, type), {losses[i]}, ber));
    cells.back().golden = Golden();
  }
  return cells;
}

// VF, within blocks: 10, 20, 40 are 1/3, 0.8, 8/3; 10, 30, 20 are 0.4, 2, 1. Their ranks 1, 3, 6;
// 2, 5, 4 against 1 to 6: the differences' squares sum to 0 + 1 + 9 + 4 + 0 + 4 = 18, and rho is
// 1 - 6 * 18 / (6 * 35) = 17 / 35.
TEST(MadVf, IsTheRankCorrelationOverTheHeadsOfAllBlocks) {
  const auto found = CorrelateMadWithVf(Heads({10, 20, 40, 10, 30, 20}), {});
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(found[0].key.target, "blocks.*.attn.h*");
  EXPECT_EQ(found[0].correlation.n, 6);
  EXPECT_FALSE(found[0].renormalised);
  EXPECT_NEAR(found[0].correlation.rho, 17.0 / 35, 1e-12);
  EXPECT_TRUE(found[1].renormalised);
  EXPECT_NEAR(found[1].correlation.rho, -17.0 / 35, 1e-12);
}

// t = 17/35 sqrt(4 / (1 - (17/35)^2)) = 1.1112 has p = 0.3287 with 4 degrees of freedom; the
// interval is tanh(atanh(17/35) -+ 1.95996 sqrt((1 + (17/35)^2 / 2) / 3)).
TEST(MadVfCsv, HasTheIntervalAndP) {
  const auto lines =
      Lines(ToCsv(MadVfFigures(CorrelateMadWithVf(Heads({10, 20, 40, 10, 30, 20}), {}))));
  ASSERT_THAT(lines, SizeIs(3));
  EXPECT_EQ(lines[0],
            "campaign,model,format,fault,granularity,target,ber,mad,heads,rho,ci_low,ci_high,"
            "p_value");
  EXPECT_THAT(lines[1], HasSubstr("c,vit,int8,bit_flip,head,blocks.*.attn.h*,1e-06,as_is,6,"));
  EXPECT_THAT(lines[2], HasSubstr(",renormalised,6,"));
  const std::vector<std::string> fields = absl::StrSplit(lines[1], ',');
  EXPECT_NEAR(std::stod(fields.at(10)), -0.58236, 1e-5);
  EXPECT_NEAR(std::stod(fields.at(11)), 0.93869, 1e-5);
  EXPECT_NEAR(std::stod(fields.at(12)), 0.3287, 1e-3);
}

TEST(MadVf, RatesAndTypesAreApart) {
  std::vector<CellResult> cells = Heads({10, 20, 40, 10, 30, 20});
  for (const auto& more :
       {Heads({40, 20, 10, 20, 30, 10}, "", 1e-5), Heads({1, 2, 4, 1, 3, 2}, ".q")}) {
    cells.insert(cells.end(), more.begin(), more.end());
  }
  const auto found = CorrelateMadWithVf(cells, {});
  ASSERT_THAT(found, SizeIs(6));
  EXPECT_EQ(found[2].key.ber, 1e-5);
  EXPECT_EQ(found[2].correlation.n, 6);
  EXPECT_EQ(found[4].key.target, "blocks.*.attn.h*.q");
}

TEST(MadVf, LeavesOutHeadsWithoutVf) {
  // In the second block one head alone loses: its siblings' mean is no divisor.
  const auto found = CorrelateMadWithVf(Heads({10, 20, 40, 5, 0, 0}), {});
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(found[0].correlation.n, 5);
}

TEST(MadVf, NeedsHeadsAndMeasuredDistances) {
  EXPECT_THAT(CorrelateMadWithVf({Cell("head", "blocks.0.attn.h0", {5})}, {}), IsEmpty());
  CellResult block = Cell("block", "blocks.0", {5});
  block.golden = Golden();
  EXPECT_THAT(CorrelateMadWithVf({block}, {}), IsEmpty());
  EXPECT_EQ(MadVfTable({}), "");
}

TEST(MadVfTable, HasALineForEach) {
  const std::string table = MadVfTable(CorrelateMadWithVf(Heads({10, 20, 40, 10, 30, 20}), {}));
  EXPECT_THAT(table, HasSubstr("blocks.*.attn.h*  as is         1.00e-06      6   0.49"));
  EXPECT_THAT(table, HasSubstr("blocks.*.attn.h*  renormalised  1.00e-06      6  -0.49"));
}

}  // namespace
}  // namespace bitquake
