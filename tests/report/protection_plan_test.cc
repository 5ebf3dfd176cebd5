#include "common/report/protection_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace bitquake {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kImages = 1000;

class Cells {
 public:
  // Images lost in each trial, of 1000.
  Cells& Add(const std::string& granularity, const std::string& target, int64_t bits,
             std::vector<int64_t> lost, double ber = 1e-2) {
    CellResult cell;
    cell.key = {"c", "vit", "int8", "bit_flip", granularity, target, ber};
    cell.bits = bits;
    cell.number = static_cast<int64_t>(cells.size());
    for (size_t i = 0; i < lost.size(); ++i) {
      TrialResult trial;
      trial.trial = static_cast<uint32_t>(i);
      trial.images = kImages;
      trial.golden_top1 = 900;
      trial.top1 = 900 - lost[i];
      cell.trials.push_back(trial);
    }
    cells.push_back(std::move(cell));
    return *this;
  }

  std::vector<CellResult> cells;
};

Cells Tensors() {
  return Cells()
      .Add("model", "model", 1000, {200, 220})
      .Add("tensor", "a", 100, {40, 60})  // 5 pp
      .Add("tensor", "b", 300, {60, 60})  // 6 pp
      .Add("tensor", "c", 200, {20, 40})  // 3 pp
      .Add("tensor", "d", 400, {-9, 3});  // none
}

ProtectionQuestion At(double ber) {
  ProtectionQuestion question;
  question.ber = ber;
  return question;
}

std::vector<std::string> Names(const std::vector<ProtectedPart>& parts) {
  std::vector<std::string> names;
  for (const ProtectedPart& part : parts) {
    std::string name = part.target;
    for (const int position : part.positions) {
      absl::StrAppend(&name, ".", position);
    }
    names.push_back(name);
  }
  return names;
}

std::string ErrorOf(const Cells& cells, const ProtectionQuestion& question) {
  const absl::StatusOr<ProtectionPlan> plan = ProtectionPlan::Make(cells.cells, question);
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kInvalidArgument) << plan.status();
  return std::string(plan.status().message());
}

TEST(ProtectionPlan, TheSmallestSetThatKeepsTheSumUnderTheLimit) {
  const auto plan = ProtectionPlan::Make(Tensors().cells, At(1e-2));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->model_bits(), 1000);
  EXPECT_EQ(plan->trials(), 2);
  EXPECT_EQ(plan->unprotected().mean, 21);
  const auto smallest = [&](double limit) { return SmallestPredicted(*plan, {limit}); };
  EXPECT_THAT(Names(plan->parts(0)), IsEmpty());
  EXPECT_EQ(plan->bits(0), 0);
  // All four add up to 14, but the model loses 21.
  EXPECT_THAT(Names(plan->parts(smallest(14))), ElementsAre("a"));
  EXPECT_THAT(Names(plan->parts(smallest(9))), ElementsAre("a"));
  EXPECT_THAT(Names(plan->parts(smallest(8.9))), ElementsAre("a", "c"));
  EXPECT_THAT(Names(plan->parts(smallest(5.9))), ElementsAre("a", "b"));
  EXPECT_THAT(Names(plan->parts(smallest(2))), ElementsAre("a", "b", "c"));
  EXPECT_EQ(plan->bits(smallest(2)), 600);
  EXPECT_EQ(plan->predicted(smallest(8.9)).mean, 6);
}

TEST(ProtectionPlan, TheIntervalMayHaveToHold) {
  const auto plan = ProtectionPlan::Make(Tensors().cells, At(1e-2));
  ASSERT_TRUE(plan.ok());
  // Only b loses the same in both trials: what is left without a, c and d is 6 pp for sure.
  const size_t set = SmallestPredicted(*plan, {10, /*surely=*/true});
  EXPECT_TRUE(Holds(plan->predicted(set), {10, /*surely=*/true}));
  EXPECT_FALSE(Holds(plan->predicted(set - 1), {10, /*surely=*/true}));
  EXPECT_GT(set, SmallestPredicted(*plan, {10}));
}

TEST(ProtectionPlan, GoesOnToEverything) {
  const auto plan = ProtectionPlan::Make(Tensors().cells, At(1e-2));
  ASSERT_TRUE(plan.ok());
  for (size_t set = 1; set < plan->sets(); ++set) {
    EXPECT_GT(plan->bits(set), plan->bits(set - 1));
    EXPECT_LE(plan->predicted(set).mean, plan->predicted(set - 1).mean);
  }
  EXPECT_EQ(plan->bits(plan->sets() - 1), 1000);
  EXPECT_THAT(Names(plan->parts(plan->sets() - 1)), ElementsAre("a", "b", "c", "d"));
}

TEST(ProtectionPlan, TheIntervalIsOfTrialByTrialSums) {
  const auto plan = ProtectionPlan::Make(Tensors().cells, At(1e-2));
  ASSERT_TRUE(plan.ok());
  // Of all four: 11.1 and 16.3 pp; half-width t(1) * sd / sqrt 2 = 12.706 * 2.6.
  const Loss all = plan->predicted(0);
  EXPECT_EQ(all.mean, 14);
  EXPECT_NEAR(all.interval.high - all.mean, 12.7062 * 2.6, 1e-3);
  EXPECT_NEAR(all.mean - all.interval.low, 12.7062 * 2.6, 1e-3);
}

TEST(ProtectionPlan, UsesTheTrialsThatAllHave) {
  Cells cells = Tensors();
  cells.cells[1].trials.push_back(cells.cells[1].trials[0]);
  cells.cells[1].trials.back().trial = 2;
  cells.cells[1].trials.back().top1 = 0;
  const auto plan = ProtectionPlan::Make(cells.cells, At(1e-2));
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->predicted(0).mean, 14);
  cells.cells[2].trials.pop_back();
  EXPECT_THAT(ErrorOf(cells, At(1e-2)), HasSubstr("1 trials in common"));
}

Cells Bits() {
  return Cells()
      .Add("model", "model", 800, {200, 220})
      .Add("tensor", "a", 480, {1, 1})
      .Add("tensor", "b", 320, {1, 1})
      .Add("tensor", "a.bit7", 240, {50, 50})
      .Add("tensor", "a.bit6", 240, {20, 20})
      .Add("tensor", "b.bit6", 160, {0, 0})
      .Add("tensor", "b.bit7", 160, {60, 60});
}

TEST(ProtectionPlan, MayBeOfTopBits) {
  ProtectionQuestion question = At(1e-2);
  question.by_bits = true;
  const auto plan = ProtectionPlan::Make(Bits().cells, question);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(Names(plan->parts(SmallestPredicted(*plan, {7}))), ElementsAre("b.7"));
  EXPECT_THAT(Names(plan->parts(SmallestPredicted(*plan, {2}))), ElementsAre("a.7", "b.7"));
  EXPECT_THAT(Names(plan->parts(SmallestPredicted(*plan, {0}))), ElementsAre("a", "b.7"));
  EXPECT_EQ(plan->bits(SmallestPredicted(*plan, {2})), 400);
}

TEST(ProtectionPlan, BitPositionsOfTheModelAreOneTarget) {
  ProtectionQuestion question = At(1e-2);
  question.by_bits = true;
  const auto plan = ProtectionPlan::Make(Cells()
                                             .Add("model", "model", 300, {200, 220})
                                             .Add("bit", "bit5", 100, {0, 0})
                                             .Add("bit", "bit6", 100, {20, 20})
                                             .Add("bit", "bit7", 100, {50, 50})
                                             .cells,
                                         question);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(Names(plan->parts(SmallestPredicted(*plan, {2}))), ElementsAre("model.7"));
  EXPECT_THAT(Names(plan->parts(SmallestPredicted(*plan, {1}))), ElementsAre("model.7.6"));
}

TEST(ProtectionPlan, ChoosesTheOnlyGranularityThatMakesUpTheModel) {
  Cells cells = Tensors();
  cells.Add("block", "blocks.0", 900, {5, 5});
  const auto plan = ProtectionPlan::Make(cells.cells, At(1e-2));
  ASSERT_TRUE(plan.ok());
  EXPECT_THAT(plan->question().granularities, ElementsAre("tensor"));
  cells.Add("part", "mlp", 1000, {5, 5});
  EXPECT_THAT(ErrorOf(cells, At(1e-2)), HasSubstr("choose by --granularity"));
  ProtectionQuestion question = At(1e-2);
  question.granularities = {"part"};
  EXPECT_TRUE(ProtectionPlan::Make(cells.cells, question).ok());
  question.granularities = {"block"};
  EXPECT_THAT(ErrorOf(cells, question), HasSubstr("block has 900 of 1000 bits"));
}

TEST(ProtectionPlan, SeveralGranularitiesMayMakeUpTheModelTogether) {
  const Cells cells = Cells()
                          .Add("model", "model", 1000, {20, 22})
                          .Add("block", "blocks.0", 900, {5, 5})
                          .Add("regex", "rest", 100, {50, 50});
  const auto plan = ProtectionPlan::Make(cells.cells, At(1e-2));
  ASSERT_TRUE(plan.ok()) << plan.status();
  const std::vector<ProtectedPart> parts = plan->parts(SmallestPredicted(*plan, {1}));
  EXPECT_THAT(Names(parts), ElementsAre("rest"));
  EXPECT_EQ(parts[0].granularity, "regex");
}

TEST(ProtectionPlan, NeverExtrapolates) {
  EXPECT_THAT(ErrorOf(Tensors(), At(1e-3)), HasSubstr("has no BER 0.001; it has 0.01"));
  EXPECT_TRUE(ProtectionPlan::Make(Tensors().cells, At(0.0100000001)).ok());
  Cells without_model = Tensors();
  without_model.cells.erase(without_model.cells.begin());
  EXPECT_THAT(ErrorOf(without_model, At(1e-2)), HasSubstr("no cell of the whole model"));
  Cells incomplete = Tensors();
  incomplete.cells.pop_back();
  EXPECT_THAT(ErrorOf(incomplete, At(1e-2)), HasSubstr("do not make up the model"));
  ProtectionQuestion question = At(1e-2);
  question.by_bits = true;
  EXPECT_THAT(ErrorOf(Tensors(), question), HasSubstr("no bit positions of targets"));
  question = At(1e-2);
  question.format = "int4";
  EXPECT_THAT(ErrorOf(Tensors(), question), HasSubstr("no format 'int4'; it has int8"));
  EXPECT_THAT(ErrorOf(Cells().Add("model", "model", 10, {1, 2}), At(1e-2)),
              HasSubstr("no targets at this BER but the whole model"));
  EXPECT_THAT(ErrorOf(Cells().Add("model", "model", 10, {1}).Add("tensor", "a", 10, {1}), At(1e-2)),
              HasSubstr("at least 2"));
}

TEST(ProtectionPlan, AsksWhichOfSeveral) {
  Cells cells = Tensors();
  cells.cells[0].key.fault = "bit_flip + secded";
  EXPECT_THAT(ErrorOf(cells, At(1e-2)), HasSubstr("several faults: bit_flip, bit_flip + secded"));
  EXPECT_THAT(ErrorOf(cells, At(1e-2)), HasSubstr("--fault"));
}

TEST(Holds, IsOfTheMeanOrOfTheWholeInterval) {
  const Loss loss = {0.9, {0.5, 1.3}};
  EXPECT_TRUE(Holds(loss, {0.9}));
  EXPECT_FALSE(Holds(loss, {0.8}));
  EXPECT_FALSE(Holds(loss, {0.9, /*surely=*/true}));
  EXPECT_TRUE(Holds(loss, {1.3, /*surely=*/true}));
}

}  // namespace
}  // namespace bitquake
