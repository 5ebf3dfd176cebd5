#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/report/cell_summary.h"
#include "common/report/results.h"
#include "tests/report/made_up_cells.h"

namespace bitquake {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::SizeIs;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

TEST(CellsCsv, HasTheColumnsOfTheContract) {
  EXPECT_EQ(CellsCsv({}, {}),
            "campaign,model,format,fault,granularity,target,bits,ber,trials,images,golden_top1,"
            "golden_top5,top1_mean,top1_std,top1_min,top1_max,top1_p05,top1_median,top1_p95,ci_low,"
            "ci_high,loss_mean,top5_mean,sdc_rate,due_rate,flips_mean,vf,cell,interval,confidence,"
            "half_width_asked,half_width_observed,stopped,inferences,relative_loss,loss_per_mbit,"
            "vf_low,vf_high,rank,rank_low,rank_high\n");
  EXPECT_EQ(
      TrialsCsv({}),
      "campaign,model,format,fault,granularity,target,ber,trial,images,top1,top5,sdc,due,flips,"
      "faults_digest\n");
}

TEST(CellsCsv, OneTrialHasNoDeviationAndNoInterval) {
  EXPECT_EQ(
      Lines(CellsCsv({Cell("model", "model", {7})}, {})).at(1),
      "c,vit,int8,bit_flip,model,model,64,1e-06,1,1000,90,99,89.3,,89.3,89.3,89.3,89.3,89.3,,,"
      "0.7,99,1.4,0,3,,0,t,0.95,,,fixed,1000,0.7777777777777778,10937.5,,,,,");
}

TEST(CellsCsv, LeavesOutCellsWithoutTrials) {
  EXPECT_THAT(Lines(CellsCsv({Cell("model", "model", {}), Cell("block", "blocks.0", {1})}, {})),
              SizeIs(2));
}

TEST(CellsCsv, ACellKeepsItsNumberWhenOthersAreLeftOut) {
  std::vector<CellResult> cells = {Cell("model", "model", {}), Cell("block", "blocks.0", {1})};
  cells[1].number = 17;
  EXPECT_THAT(Lines(CellsCsv(cells, {})).at(1), HasSubstr(",3,,17,t,"));
}

// Two blocks whose trials lose in proportion have the same VF and the same ranks in each resample.
TEST(CellsCsv, EndsWithHowFragileTheTargetIs) {
  const auto lines = Lines(CellsCsv(
      {Cell("block", "blocks.0", {9, 18, 27}), Cell("block", "blocks.1", {18, 36, 54})}, {}));
  EXPECT_THAT(lines.at(1), EndsWith(",3000,2,28125,0.5,0.5,2,2,2"));
  EXPECT_THAT(lines.at(2), EndsWith(",3000,4,56250,2,2,1,1,1"));
}

TEST(CellsCsv, KeepsTheOrderGiven) {
  const auto lines =
      Lines(CellsCsv({Cell("block", "blocks.1", {1}), Cell("block", "blocks.0", {1})}, {}));
  EXPECT_THAT(lines.at(1), HasSubstr("blocks.1"));
  EXPECT_THAT(lines.at(2), HasSubstr("blocks.0"));
}

TEST(TrialsJson, SaysWhatTheCsvSays) {
  const std::vector<CellResult> cells = {Cell("model", "model", {7, 9}),
                                         Cell("block", "blocks.0", {1})};
  const auto lines = Lines(TrialsCsv(cells));
  const auto rows = nlohmann::ordered_json::parse(TrialsJson(cells));
  ASSERT_THAT(rows, SizeIs(3));
  const std::vector<std::string> names = absl::StrSplit(lines[0], ',');
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::vector<std::string> fields = absl::StrSplit(lines[i + 1], ',');
    size_t column = 0;
    for (const auto& [name, value] : rows[i].items()) {
      EXPECT_EQ(name, names.at(column));
      const std::string& field = fields.at(column++);
      EXPECT_TRUE(value.is_string() ? value == field : value.get<double>() == std::stod(field))
          << name << ": " << value << " and " << field;
    }
    EXPECT_EQ(column, names.size());
  }
  EXPECT_EQ(TrialsJson({}), "[\n]\n");
}

// A fold on which golden is better than on the whole set does not make the faults look harmless.
TEST(Estimate, IsGoldenPlusPairedDifference) {
  const GoldenResult golden{"m", "int8", 10000, 8000, 9500};
  TrialResult trial;
  trial.images = 200;
  trial.golden_top1 = 180;
  trial.top1 = 170;
  trial.golden_top5 = 198;
  trial.top5 = 199;
  EXPECT_EQ(EstimateTop1(golden, trial), 75.0);
  EXPECT_EQ(EstimateTop5(golden, trial), 95.5);
}

TEST(Estimate, OnAllImagesIsTheTrialsOwnAccuracy) {
  GoldenResult golden{"m", "int8", 50000, 42155, 48000};
  for (int64_t top1 = 0; top1 <= 50000; top1 += 7) {
    TrialResult trial;
    trial.images = 50000;
    trial.golden_top1 = 42155;
    trial.top1 = top1;
    ASSERT_EQ(EstimateTop1(golden, trial), 100.0 * static_cast<double>(top1) / 50000.0);
  }
}

TEST(Loss, OfUnchangedPredictionsIsZero) {
  CellResult cell = Cell("model", "model", {0, 0, 0, 0, 0, 0, 0});
  cell.golden = {"vit", "int8", 3001, 2500, 2900};
  EXPECT_EQ(Summarize({cell})[0].loss_mean, 0);
}

// A cell whose trials are judged by a rule.
CellResult Adaptive(const TrialDesign& design, const std::vector<int64_t>& losses) {
  CellResult cell = Cell("model", "model", losses);
  cell.precision = std::make_shared<const PrecisionRule>(
      PrecisionRule::Create(design, LossBounds(90, 90), 100, /*seed=*/0).value());
  return cell;
}

TrialDesign HalfWidth(double half_width) {
  TrialDesign design;
  design.min = 8;
  design.max = 10;
  design.half_width = half_width;
  return design;
}

TEST(Precision, ACellThatStoppedByWidthStatesTheWidthThatWasAskedFor) {
  const CellSummary s = Summarize({Adaptive(HalfWidth(2), {4, 5, 6, 5, 4, 6, 5, 5})})[0];
  EXPECT_STREQ(StoppedName(s.stopped), "width");
  EXPECT_NEAR(s.ci_low, 89.5 - 2, 1e-12);
  EXPECT_NEAR(s.ci_high, 89.5 + 2, 1e-12);
  EXPECT_EQ(s.half_width_asked, 2);
  EXPECT_GT(s.half_width_observed, 0.05);
  EXPECT_LT(s.half_width_observed, 0.2);
  EXPECT_THAT(Lines(CellsCsv({Adaptive(HalfWidth(2), {5, 5, 5, 5, 5, 5, 5, 5})}, {})).at(1),
              HasSubstr(",0,t,0.95,2,0,width,8000"));
}

TEST(Precision, ACellAtMaxStatesTheWidthThatItHas) {
  const CellSummary s =
      Summarize({Adaptive(HalfWidth(0.01), {0, 9, 0, 90, 0, 0, 40, 5, 7, 100})})[0];
  EXPECT_STREQ(StoppedName(s.stopped), "max");
  EXPECT_NEAR(s.ci_high - s.ci_low, 2 * s.half_width_observed, 1e-12);
  EXPECT_GT(s.half_width_observed, 2.5);
}

TEST(Precision, ACellWithoutAllOfItsTrialsIsInterim) {
  EXPECT_STREQ(StoppedName(Summarize({Adaptive(HalfWidth(2), {5, 5, 5, 5})})[0].stopped),
               "interim");
  CellResult gap = Adaptive(HalfWidth(2), {5, 5, 5, 5, 5, 5, 5, 5});
  gap.trials.back().trial = 8;  // trial 7 is missing
  EXPECT_STREQ(StoppedName(Summarize({gap})[0].stopped), "interim");
  EXPECT_STREQ(StoppedName(Summarize({Adaptive(FixedTrials(3), {5, 5})})[0].stopped), "interim");
  EXPECT_STREQ(StoppedName(Summarize({Adaptive(FixedTrials(2), {5, 5})})[0].stopped), "fixed");
}

TEST(Precision, IntervalsAreByTheMethodAndConfidenceOfTheCampaign) {
  TrialDesign design = FixedTrials(10);
  const std::vector<int64_t> losses = {0, 0, 0, 0, 0, 0, 0, 0, 0, 900};
  const double student = Summarize({Adaptive(design, losses)})[0].ci_low;
  design.confidence = 0.8;
  EXPECT_GT(Summarize({Adaptive(design, losses)})[0].ci_low, student);
  design.interval = IntervalMethod::kBca;
  const CellSummary bca = Summarize({Adaptive(design, losses)})[0];
  EXPECT_LE(bca.ci_high, 90) << "bootstrap means do not leave the sample";
  design.interval = IntervalMethod::kBernstein;
  const CellSummary bernstein = Summarize({Adaptive(design, losses)})[0];
  EXPECT_EQ(bernstein.ci_low, 0) << "accuracy keeps its bounds";
  EXPECT_EQ(bernstein.ci_high, 100);
}

TEST(Inferences, AreNotCountedOfTrialsWithoutAFlipOrWithTheFaultsOfALowerRate) {
  std::vector<CellResult> cells(3, Cell("model", "model", {1, 2, 3}));
  for (int i = 0; i < 3; ++i) {
    cells[i].key.ber = 1e-6 * (3 - i);  // in any order
    for (TrialResult& trial : cells[i].trials) {
      trial.faults_digest = absl::StrCat("of trial ", trial.trial);
    }
  }
  cells[0].trials[1].faults_digest = "more";  // the highest rate
  cells[2].trials[0].flips = 0;               // the lowest
  cells[2].trials[0].faults_digest = "none";
  const auto s = Summarize(cells);
  EXPECT_EQ(s[2].inferences, 2000);
  EXPECT_EQ(s[1].inferences, 1000);
  EXPECT_EQ(s[0].inferences, 1000);
  cells[1].key.target = "other";
  EXPECT_EQ(Summarize(cells)[1].inferences, 3000);
}

TEST(Inferences, AreNotCountedAgainWhereASchemeLeavesWhatItLeftAtAMuchLowerRate) {
  std::vector<CellResult> cells(3, Cell("model", "model", {1, 2, 3}));
  for (int i = 0; i < 3; ++i) {
    cells[i].key.ber = 1e-6 * (i + 1);
    cells[i].trials[0].faults_digest = i == 1 ? "two flips" : "one flip";
  }
  const auto s = Summarize(cells);
  EXPECT_EQ(s[0].inferences, 3000);
  EXPECT_EQ(s[1].inferences, 1000);
  EXPECT_EQ(s[2].inferences, 0);
}

TEST(CellsJson, HasTheFiguresOfTheCsv) {
  const auto json = nlohmann::ordered_json::parse(CellsJson({Cell("model", "model", {7})}, {}));
  ASSERT_EQ(json.size(), 1u);
  std::vector<std::string> names;
  for (const auto& [name, value] : json[0].items()) {
    names.push_back(name);
  }
  EXPECT_EQ(names, std::vector<std::string>(absl::StrSplit(Lines(CellsCsv({}, {})).at(0), ',')));
  EXPECT_EQ(json[0]["model"], "vit");
  EXPECT_EQ(json[0]["top1_mean"], 89.3);
  EXPECT_TRUE(json[0]["top1_std"].is_null());
  EXPECT_EQ(CellsJson({}, {}), "[]\n");
}

TEST(CellsTable, IsAligned) {
  CellResult second = Cell("block", "blocks.11", {100, 200, 300});
  second.key.model = "vit_lar\xC3\xA9";
  EXPECT_EQ(CellsTable({Cell("model", "model", {7}), second}, {}),
            "model     format  granularity  target          BER  trials  top-1 %    95% interval  "
            "loss pp  SDC %  DUE %\n"
            "vit       int8    model        model      1.00e-06       1    89.30               -  "
            "   0.70   1.40   0.00\n"
            "vit_lar\xC3\xA9  int8    block        blocks.11  1.00e-06       3    70.00  "
            "[45.16, 94.84]    20.00  40.00   0.00\n");
}

// Whichever cells have trials yet.
TEST(CellsTable, NamesTheCampaignsConfidence) {
  Derivation derivation;
  derivation.confidence = 0.8;
  EXPECT_THAT(CellsTable({Cell("model", "model", {}), Cell("block", "blocks.0", {7})}, derivation),
              HasSubstr("80% interval"));
}

TEST(CellsTable, NamesCannotCommandTheTerminal) {
  CellResult cell = Cell("model", "model", {7});
  cell.key.model = "\x1b[2J";
  EXPECT_THAT(CellsTable({cell}, {}), HasSubstr("?[2J"));
}

TEST(CellsCsv, FiftyThousandCellsTakeLessThanTwelveSeconds) {
  std::vector<CellResult> cells;
  for (int i = 0; i < 50'000; ++i) {  // 12 blocks at 347 rates
    cells.push_back(Cell("head", absl::StrCat("blocks.", i / 12 % 12, ".attn.h", i % 12),
                         {1, 5, 3, 8, 2, 9, 4, 7, 6, i % 100}, 1e-6 * (1 + i / 144)));
  }
  const std::clock_t start =
      std::clock();  // processor time: other work on the machine does not count
  const std::string csv = CellsCsv(cells, {});
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  RecordProperty("seconds", absl::StrCat(seconds));
  EXPECT_THAT(Lines(csv), SizeIs(50'001));
  EXPECT_LT(seconds, kSanitized ? 120 : 12);
}

}  // namespace
}  // namespace bitquake
