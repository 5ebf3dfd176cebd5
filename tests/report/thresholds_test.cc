#include "common/report/thresholds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/report/made_up_cells.h"

namespace bitquake {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::vector<TargetThresholds> Find(const std::vector<CellResult>& cells,
                                   const Derivation& derivation = {}) {
  return FindTargetThresholds(cells, derivation).value();
}

// 0, 1, 3 and 9 pp at rates a decade apart.
std::vector<CellResult> Curve(const std::string& granularity, const std::string& target) {
  return {Cell(granularity, target, {0, 0, 0}, 1e-6), Cell(granularity, target, {10, 10, 10}, 1e-5),
          Cell(granularity, target, {30, 30, 30}, 1e-4),
          Cell(granularity, target, {90, 90, 90}, 1e-3)};
}

TEST(ThresholdsCsv, HasTheColumnsOfTheContractAndARowForEachLimit) {
  EXPECT_EQ(ToCsv(ThresholdFigures(Find(Curve("model", "model")))),
            "campaign,model,format,fault,granularity,target,loss_pp,log10_ber,ci_low,ci_high\n"
            "c,vit,int8,bit_flip,model,model,1,-5,-5,-5\n"
            "c,vit,int8,bit_flip,model,model,5,-3.6666666666666665,-3.6666666666666665,"
            "-3.6666666666666665\n"
            "c,vit,int8,bit_flip,model,model,10,inf,inf,inf\n");
}

TEST(ThresholdsCsv, SaysWhatIsBelowTheGrid) {
  Derivation derivation;
  derivation.loss_limits = {1};
  const auto found = Find(
      {Cell("model", "model", {50, 50}, 1e-4), Cell("model", "model", {80, 80}, 1e-3)}, derivation);
  EXPECT_THAT(Lines(ToCsv(ThresholdFigures(found))).at(1), HasSubstr(",1,-inf,-inf,-inf"));
  EXPECT_THAT(ThresholdsTable(found), HasSubstr("below the grid (from 1.00e-04)"));
}

TEST(ThresholdsJson, HasNumbersAndTextsForInfinities) {
  const auto rows = nlohmann::json::parse(ToJson(ThresholdFigures(Find(Curve("model", "model")))));
  ASSERT_THAT(rows, SizeIs(3));
  EXPECT_EQ(rows[0]["log10_ber"], -5);
  EXPECT_EQ(rows[2]["log10_ber"], "inf");
  EXPECT_EQ(rows[2]["loss_pp"], 10);
}

TEST(Thresholds, AreThoseOfTheLimitsAsked) {
  Derivation derivation;
  derivation.loss_limits = {2};
  const auto found = Find(Curve("model", "model"), derivation);
  ASSERT_THAT(found, SizeIs(1));
  ASSERT_THAT(found[0].thresholds, SizeIs(1));
  EXPECT_EQ(found[0].thresholds[0].loss, 2);
  EXPECT_DOUBLE_EQ(found[0].thresholds[0].log10_ber, -4.5);
}

// A search bisects: between far rates that it has measured so far there is no answer yet.
TEST(Thresholds, OfASearchAreKnownOnceTheRatesBesideThemAreMeasured) {
  Derivation derivation;
  derivation.search_grid = {1e-6, 1e-5, 1e-4, 1e-3, 1e-2};
  derivation.loss_limits = {0.5, 5, 10};
  const auto found = Find(Curve("model", "model"), derivation)[0].thresholds;
  EXPECT_DOUBLE_EQ(found[0].log10_ber, -5.5);
  EXPECT_NEAR(found[1].log10_ber, -3.667, 1e-3);
  EXPECT_TRUE(std::isnan(found[2].log10_ber)) << "1e-2 was not measured";
  std::vector<CellResult> far = Curve("model", "model");
  far.erase(far.begin() + 2);  // 1e-4
  const auto unknown = Find(far, derivation);
  EXPECT_DOUBLE_EQ(unknown[0].thresholds[0].log10_ber, -5.5);
  EXPECT_TRUE(std::isnan(unknown[0].thresholds[1].log10_ber));
  EXPECT_TRUE(std::isnan(unknown[0].thresholds[1].interval.low));
  EXPECT_THAT(ThresholdsTable(unknown), HasSubstr("search not finished"));
  derivation.search_grid = {1e-6, 2e-6};  // these cells have rates of their own
  EXPECT_NEAR(Find(far, derivation)[0].thresholds[1].log10_ber, -4, 1e-9);
}

TEST(Thresholds, AreOfEachTargetInItsFormatByItself) {
  std::vector<CellResult> cells = Curve("block", "blocks.0");
  const std::vector<CellResult> other = Curve("block", "blocks.1");
  cells.insert(cells.begin() + 2, other.begin(), other.end());
  for (CellResult cell : Curve("block", "blocks.0")) {
    cell.key.format = "int4";
    cells.push_back(cell);
  }
  const auto found = Find(cells);
  ASSERT_THAT(found, SizeIs(3));
  EXPECT_EQ(found[0].key.target, "blocks.0");
  EXPECT_EQ(found[1].key.target, "blocks.1");
  EXPECT_EQ(found[2].key.format, "int4");
  for (const TargetThresholds& target : found) {
    EXPECT_EQ(target.thresholds[0].log10_ber, -5);
  }
}

TEST(Thresholds, NeedTwoPositiveRates) {
  EXPECT_THAT(Find({}), IsEmpty());
  EXPECT_THAT(Find({Cell("model", "model", {50}, 1e-4)}), IsEmpty());
  EXPECT_THAT(Find({Cell("model", "model", {50}, 1e-4), Cell("model", "model", {}, 1e-3)}),
              IsEmpty());
  // A rate of 0 has no logarithm; a list of faults that misses a target has that rate.
  EXPECT_THAT(Find({Cell("model", "model", {0}, 0), Cell("model", "model", {50}, 1e-4)}),
              IsEmpty());
  const auto found = Find({Cell("model", "model", {0}, 0), Cell("model", "model", {0}, 1e-5),
                           Cell("model", "model", {20}, 1e-4)});
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_DOUBLE_EQ(found[0].thresholds[0].log10_ber, -4.5);
  EXPECT_TRUE(std::isnan(found[0].thresholds[0].interval.low));  // one trial
}

// The order in which cells come is the campaign's, not that of rates.
TEST(Thresholds, TakeRatesInAnyOrder) {
  std::vector<CellResult> cells = Curve("model", "model");
  std::reverse(cells.begin(), cells.end());
  EXPECT_EQ(Find(cells)[0].thresholds[0].log10_ber, -5);
  EXPECT_EQ(Find(cells)[0].key.ber, 1e-6);
  EXPECT_EQ(Find(cells)[0].highest_ber, 1e-3);
}

CellResult WithNumbers(CellResult cell, const std::vector<uint32_t>& numbers) {
  for (size_t t = 0; t < numbers.size(); ++t) {
    cell.trials[t].trial = numbers[t];
  }
  return cell;
}

// The losses of a trial at both rates sum to 10 pp, so those of each resample do, and the line
// between them reaches 5 pp half-way: the interval is a point. As of a run that goes on, each rate
// lacks a trial, so that places and numbers differ.
TEST(Thresholds, TrialsStayPairedByTheirNumbers) {
  Derivation derivation;
  derivation.loss_limits = {5};
  const Threshold found =
      Find({WithNumbers(Cell("model", "model", {20, 0, 20, 40}, 1e-5), {0, 1, 2, 3}),
            WithNumbers(Cell("model", "model", {100, 80, 60, 80}, 1e-4), {1, 2, 3, 4})},
           derivation)[0]
          .thresholds[0];
  EXPECT_DOUBLE_EQ(found.log10_ber, -4.5);
  EXPECT_NEAR(found.interval.low, -4.5, 1e-9);
  EXPECT_NEAR(found.interval.high, -4.5, 1e-9);
}

TEST(ThresholdsTable, SaysInWordsWhatIsNotOnTheGrid) {
  EXPECT_EQ(ThresholdsTable(Find(Curve("model", "model"))),
            "BER at which the mean loss of top-1 reaches a limit:\n"
            "model  format  granularity  target  loss pp                                     BER  "
            "                  interval\n"
            "vit    int8    model        model         1                                1.00e-05  "
            "      [1.00e-05, 1.00e-05]\n"
            "vit    int8    model        model         5                                2.15e-04  "
            "      [2.15e-04, 2.15e-04]\n"
            "vit    int8    model        model        10  not reached on this grid (to 1.00e-03)  "
            "[not reached, not reached]\n");
  EXPECT_EQ(ThresholdsTable({}), "");
}

TEST(ThresholdsTable, SaysOnceWhatHoldsForSeveralLimits) {
  const std::string table = ThresholdsTable(
      Find({Cell("model", "model", {0, 0}, 1e-5), Cell("model", "model", {20, 20}, 1e-4)}));
  EXPECT_THAT(table, HasSubstr("  5, 10  not reached on this grid (to 1.00e-04)"));
  EXPECT_THAT(Lines(table), SizeIs(4));
}

TEST(Thresholds, TrialsWithoutImagesAreAnErrorThatNamesTheTarget) {
  std::vector<CellResult> cells = Curve("model", "model");
  cells[1].trials[0].images = 0;
  const auto found = FindTargetThresholds(cells, {});
  EXPECT_THAT(std::string(found.status().message()), HasSubstr("vit int8 model"));
}

}  // namespace
}  // namespace bitquake
