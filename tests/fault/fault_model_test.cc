#include "common/fault/fault_model.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bitquake {
namespace {

using ::testing::HasSubstr;
using Kind = FaultModel::Kind;
using Sampling = FaultModel::Sampling;

constexpr NumberFormat kInt8 = {NumberFormat::Kind::kInt, 8};
constexpr NumberFormat kFp32;

FaultModel Model(Kind kind, Sampling sampling = Sampling::kBernoulli) {
  FaultModel model;
  model.kind = kind;
  model.sampling = sampling;
  model.burst_length = 2;
  return model;
}

void ExpectRefused(const FaultModel& model, const char* why) {
  const absl::Status status = CheckFaultModel(model, kInt8);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << why;
  EXPECT_THAT(status.message(), HasSubstr(why));
}

TEST(FaultModel, IsNamedAsInResults) {
  EXPECT_EQ(FaultModel().Name(), "bit_flip");
  EXPECT_EQ(Model(Kind::kStuckAt0).Name(), "stuck_at_0");
  EXPECT_EQ(Model(Kind::kStuckAt1).Name(), "stuck_at_1");
  EXPECT_EQ(Model(Kind::kBurst).Name(), "burst");
  EXPECT_EQ(Model(Kind::kWord).Name(), "word");
  EXPECT_EQ(Model(Kind::kList).Name(), "list");
}

TEST(FaultModel, PositionsAreThoseOfTheFormat) {
  FaultModel model;
  model.positions = {0, 7};
  EXPECT_TRUE(CheckFaultModel(model, kInt8).ok());
  model.positions = {0, 8};
  ExpectRefused(model, "fault position 8 is not one of int8, whose words have bits 0 to 7");
  EXPECT_TRUE(CheckFaultModel(model, kFp32).ok());
  model.positions = {-1};
  ExpectRefused(model, "fault position -1");
}

TEST(FaultModel, ABurstFitsTheWord) {
  FaultModel model = Model(Kind::kBurst);
  for (const int length : {1, 8}) {
    model.burst_length = length;
    EXPECT_TRUE(CheckFaultModel(model, kInt8).ok()) << length;
  }
  for (const int length : {-1, 0, 9}) {
    model.burst_length = length;
    ExpectRefused(model, "does not fit int8");
  }
}

TEST(FaultModel, ListedBitsAreThoseOfTheFormat) {
  FaultModel model = Model(Kind::kList);
  model.list = {{"w", 0, 7}, {"w", 3, 8}};
  ExpectRefused(model, "fault list, entry 2: bit 8 of w is not one of int8");
  EXPECT_TRUE(CheckFaultModel(model, kFp32).ok());
}

TEST(FaultModel, AFixedNumberIsOfSingleBits) {
  for (const Sampling sampling : {Sampling::kExact, Sampling::kCount}) {
    for (const Kind kind : {Kind::kBitFlip, Kind::kStuckAt0, Kind::kStuckAt1}) {
      EXPECT_TRUE(CheckFaultModel(Model(kind, sampling), kInt8).ok());
    }
    for (const Kind kind : {Kind::kBurst, Kind::kWord, Kind::kList}) {
      ExpectRefused(Model(kind, sampling), "takes no sampling but bernoulli");
    }
  }
  FaultModel model = Model(Kind::kBitFlip, Sampling::kCount);
  model.count = -1;
  ExpectRefused(model, "fault count is -1");
}

}  // namespace
}  // namespace bitquake
