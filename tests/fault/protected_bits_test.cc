#include "common/fault/protected_bits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fault/vit_surface.h"

namespace bitquake {
namespace {

using testing::HasSubstr;

constexpr NumberFormat kInt8 = {NumberFormat::Kind::kInt, 8};
constexpr int kQkv0 = 3;  // blocks.0.attn.qkv.weight of VitSurface: 96 rows of 32

FaultModel::Protected Named(const std::string& target, int top = 0) { return {target, "", top}; }

absl::StatusOr<ProtectedBits> Find(const std::vector<FaultModel::Protected>& protect) {
  static const Surface& surface = *new Surface(VitSurface());
  return ProtectedBits::Find(surface, protect, kInt8);
}

// The bits that an entry protects, counted one word at a time.
int64_t Count(const std::vector<FaultModel::Protected>& protect) {
  const absl::StatusOr<ProtectedBits> bits = Find(protect);
  EXPECT_TRUE(bits.ok()) << bits.status();
  int64_t sum = 0;
  const Surface surface = VitSurface();
  for (size_t tensor = 0; tensor < surface.size() && bits.ok(); ++tensor) {
    for (int64_t word = 0; word < surface[tensor].words(); ++word) {
      sum += __builtin_popcount(bits->Of(static_cast<int>(tensor), word) & 0xFF);
    }
  }
  return sum;
}

Target Whole(Granularity::Kind kind, const std::string& name) {
  Granularity granularity;
  granularity.kind = kind;
  std::vector<Target> targets = ExpandTargets(VitSurface(), granularity, kInt8).value();
  for (Target& target : targets) {
    if (target.name == name) {
      return target;
    }
  }
  ADD_FAILURE() << "no target " << name;
  return {};
}

TEST(ProtectedBits, NamesAreThoseOfEveryGranularity) {
  constexpr int64_t kBlock = 12 * 32 * 32 * 8;  // bits
  EXPECT_EQ(Count({Named("blocks.3")}), kBlock);
  EXPECT_EQ(Count({Named("blocks.3.mlp")}), 8 * 32 * 32 * 8);
  EXPECT_EQ(Count({Named("attention")}), 12 * 4 * 32 * 32 * 8);
  EXPECT_EQ(Count({Named("q")}), 12 * 32 * 32 * 8);
  EXPECT_EQ(Count({Named("blocks.3.v")}), 32 * 32 * 8);
  EXPECT_EQ(Count({Named("blocks.0.attn.h2")}), 3 * 8 * 32 * 8);
  EXPECT_EQ(Count({Named("blocks.0.attn.h2.k")}), 8 * 32 * 8);
  EXPECT_EQ(Count({Named("head.weight")}), 10 * 32 * 8);
  EXPECT_EQ(Count({Named("head")}), 10 * 32 * 8);
  EXPECT_EQ(Count({Named("model")}),
            Count({Named("embed"), Named("head"), Named("attention"), Named("mlp")}));
}

TEST(ProtectedBits, MayBeSomeBitsOfEachWord) {
  EXPECT_EQ(Count({Named("blocks.3", 2)}), 12 * 32 * 32 * 2);
  EXPECT_EQ(Count({Named("blocks.3.bit7")}), 12 * 32 * 32);
  EXPECT_EQ(Count({Named("bit0")}) * 8, Count({Named("model")}));
  EXPECT_EQ(Count({{"", "^blocks\\.0\\.mlp", 3}}), 8 * 32 * 32 * 3);
  EXPECT_EQ(Find({Named("blocks.0", 1)})->Of(kQkv0, 5), 0x80u);
  EXPECT_EQ(Find({Named("blocks.0.bit2")})->Of(kQkv0, 5), 0x04u);
}

TEST(ProtectedBits, OverlapsCountOnce) {
  EXPECT_EQ(Count({Named("blocks.3"), Named("blocks.3.q"), Named("blocks.3", 4)}),
            Count({Named("blocks.3")}));
  EXPECT_EQ(Count({Named("blocks.0.attn.h1", 1), Named("blocks.0.q", 2)}),
            3 * 8 * 32 + 32 * 32 * 2 - 8 * 32);
  const absl::StatusOr<ProtectedBits> bits =
      Find({Named("blocks.0.q.bit0"), Named("blocks.0.attn.h1", 1)});
  EXPECT_EQ(bits->Of(kQkv0, 0), 0x01u);
  EXPECT_EQ(bits->Of(kQkv0, 8 * 32), 0x81u);       // q of head 1
  EXPECT_EQ(bits->Of(kQkv0, 16 * 32), 0x01u);      // q of head 2
  EXPECT_EQ(bits->Of(kQkv0, 40 * 32), 0x80u);      // k of head 1
  EXPECT_EQ(bits->Of(kQkv0, 96 * 32 - 1), 0x00u);  // v of head 3
}

TEST(ProtectedBits, AreCutFromTargets) {
  const Target model = Whole(Granularity::Kind::kModel, "model");
  const Target block = Whole(Granularity::Kind::kBlock, "blocks.0");
  for (const auto& protect : std::vector<std::vector<FaultModel::Protected>>{
           {Named("blocks.0.attn.h1", 1), Named("blocks.0.q", 2)},
           {Named("mlp")},
           {Named("bit7")}}) {
    const ProtectedBits bits = *Find(protect);
    EXPECT_EQ(BitsAt(bits.Without(model), 0xFF), BitsAt(model, 0xFF) - Count(protect));
    const Target left = bits.Without(block);
    for (const WordRange& range : left.ranges) {
      for (int64_t word = range.first; word < range.first + range.count; ++word) {
        EXPECT_EQ(range.positions & 0xFF, ~bits.Of(range.tensor, word) & 0xFF);
      }
    }
  }
  EXPECT_TRUE(Find({Named("blocks.0")})->Without(block).ranges.empty());
  EXPECT_EQ(Find({Named("blocks.1")})->Without(block).words(), block.words());
  EXPECT_EQ(Find({})->Without(block).words(), block.words());
  Target sign = block;
  sign.positions = 0x80;
  EXPECT_TRUE(Find({Named("blocks.0", 1)})->Without(sign).ranges.empty());
}

TEST(ProtectedBits, AreCutFromFlips) {
  FaultList flips;
  flips.tensors = {{kQkv0, {{0, 0x81}, {1, 0x80}}}, {kQkv0 + 1, {{7, 0xFF}}}};
  const FaultList left = Find({Named("blocks.0.q", 1)})->Without(flips);
  ASSERT_EQ(left.tensors.size(), 2u);
  EXPECT_THAT(left.tensors[0].faults, testing::ElementsAre(WordFault{0, 0x01}));
  EXPECT_THAT(left.tensors[1].faults, testing::ElementsAre(WordFault{7, 0xFF}));
}

TEST(ProtectedBits, AnUnknownNameIsAnErrorWithNearOnes) {
  const absl::Status status = Find({Named("block.3")}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("no target 'block.3'"));
  EXPECT_THAT(status.message(), HasSubstr("blocks.3"));
  EXPECT_EQ(Find({Named("blocks.12")}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Find({Named("blocks.3.bit8")}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Find({Named("rabbit7")}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Find({{"", "nowhere", 0}}).status().message(), HasSubstr("protect: "));
}

TEST(ProtectedBits, ANameOfTwoTargetsIsAnError) {
  Surface surface = VitSurface();
  surface.push_back({"q", {4, 4}, "", Part::kHead, std::nullopt});
  const absl::Status status = ProtectedBits::Find(surface, {Named("q")}, kInt8).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("'q' is a target of tensor and of type"));
}

}  // namespace
}  // namespace bitquake
