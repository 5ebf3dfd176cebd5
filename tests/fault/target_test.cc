#include "common/fault/target.h"

#include <algorithm>
#include <set>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fault/family_surfaces.h"

namespace bitquake {

void PrintTo(const WordRange& range, std::ostream* out) {
  *out << range.tensor << ":" << range.first << "+" << range.count;
}

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Kind = Granularity::Kind;

constexpr NumberFormat kInt8 = {NumberFormat::Kind::kInt, 8};

MATCHER_P3(Range, tensor, first, count, "") {
  return arg.tensor == tensor && arg.first == first && arg.count == count;
}

std::vector<Target> Expand(const Surface& surface, const Granularity& granularity) {
  absl::StatusOr<std::vector<Target>> targets = ExpandTargets(surface, granularity, kInt8);
  EXPECT_TRUE(targets.ok()) << targets.status();
  return targets.value_or(std::vector<Target>());
}

std::vector<std::string> Names(const std::vector<Target>& targets) {
  std::vector<std::string> names;
  for (const Target& target : targets) names.push_back(target.name);
  return names;
}

// Every word of the targets, counting how often each occurs.
using Words = std::multiset<std::pair<int, int64_t>>;
Words WordsOf(const std::vector<Target>& targets) {
  Words words;
  for (const Target& target : targets) {
    for (const WordRange& range : target.ranges) {
      for (int64_t i = 0; i < range.count; ++i) words.insert({range.tensor, range.first + i});
    }
  }
  return words;
}

Words WordsOfTensors(const Surface& surface, bool (*chosen)(const SurfaceTensor&)) {
  Words words;
  for (int tensor = 0; tensor < static_cast<int>(surface.size()); ++tensor) {
    if (!chosen(surface[tensor])) continue;
    for (int64_t i = 0; i < surface[tensor].words(); ++i) words.insert({tensor, i});
  }
  return words;
}

TEST(Target, ModelIsEveryWordOnce) {
  const Surface surface = VitSurface();
  const std::vector<Target> targets = Expand(surface, {});
  EXPECT_THAT(Names(targets), ElementsAre("model"));
  EXPECT_EQ(targets[0].granularity, "model");
  EXPECT_EQ(WordsOf(targets), WordsOfTensors(surface, [](const auto&) { return true; }));
  EXPECT_EQ(targets[0].words(), static_cast<int64_t>(WordsOf(targets).size()));
}

TEST(Target, TensorsPartitionTheModel) {
  const Surface surface = VitSurface(2);
  const std::vector<Target> tensors = Expand(surface, {Kind::kTensor});
  ASSERT_EQ(tensors.size(), surface.size());
  for (size_t i = 0; i < surface.size(); ++i) EXPECT_EQ(tensors[i].name, surface[i].name);
  EXPECT_EQ(WordsOf(tensors), WordsOf(Expand(surface, {Kind::kModel})));
}

TEST(Target, TypesPartitionTheFusedWeights) {
  const Surface surface = VitSurface(3);
  const Words qkv =
      WordsOfTensors(surface, [](const auto& tensor) { return tensor.qkv.has_value(); });
  const std::vector<Target> types = Expand(surface, {Kind::kType});
  EXPECT_THAT(Names(types), ElementsAre("q", "k", "v"));
  EXPECT_EQ(WordsOf(types), qkv);

  const std::vector<Target> per_block = Expand(surface, {Kind::kType, {}, {}, true});
  EXPECT_THAT(Names(per_block),
              ElementsAre("blocks.0.q", "blocks.0.k", "blocks.0.v", "blocks.1.q", "blocks.1.k",
                          "blocks.1.v", "blocks.2.q", "blocks.2.k", "blocks.2.v"));
  EXPECT_EQ(WordsOf(per_block), qkv);
}

TEST(Target, RowsOfAFusedQkvAreTypeThenHead) {
  // D = 4 heads x 8; head 2 of k starts at row 32 + 16.
  const Surface surface = VitSurface(1);
  const std::vector<Target> heads =
      Expand(surface, {Kind::kHead, {}, {QkvType::kV, QkvType::kK, QkvType::kQ}});
  ASSERT_EQ(heads.size(), 12u);
  EXPECT_EQ(heads[7].name, "blocks.0.attn.h2.k");
  EXPECT_THAT(heads[7].ranges, ElementsAre(Range(3, (32 + 16) * 32, 8 * 32)));

  const std::vector<Target> together = Expand(surface, {Kind::kHead});
  EXPECT_THAT(Names(together), ElementsAre("blocks.0.attn.h0", "blocks.0.attn.h1",
                                           "blocks.0.attn.h2", "blocks.0.attn.h3"));
  EXPECT_THAT(together[2].ranges,
              ElementsAre(Range(3, 16 * 32, 8 * 32), Range(3, (32 + 16) * 32, 8 * 32),
                          Range(3, (64 + 16) * 32, 8 * 32)));

  const std::vector<Target> types = Expand(surface, {Kind::kType, {}, {QkvType::kV}});
  EXPECT_THAT(types[0].ranges, ElementsAre(Range(3, 64 * 32, 32 * 32)));
}

TEST(Target, BlocksCanBeChosen) {
  const Surface surface = VitSurface();
  EXPECT_THAT(Names(Expand(surface, {Kind::kBlock, {11, 3, 3}})),
              ElementsAre("blocks.3", "blocks.11"));
  EXPECT_THAT(Names(Expand(surface, {Kind::kTensor, {5}})),
              ElementsAre("blocks.5.attn.qkv.weight", "blocks.5.attn.proj.weight",
                          "blocks.5.mlp.fc1.weight", "blocks.5.mlp.fc2.weight"));
  EXPECT_THAT(Names(Expand(surface, {Kind::kHead, {1}, {QkvType::kQ}})),
              ElementsAre("blocks.1.attn.h0.q", "blocks.1.attn.h1.q", "blocks.1.attn.h2.q",
                          "blocks.1.attn.h3.q"));
  EXPECT_THAT(Names(Expand(surface, {Kind::kType, {2}, {QkvType::kV}, true})),
              ElementsAre("blocks.2.v"));
}

TEST(Target, RangesAreOrderedAndDisjoint) {
  const Surface surface = VitSurface();
  for (Kind kind : {Kind::kModel, Kind::kBlock, Kind::kTensor, Kind::kType, Kind::kHead}) {
    for (const Target& target : Expand(surface, {kind})) {
      for (size_t i = 1; i < target.ranges.size(); ++i) {
        const WordRange& a = target.ranges[i - 1];
        const WordRange& b = target.ranges[i];
        EXPECT_TRUE(a.tensor < b.tensor || (a.tensor == b.tensor && a.first + a.count <= b.first))
            << target.name;
      }
    }
  }
}

TEST(Target, UnknownBlocksNameTheRange) {
  for (int block : {12, -1}) {
    const absl::Status status =
        ExpandTargets(VitSurface(), {Kind::kBlock, {0, block}}, kInt8).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(status.message(), "no block " + std::to_string(block) + "; blocks are 0 to 11");
  }
}

TEST(Target, MatchingNothingIsAnError) {
  Surface surface = VitSurface();
  surface.erase(std::remove_if(surface.begin(), surface.end(),
                               [](const SurfaceTensor& tensor) { return tensor.qkv.has_value(); }),
                surface.end());
  for (Kind kind : {Kind::kType, Kind::kHead}) {
    const absl::Status status = ExpandTargets(surface, {kind}, kInt8).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(status.message(), HasSubstr("no qkv weight"));
  }
  EXPECT_EQ(ExpandTargets(CnnSurface(), {Kind::kPart}, kInt8).status().message(),
            "granularity 'part' matches nothing: the surface has no parts that are known; choose "
            "another granularity");
  for (Kind kind : {Kind::kModel, Kind::kBlock, Kind::kTensor, Kind::kPart, Kind::kBit}) {
    EXPECT_EQ(ExpandTargets({}, {kind}, kInt8).status().code(), absl::StatusCode::kNotFound);
  }
  EXPECT_THAT(ExpandTargets({}, {Kind::kBlock, {0}}, kInt8).status().message(),
              HasSubstr("no blocks"));
}

TEST(Target, FieldsOfOtherGranularitiesAreRefused) {
  const Granularity refused[] = {{Kind::kModel, {1}},
                                 {Kind::kType, {1}},
                                 {Kind::kBlock, {}, {QkvType::kQ}},
                                 {Kind::kHead, {}, {}, true},
                                 {Kind::kPart, {1}},
                                 {Kind::kBit, {1}},
                                 {Kind::kRegex, {1}, {}, false, "x"},
                                 {Kind::kTensor, {}, {}, false, "x"},
                                 {Kind::kModel, {}, {}, false, "", "x"}};
  for (const Granularity& granularity : refused) {
    EXPECT_EQ(ExpandTargets(VitSurface(), granularity, kInt8).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST(Target, BiasesOfTheFusedLayerOnTheSurfaceBelongToTypesAndHeads) {
  Surface surface = VitSurface(1);
  surface.insert(surface.begin() + 4,
                 {"blocks.0.attn.qkv.bias", {96}, "blocks.0", Part::kAttention, FusedQkv{4, 8}});
  EXPECT_THAT(Expand(surface, {Kind::kType, {}, {QkvType::kK}})[0].ranges,
              ElementsAre(Range(3, 32 * 32, 32 * 32), Range(4, 32, 32)));
  const std::vector<Target> heads = Expand(surface, {Kind::kHead, {}, {QkvType::kV}});
  ASSERT_EQ(heads.size(), 4u);
  EXPECT_EQ(heads[1].name, "blocks.0.attn.h1.v");
  EXPECT_THAT(heads[1].ranges, ElementsAre(Range(3, (64 + 8) * 32, 8 * 32), Range(4, 64 + 8, 8)));
}

TEST(Target, PartsFollowTheForwardPass) {
  EXPECT_THAT(Names(Expand(VitSurface(2), {Kind::kPart})),
              ElementsAre("embed", "attention", "mlp", "head"));
  Granularity per_block = {Kind::kPart};
  per_block.per_block = true;
  EXPECT_THAT(
      Names(Expand(VitSurface(2), per_block)),
      ElementsAre("blocks.0.attention", "blocks.0.mlp", "blocks.1.attention", "blocks.1.mlp"));
  per_block.blocks = {1};
  EXPECT_THAT(Names(Expand(VitSurface(2), per_block)),
              ElementsAre("blocks.1.attention", "blocks.1.mlp"));
}

TEST(Target, SwinBlocksCountThroughTheStagesAndKeepTheirNames) {
  const Surface surface = SwinSurface();
  EXPECT_THAT(Names(Expand(surface, {Kind::kBlock, {1, 2}})),
              ElementsAre("layers.0.blocks.1", "layers.1.blocks.0"));
  EXPECT_THAT(Names(Expand(surface, {Kind::kType, {2}, {QkvType::kK}, true})),
              ElementsAre("layers.1.blocks.0.k"));
  const std::vector<Target> heads = Expand(surface, {Kind::kHead, {1, 2}});
  EXPECT_THAT(Names(heads), ElementsAre("layers.0.blocks.1.attn.h0", "layers.0.blocks.1.attn.h1",
                                        "layers.1.blocks.0.attn.h0", "layers.1.blocks.0.attn.h1",
                                        "layers.1.blocks.0.attn.h2", "layers.1.blocks.0.attn.h3"));
  // Each with the width of its stage: 2 x 8 and 4 x 8.
  EXPECT_THAT(heads[1].ranges,
              ElementsAre(Range(7, 8 * 16, 8 * 16), Range(7, (16 + 8) * 16, 8 * 16),
                          Range(7, (32 + 8) * 16, 8 * 16)));
  EXPECT_THAT(heads[5].ranges[2], Range(13, (64 + 24) * 32, 8 * 32));
}

TEST(Target, BitsAreThoseOfTheFormat) {
  const Surface surface = VitSurface(1);
  const std::vector<Target> bits = Expand(surface, {Kind::kBit});
  EXPECT_THAT(Names(bits),
              ElementsAre("bit0", "bit1", "bit2", "bit3", "bit4", "bit5", "bit6", "bit7"));
  EXPECT_EQ(bits[5].positions, 1u << 5);
  EXPECT_EQ(bits[5].granularity, "bit");
  EXPECT_EQ(ExposedBits(bits[5], kInt8, FaultModel()), bits[5].words());
  const NumberFormat fp32;
  EXPECT_EQ(ExpandTargets(surface, {Kind::kBit}, fp32)->size(), 32u);
  EXPECT_EQ(ExpandTargets(surface, {Kind::kBit}, fp32)->back().positions, 1u << 31);

  Granularity chosen = {Kind::kBit};
  chosen.positions = {7, 0, 7};
  EXPECT_THAT(Names(Expand(surface, chosen)), ElementsAre("bit0", "bit7"));
}

TEST(Target, PositionsCombineWithEveryGranularity) {
  Granularity granularity = {Kind::kBlock, {1}};
  granularity.positions = {6, 7};
  const std::vector<Target> targets = Expand(VitSurface(2), granularity);
  EXPECT_THAT(Names(targets), ElementsAre("blocks.1.bit6", "blocks.1.bit7"));
  EXPECT_EQ(targets[1].granularity, "block");
  EXPECT_EQ(targets[1].positions, 1u << 7);
}

TEST(Target, PositionsBeyondTheFormatNameItsWidth) {
  for (const int position : {8, -1}) {
    Granularity granularity = {Kind::kTensor};
    granularity.positions = {0, position};
    const absl::Status status = ExpandTargets(VitSurface(1), granularity, kInt8).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message(),
              "no bit " + std::to_string(position) + " in int8; its bits are 0 to 7");
  }
}

Granularity Regex(std::string pattern, std::string name = "") {
  Granularity granularity = {Kind::kRegex};
  granularity.pattern = std::move(pattern);
  granularity.name = std::move(name);
  return granularity;
}

TEST(Target, RegexIsOneTargetOfAllThatMatch) {
  const Surface surface = VitSurface(12);
  const std::vector<Target> targets = Expand(surface, Regex("^blocks\\.1\\.", "second"));
  EXPECT_THAT(Names(targets), ElementsAre("second"));
  EXPECT_EQ(WordsOf(targets), WordsOf(Expand(surface, {Kind::kBlock, {1}})));
  // A part of the name is enough, and the pattern is the name.
  EXPECT_THAT(Names(Expand(surface, Regex("fc[12]"))), ElementsAre("fc[12]"));
  EXPECT_EQ(Expand(surface, Regex("fc[12]"))[0].ranges.size(), 24u);
  // It works where nothing else is known of the tensors.
  EXPECT_EQ(Expand(CnnSurface(), Regex("conv"))[0].ranges.size(), 3u);
}

TEST(Target, RegexThatMatchesNothingNamesNearOnes) {
  const auto error = [](const std::string& pattern) {
    const absl::Status status = ExpandTargets(VitSurface(2), Regex(pattern), kInt8).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << pattern;
    return std::string(status.message());
  };
  EXPECT_EQ(error("^blcks\\.0\\."),
            "granularity 'regex' matches nothing: no tensor's name on the surface matches "
            "'^blcks\\.0\\.'; did you mean 'blocks.0' or 'blocks.1'?");
  EXPECT_THAT(error("atn.qkv"), HasSubstr("did you mean 'attn.qkv'"));
  EXPECT_THAT(error("zzzzzzzz"), HasSubstr("names are like 'cls_token', 'pos_embed', "));
  EXPECT_THAT(error("^$"), HasSubstr("names are like"));
}

TEST(Target, PatternsThatAreNoneAreRefused) {
  for (const char* pattern : {"(", "", "[z-a]", "a{1001}", "\\1"}) {
    EXPECT_EQ(ExpandTargets(VitSurface(1), Regex(pattern), kInt8).status().code(),
              absl::StatusCode::kInvalidArgument)
        << pattern;
  }
  EXPECT_EQ(ExpandTargets(VitSurface(1), Regex("a("), kInt8).status().message(),
            "'a(' is not a regular expression (RE2): missing ): a(");
}

}  // namespace
}  // namespace bitquake
