#include "common/report/protection_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_cat.h"

namespace bitquake {
namespace {

using testing::HasSubstr;

constexpr int kTargets = 40;

CellResult Cell(const std::string& granularity, const std::string& target, int64_t bits,
                int64_t lost) {
  CellResult cell;
  cell.key = {"c", "vit", "int8", "bit_flip", granularity, target, 1e-2};
  cell.bits = bits;
  for (uint32_t number = 0; number < 2; ++number) {
    TrialResult trial;
    trial.trial = number;
    trial.images = 1000;
    trial.golden_top1 = 900;
    trial.top1 = 900 - lost;
    cell.trials.push_back(trial);
  }
  return cell;
}

// 40 targets of 10 bits, which lose 0.1 pp each; set n protects n of them.
ProtectionPlan MakePlan() {
  std::vector<CellResult> cells = {Cell("model", "model", 10 * kTargets, 300)};
  for (int i = 0; i < kTargets; ++i) {
    cells.push_back(Cell("tensor", absl::StrCat("t", i), 10, 1));
  }
  ProtectionQuestion question;
  question.ber = 1e-2;
  return ProtectionPlan::Make(cells, question).value();
}

// What measuring finds if sets of at least `smallest` targets lose 1 pp, and smaller ones 2.
struct Truth {
  size_t smallest;
  std::vector<size_t> measured = {};

  absl::StatusOr<Confirmation> Find(const ProtectionPlan& plan, int64_t most = 100) {
    return Confirm(plan, {1.55, /*surely=*/false}, most,
                   [&](size_t set) -> absl::StatusOr<CellResult> {
                     measured.push_back(set);
                     return Cell("model", "model", plan.model_bits() - plan.bits(set),
                                 set >= smallest ? 10 : 20);
                   });
  }
};

TEST(Confirm, FindsTheSmallestSetThatHoldsWhereverItIs) {
  const ProtectionPlan plan = MakePlan();
  ASSERT_EQ(plan.sets(), kTargets + 1u);
  ASSERT_EQ(SmallestPredicted(plan, {1.55}), 25u);
  for (size_t smallest = 1; smallest <= kTargets; ++smallest) {
    Truth truth{smallest};
    const auto found = truth.Find(plan);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(found->set, smallest);
    EXPECT_TRUE(found->smallest);
    EXPECT_EQ(found->campaigns, static_cast<int64_t>(truth.measured.size()));
    EXPECT_LE(found->campaigns, 11);
    EXPECT_EQ(std::set<size_t>(truth.measured.begin(), truth.measured.end()).size(),
              truth.measured.size())
        << "each once";
  }
}

TEST(Confirm, ARightPredictionTakesTwoCampaigns) {
  Truth truth{25};
  const auto found = truth.Find(MakePlan());
  ASSERT_TRUE(found.ok());
  EXPECT_THAT(truth.measured, testing::ElementsAre(25, 24));
  EXPECT_EQ(found->loss.mean, 1);
  EXPECT_EQ(found->trials, 2);
}

TEST(Confirm, ProtectingEverythingHoldsUnmeasured) {
  Truth truth{1000};
  const auto found = truth.Find(MakePlan());
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->set, size_t{kTargets});
  EXPECT_EQ(found->loss.mean, 0);
  EXPECT_EQ(found->trials, 0);
  EXPECT_THAT(truth.measured, testing::Not(testing::Contains(kTargets)));
}

TEST(Confirm, StopsAtTheMostCampaigns) {
  Truth down{1};
  auto found = down.Find(MakePlan(), 3);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(down.measured.size(), 3u);
  EXPECT_FALSE(found->smallest);
  EXPECT_EQ(found->set, down.measured.back());
  Truth up{38};
  found = up.Find(MakePlan(), 2);
  EXPECT_EQ(found.status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(Confirm, RefusesACampaignThatHitOtherBits) {
  const ProtectionPlan plan = MakePlan();
  const auto found = Confirm(plan, {1.5, false}, 9, [&](size_t set) -> absl::StatusOr<CellResult> {
    return Cell("model", "model", plan.model_bits() - plan.bits(set) + 1, 0);
  });
  EXPECT_EQ(found.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(found.status().message(), HasSubstr("overlap"));
}

TEST(Confirm, SurelyAsksForTheWholeInterval) {
  const ProtectionPlan plan = MakePlan();
  const auto measure = [&](size_t set) -> absl::StatusOr<CellResult> {
    CellResult cell = Cell("model", "model", plan.model_bits() - plan.bits(set), 10);
    cell.trials[0].top1 -= set < 30 ? 5 : 0;  // 1.25 pp [-1.9, 4.4]
    return cell;
  };
  EXPECT_EQ(Confirm(plan, {1.5, /*surely=*/false}, 99, measure)->set, 1u);
  EXPECT_EQ(Confirm(plan, {1.5, /*surely=*/true}, 99, measure)->set, 30u);
}

}  // namespace
}  // namespace bitquake
