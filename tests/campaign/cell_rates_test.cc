#include "common/campaign/cell_rates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bitquake {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr NumberFormat kInt8 = {NumberFormat::Kind::kInt, 8};

// Two blocks of 100 words, and a head of 50.
Surface SmallSurface() {
  return {{"blocks.0.mlp.fc1.weight", {10, 10}, "blocks.0", Part::kMlp, std::nullopt},
          {"blocks.1.mlp.fc1.weight", {10, 10}, "blocks.1", Part::kMlp, std::nullopt},
          {"head.weight", {5, 10}, "", Part::kHead, std::nullopt}};
}

// The rates of each target of the granularity, one after the other.
absl::StatusOr<std::vector<double>> Rates(const Campaign& campaign,
                                          const Granularity& granularity) {
  const Surface surface = SmallSurface();
  const absl::StatusOr<CellRates> rates =
      CellRates::Make(campaign, campaign.faults[0], surface, kInt8);
  if (!rates.ok()) {
    return rates.status();
  }
  std::vector<double> all;
  const std::vector<Target> targets = ExpandTargets(surface, granularity, kInt8).value();
  for (const Target& target : targets) {
    const absl::StatusOr<std::vector<double>> own = rates->Of(granularity, target);
    if (!own.ok()) {
      return own.status();
    }
    all.insert(all.end(), own->begin(), own->end());
  }
  return all;
}

Granularity Of(Granularity::Kind kind) {
  Granularity granularity;
  granularity.kind = kind;
  return granularity;
}

TEST(CellRates, AreTheGranularitysOwnOrTheCampaigns) {
  Campaign campaign;
  campaign.ber = {1e-6, 1e-3};
  EXPECT_THAT(*Rates(campaign, {}), ElementsAre(1e-6, 1e-3));
  Granularity block = Of(Granularity::Kind::kBlock);
  block.ber = {0.5};
  EXPECT_THAT(*Rates(campaign, block), ElementsAre(0.5, 0.5));
}

TEST(CellRates, OfACountAreItsShareOfTheBits) {
  Campaign campaign;
  campaign.faults[0].sampling = FaultModel::Sampling::kCount;
  campaign.faults[0].count = 4;
  EXPECT_THAT(*Rates(campaign, {}), ElementsAre(4 / 2000.0));
  EXPECT_THAT(*Rates(campaign, Of(Granularity::Kind::kTensor)),
              ElementsAre(4 / 800.0, 4 / 800.0, 4 / 400.0));
  Granularity sign = Of(Granularity::Kind::kBlock);
  sign.positions = {7};
  EXPECT_THAT(*Rates(campaign, sign), ElementsAre(4 / 100.0, 4 / 100.0));
  campaign.faults[0].positions = {6, 7};
  EXPECT_THAT(*Rates(campaign, {}), ElementsAre(4 / 500.0));
}

TEST(CellRates, OfACountThatATargetCannotHoldAreAnError) {
  Campaign campaign;
  campaign.faults[0].sampling = FaultModel::Sampling::kCount;
  campaign.faults[0].count = 400;
  EXPECT_THAT(*Rates(campaign, Of(Granularity::Kind::kTensor)), ElementsAre(0.5, 0.5, 1));
  campaign.faults[0].count = 401;
  const absl::Status status = Rates(campaign, Of(Granularity::Kind::kTensor)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("head.weight"));
}

TEST(CellRates, OfAListAreTheListedBitsOfTheTarget) {
  Campaign campaign;
  campaign.faults[0].kind = FaultModel::Kind::kList;
  campaign.faults[0].list = {
      {"blocks.1.mlp.fc1.weight", 3, 7}, {"blocks.1.mlp.fc1.weight", 3, 0}, {"head.weight", 49, 7}};
  EXPECT_THAT(*Rates(campaign, {}), ElementsAre(3 / 2000.0));
  EXPECT_THAT(*Rates(campaign, Of(Granularity::Kind::kTensor)),
              ElementsAre(0, 2 / 800.0, 1 / 400.0));
  Granularity sign = Of(Granularity::Kind::kBit);
  sign.positions = {1, 7};
  EXPECT_THAT(*Rates(campaign, sign), ElementsAre(0, 2 / 250.0));
}

TEST(CellRates, OfAListThatTheModelDoesNotHaveAreAnError) {
  Campaign campaign;
  campaign.faults[0].kind = FaultModel::Kind::kList;
  campaign.faults[0].list = {{"head.wieght", 0, 0}};
  EXPECT_THAT(Rates(campaign, {}).status().message(), HasSubstr("head.weight"));
  campaign.faults[0].list = {{"head.weight", 50, 0}};
  EXPECT_EQ(Rates(campaign, {}).status().code(), absl::StatusCode::kInvalidArgument);
  campaign.faults[0].list = {{"head.weight", 0, 8}};
  EXPECT_EQ(Rates(campaign, {}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(CellRates, CountOnlyBitsThatAreNotProtected) {
  Campaign campaign;
  FaultModel& fault = campaign.faults[0];
  fault.protect = {{"blocks.0", "", 4}, {"head.weight", "", 0}};
  campaign.ber = {1e-3};
  const Surface surface = SmallSurface();
  const CellRates rates = *CellRates::Make(campaign, fault, surface, kInt8);
  const std::vector<Target> tensors =
      *ExpandTargets(surface, Of(Granularity::Kind::kTensor), kInt8);
  ASSERT_EQ(tensors.size(), 3u);
  EXPECT_EQ(rates.BitsOf(tensors[0]), 400);
  EXPECT_EQ(rates.BitsOf(tensors[1]), 800);
  EXPECT_EQ(rates.BitsOf(tensors[2]), 0);
  // A target that is protected whole has its cell: it loses nothing.
  EXPECT_THAT(*Rates(campaign, Of(Granularity::Kind::kTensor)), ElementsAre(1e-3, 1e-3, 1e-3));
  fault.kind = FaultModel::Kind::kList;
  fault.list = {{"blocks.0.mlp.fc1.weight", 3, 7}, {"blocks.0.mlp.fc1.weight", 3, 0}};
  EXPECT_THAT(*Rates(campaign, Of(Granularity::Kind::kTensor)), ElementsAre(1 / 400.0, 0, 0));
  fault.protect = {{"block.0", "", 0}};
  EXPECT_THAT(Rates(campaign, {}).status().message(), HasSubstr("no target 'block.0'"));
}

TEST(CellRates, OfATargetThatNoFaultCanHitAreAnError) {
  Campaign campaign;
  campaign.ber = {1e-3};
  campaign.faults[0].positions = {7};
  EXPECT_THAT(*Rates(campaign, {}), ElementsAre(1e-3));
  EXPECT_EQ(Rates(campaign, Of(Granularity::Kind::kBit)).status().message(),
            "target 'bit0' in int8 has no bit that the fault model can hit; choose other 'bits'");
}

}  // namespace
}  // namespace bitquake
