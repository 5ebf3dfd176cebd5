#include "common/report/fragility.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "common/report/ranking.h"
#include "common/report/siblings.h"
#include "tests/report/made_up_cells.h"

namespace bitquake {
namespace {

using testing::HasSubstr;
using testing::Not;

std::vector<double> Factors(const std::vector<CellResult>& cells) {
  std::vector<double> factors;
  for (const Fragility& fragility : EstimateFragility(cells, {})) {
    factors.push_back(fragility.vf.value);
  }
  return factors;
}

TEST(VulnerabilityFactor, IsOneInAHomogeneousModel) {
  for (const double vf : Factors({Cell("block", "blocks.0", {5}), Cell("block", "blocks.1", {5}),
                                  Cell("block", "blocks.2", {5})})) {
    EXPECT_DOUBLE_EQ(vf, 1.0);
  }
}

TEST(VulnerabilityFactor, IsTheLossOverTheMeanLossOfTheOthers) {
  const auto vf = Factors({Cell("block", "blocks.0", {10}), Cell("block", "blocks.1", {20}),
                           Cell("block", "blocks.2", {60})});
  EXPECT_NEAR(vf[0], 10.0 / 40, 1e-12);
  EXPECT_NEAR(vf[1], 20.0 / 35, 1e-12);
  EXPECT_NEAR(vf[2], 60.0 / 15, 1e-12);
}

TEST(VulnerabilityFactor, IsEmptyWithoutSiblingsOrWithoutTheirLoss) {
  EXPECT_TRUE(std::isnan(Factors({Cell("block", "blocks.0", {5})})[0]));
  const auto vf = Factors({Cell("block", "blocks.0", {80}), Cell("block", "blocks.1", {0}),
                           Cell("block", "blocks.2", {0})});
  EXPECT_TRUE(std::isnan(vf[0]));
  EXPECT_EQ(vf[1], 0);
}

// 0.1 + 0.2 - 0.3 is not 0 in doubles.
TEST(VulnerabilityFactor, LossesThatCancelAreNoDivisor) {
  EXPECT_TRUE(
      std::isnan(Factors({Cell("block", "blocks.0", {80}), Cell("block", "blocks.1", {1}),
                          Cell("block", "blocks.2", {2}), Cell("block", "blocks.3", {-3})})[0]));
}

TEST(VulnerabilityFactor, CellsWithoutTrialsAreNobodysSiblings) {
  const auto vf = Factors({Cell("block", "blocks.0", {10}), Cell("block", "blocks.1", {}),
                           Cell("block", "blocks.2", {20})});
  EXPECT_DOUBLE_EQ(vf[0], 0.5);
  EXPECT_TRUE(std::isnan(vf[1]));
}

TEST(VulnerabilityFactor, HeadsAreSiblingsWithinABlockAndType) {
  const auto vf =
      Factors({Cell("head", "blocks.0.attn.h0", {10}), Cell("head", "blocks.0.attn.h11", {20}),
               Cell("head", "blocks.1.attn.h0", {500}), Cell("head", "blocks.0.attn.h0.q", {300}),
               Cell("head", "blocks.0.attn.h1.q", {600}), Cell("head", "blocks.0.attn.h1.k", {7})});
  EXPECT_NEAR(vf[0], 0.5, 1e-12);
  EXPECT_NEAR(vf[1], 2.0, 1e-12);
  EXPECT_TRUE(std::isnan(vf[2]));
  EXPECT_NEAR(vf[3], 0.5, 1e-12);
  EXPECT_TRUE(std::isnan(vf[5]));
}

TEST(VulnerabilityFactor, OtherRatesModelsFormatsAndFaultsAreNoSiblings) {
  std::vector<CellResult> cells(5, Cell("block", "blocks.0", {5}));
  cells[1].key.ber = 1e-5;
  cells[2].key.model = "swin";
  cells[3].key.format = "int4";
  cells[4].key.fault = "stuck_at_1";
  for (const double vf : Factors(cells)) {
    EXPECT_TRUE(std::isnan(vf));
  }
}

bool AreSiblings(const std::string& granularity, const std::string& a, const std::string& b) {
  return SiblingGroup(Cell(granularity, a, {}).key) == SiblingGroup(Cell(granularity, b, {}).key);
}

TEST(Siblings, AreTargetsOfOneKind) {
  EXPECT_TRUE(AreSiblings("block", "layers.0.blocks.1", "layers.3.blocks.0"));
  EXPECT_TRUE(AreSiblings("tensor", "blocks.0.mlp.fc1.weight", "blocks.11.mlp.fc1.weight"));
  EXPECT_FALSE(AreSiblings("tensor", "blocks.0.mlp.fc1.weight", "blocks.0.mlp.fc2.weight"));
  EXPECT_FALSE(AreSiblings("tensor", "cls_token", "pos_embed"));
  EXPECT_TRUE(AreSiblings("type", "q", "k"));
  EXPECT_TRUE(AreSiblings("type", "blocks.0.q", "blocks.1.q"));
  EXPECT_FALSE(AreSiblings("type", "blocks.0.q", "blocks.0.k"));
  EXPECT_FALSE(AreSiblings("type", "q", "blocks.0.q"));
  EXPECT_TRUE(AreSiblings("part", "mlp", "attention"));
  EXPECT_TRUE(AreSiblings("part", "blocks.0.mlp", "blocks.1.mlp"));
  EXPECT_TRUE(AreSiblings("regex", "first", "^blocks\\.7\\."));
  EXPECT_TRUE(AreSiblings("bit", "bit7", "bit0"));
}

TEST(Siblings, OfABitPositionAreThoseOfTheSamePosition) {
  EXPECT_TRUE(AreSiblings("block", "blocks.0.bit7", "blocks.1.bit7"));
  EXPECT_FALSE(AreSiblings("block", "blocks.0.bit7", "blocks.0.bit6"));
  EXPECT_FALSE(AreSiblings("block", "blocks.0.bit7", "blocks.0"));
  EXPECT_TRUE(AreSiblings("head", "blocks.0.attn.h1.q.bit7", "blocks.0.attn.h2.q.bit7"));
  EXPECT_FALSE(AreSiblings("head", "blocks.0.attn.h1.q.bit7", "blocks.0.attn.h2.q.bit0"));
}

TEST(Siblings, NamesSayWhereAHeadIs) {
  EXPECT_EQ(FindHead("blocks.3.attn.h7.q").block, 3);
  EXPECT_EQ(FindHead("blocks.3.attn.h7.q").head, 7);
  EXPECT_EQ(FindHead("transformer.layers.2.0.fn.fn.h11").block, 2);
  EXPECT_EQ(FindHead("transformer.layers.2.0.fn.fn.h11").head, 11);
  EXPECT_EQ(FindHead("head.weight").head, -1);
  EXPECT_EQ(HeadPattern("blocks.3.attn.h7.q"), "blocks.*.attn.h*.q");
}

TEST(Ranks, AreOverAllBlocksAndOnlyAmongTheLike) {
  const auto f = EstimateFragility(
      {Cell("head", "blocks.0.attn.h0", {10}), Cell("head", "blocks.0.attn.h1", {30}),
       Cell("head", "blocks.1.attn.h0", {20}), Cell("head", "blocks.1.attn.h0.q", {90}),
       Cell("head", "blocks.1.attn.h1", {20}, 1e-5), Cell("tensor", "cls_token", {4}),
       Cell("tensor", "blocks.0.mlp.fc1.weight", {5})},
      {});
  EXPECT_EQ(f[0].rank, 3);
  EXPECT_EQ(f[1].rank, 1);
  EXPECT_EQ(f[2].rank, 2);
  EXPECT_EQ(f[2].ranked, 3);
  EXPECT_TRUE(std::isnan(f[3].rank));  // alone
  EXPECT_TRUE(std::isnan(f[4].rank));
  EXPECT_EQ(f[5].rank, 2);
  EXPECT_EQ(f[6].rank, 1);
}

TEST(Ranks, EqualLossesShareAPlace) {
  const auto f =
      EstimateFragility({Cell("block", "blocks.0", {7, 7}), Cell("block", "blocks.1", {7, 7}),
                         Cell("block", "blocks.2", {1, 1})},
                        {});
  EXPECT_EQ(f[0].rank, 1.5);
  EXPECT_EQ(f[1].rank, 1.5);
  EXPECT_EQ(f[2].rank, 3);
  EXPECT_EQ(f[2].ranks.low, 3);
  EXPECT_EQ(f[2].ranks.high, 3);
}

// 0.1 + 0.2 pp are as much as 0.3, though not in doubles; so are 0.3 pp of twice as many images.
TEST(Ranks, CellsThatLostAsManyImagesAreEqual) {
  std::vector<CellResult> cells = {
      Cell("block", "blocks.0", {1, 2, 0}), Cell("block", "blocks.1", {3, 0, 0}),
      Cell("block", "blocks.2", {0, 0, 3}), Cell("block", "blocks.3", {0, 6, 0})};
  for (TrialResult& trial : cells[3].trials) {
    trial.images = 2000;
  }
  for (const Fragility& f : EstimateFragility(cells, {})) {
    EXPECT_EQ(f.rank, 2.5);
  }
}

// Of two blocks with the same trials in another order either may be first.
TEST(Ranks, HaveIntervalsThatSayWhatIsNotClear) {
  const std::vector<CellResult> cells = {Cell("block", "blocks.0", {0, 40, 10, 30, 20}),
                                         Cell("block", "blocks.1", {40, 0, 30, 10, 19}),
                                         Cell("block", "blocks.2", {900, 880, 890, 870, 860})};
  const auto f = EstimateFragility(cells, {});
  EXPECT_EQ(f[0].rank, 2);
  EXPECT_EQ(f[0].ranks.low, 2);
  EXPECT_EQ(f[0].ranks.high, 3);
  EXPECT_EQ(f[2].ranks.low, 1);
  EXPECT_EQ(f[2].ranks.high, 1);
}

TEST(Intervals, FollowFromTheCampaignsSeed) {
  const std::vector<CellResult> cells = {Cell("block", "blocks.0", {10, 43, 12, 37, 21}),
                                         Cell("block", "blocks.1", {11, 23, 95, 48, 50})};
  const auto ends = [&](uint64_t seed) {
    Derivation derivation;
    derivation.seed = seed;
    const auto f = EstimateFragility(cells, derivation);
    return std::make_pair(f[0].vf.interval.low, f[0].vf.interval.high);
  };
  EXPECT_EQ(ends(1), ends(1));
  EXPECT_NE(ends(1), ends(2));
  EXPECT_LT(ends(1).first, 123.0 / 227);
  EXPECT_GT(ends(1).second, 123.0 / 227);
}

TEST(RankingTable, NamesTheFiveThatLoseMostWhereLossesDifferMost) {
  std::vector<CellResult> cells;
  for (const double ber : {1e-6, 1e-4, 1e-2}) {
    for (int block = 0; block < 7; ++block) {
      const int64_t loss = ber == 1e-6 ? 1 + block % 2 : ber == 1e-4 ? 300 - 40 * block : 800;
      cells.push_back(Cell("block", "blocks." + std::to_string(block), {loss, loss, loss}, ber));
    }
  }
  EXPECT_EQ(RankingTable(cells, {}),
            "Most fragile targets:\n"
            "model  format  target         BER    rank  rank interval  loss pp    VF   VF "
            "interval  pp a Mbit\n"
            "vit    int8    blocks.0  1.00e-04  1 of 7         [1, 1]    30.00  1.88  [1.88, "
            "1.88]  468750.00\n"
            "vit    int8    blocks.1  1.00e-04  2 of 7         [2, 2]    26.00  1.56  [1.56, "
            "1.56]  406250.00\n"
            "vit    int8    blocks.2  1.00e-04  3 of 7         [3, 3]    22.00  1.27  [1.27, "
            "1.27]  343750.00\n"
            "vit    int8    blocks.3  1.00e-04  4 of 7         [4, 4]    18.00  1.00  [1.00, "
            "1.00]  281250.00\n"
            "vit    int8    blocks.4  1.00e-04  5 of 7         [5, 5]    14.00  0.75  [0.75, "
            "0.75]  218750.00\n");
}

TEST(RankingTable, IsEmptyForATargetAlone) {
  EXPECT_EQ(RankingTable({Cell("model", "model", {5, 6})}, {}), "");
}

TEST(RankingTable, SaysNothingOfIntervalsOfOneTrial) {
  const std::string table =
      RankingTable({Cell("block", "blocks.0", {5}), Cell("block", "blocks.1", {6})}, {});
  EXPECT_THAT(table, HasSubstr("1 of 2"));
  EXPECT_THAT(table, Not(HasSubstr("[")));
}

}  // namespace
}  // namespace bitquake
