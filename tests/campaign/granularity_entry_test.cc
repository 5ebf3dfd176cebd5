#include "common/campaign/granularity_entry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bitquake {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Granularity Parse(const char* json) { return GranularityFromJson(Json::parse(json)); }

std::string RoundTrip(const char* json) { return ToJson(Parse(json)).dump(); }

TEST(GranularityEntry, NameTakesAllTargets) {
  for (const char* name : {"model", "block", "tensor", "part", "type", "head", "bit"}) {
    const Granularity granularity = Parse(("\"" + std::string(name) + "\"").c_str());
    EXPECT_EQ(granularity.Name(), name);
    EXPECT_THAT(granularity.blocks, IsEmpty());
    EXPECT_THAT(granularity.types, IsEmpty());
    EXPECT_FALSE(granularity.per_block);
  }
}

TEST(GranularityEntry, MapSelects) {
  EXPECT_THAT(Parse(R"({"block": {"blocks": [3, 0]}})").blocks, ElementsAre(0, 3));
  const Granularity head = Parse(R"({"head": {"blocks": [1], "types": ["v", "q"]}})");
  EXPECT_EQ(head.kind, Granularity::Kind::kHead);
  EXPECT_THAT(head.blocks, ElementsAre(1));
  EXPECT_THAT(head.types, ElementsAre(QkvType::kQ, QkvType::kV));
  const Granularity type = Parse(R"({"type": ["k"], "per": "block"})");
  EXPECT_EQ(type.kind, Granularity::Kind::kType);
  EXPECT_THAT(type.types, ElementsAre(QkvType::kK));
  EXPECT_TRUE(type.per_block);
}

TEST(GranularityEntry, MapSplitsByBitPosition) {
  EXPECT_TRUE(Parse(R"("bit")").by_position());
  EXPECT_FALSE(Parse(R"("block")").by_position());
  EXPECT_THAT(Parse(R"({"bit": {"positions": [7, 6]}})").positions, ElementsAre(6, 7));
  EXPECT_TRUE(Parse(R"({"block": {"bits": "each"}})").each_position);
  EXPECT_THAT(Parse(R"({"type": ["q"], "per": "block", "bits": [7, 0]})").positions,
              ElementsAre(0, 7));
  EXPECT_FALSE(Parse(R"({"type": ["q"], "per": "block", "bits": [7]})").each_position);
}

TEST(GranularityEntry, MapNamesPartsAndPatterns) {
  const Granularity part = Parse(R"({"part": {"per": "block", "blocks": [2, 1]}})");
  EXPECT_EQ(part.kind, Granularity::Kind::kPart);
  EXPECT_TRUE(part.per_block);
  EXPECT_THAT(part.blocks, ElementsAre(1, 2));
  const Granularity regex = Parse(R"({"regex": {"match": "^a", "name": "first"}})");
  EXPECT_EQ(regex.kind, Granularity::Kind::kRegex);
  EXPECT_EQ(regex.pattern, "^a");
  EXPECT_EQ(regex.name, "first");
}

TEST(GranularityEntry, WritesWhatItRead) {
  for (const char* entry :
       {R"({"block":{"blocks":[1],"bits":"each"}})", R"({"bit":{"positions":[6,7]}})",
        R"({"part":{"per":"block","blocks":[1,2],"bits":[7],"ber":[0.5]}})",
        R"({"type":["q"],"per":"block","blocks":[0],"bits":"each"})",
        R"({"type":["q","k","v"],"per":"model","bits":[3]})", R"({"model":{"bits":[0]}})",
        R"({"head":{"blocks":[1],"types":["v"],"bits":"each"}})",
        R"({"regex":{"match":"^a","name":"first","bits":[1],"ber":[0.5]}})",
        R"({"regex":{"match":"a|b"}})", R"("part")", R"("bit")"}) {
    EXPECT_EQ(RoundTrip(entry), entry);
  }
  EXPECT_EQ(RoundTrip(R"({"part": {"per": "model"}})"), R"("part")");
  EXPECT_EQ(RoundTrip(R"({"bit": {}})"), R"("bit")");
}

TEST(GranularityEntry, HasOneFormForOneMeaning) {
  EXPECT_EQ(RoundTrip(R"({"type": ["v", "q", "k"], "per": "model"})"), R"("type")");
  EXPECT_EQ(RoundTrip(R"({"head": {}})"), R"("head")");
  EXPECT_EQ(RoundTrip(R"({"type": ["k", "v", "q"], "per": "block"})"),
            R"({"type":["q","k","v"],"per":"block"})");
  EXPECT_EQ(RoundTrip(R"({"type": ["v", "q"], "per": "model"})"),
            R"({"type":["q","v"],"per":"model"})");
  // All three types of a head apart are not the head as one.
  EXPECT_EQ(RoundTrip(R"({"head": {"types": ["q", "k", "v"]}})"),
            R"({"head":{"types":["q","k","v"]}})");
}

TEST(GranularityEntry, KeepsRatesOfItsOwn) {
  EXPECT_THAT(Parse(R"("block")").ber, IsEmpty());
  EXPECT_THAT(Parse(R"({"block": {"ber": [1e-3, 1e-6, 1e-3]}})").ber, ElementsAre(1e-6, 1e-3));
  EXPECT_EQ(RoundTrip(R"({"model": {"ber": 1e-6}})"), R"({"model":{"ber":[1e-06]}})");
  EXPECT_EQ(RoundTrip(R"({"type": ["q", "k", "v"], "per": "model", "ber": 0.5})"),
            R"({"type":["q","k","v"],"per":"model","ber":[0.5]})");
}

TEST(GranularityEntry, OverlapIsSharingATarget) {
  const auto overlap = [](const char* a, const char* b) {
    EXPECT_EQ(Overlap(Parse(a), Parse(b)), Overlap(Parse(b), Parse(a)));
    return Overlap(Parse(a), Parse(b));
  };
  EXPECT_TRUE(overlap(R"("block")", R"({"block": {"blocks": [4]}})"));
  EXPECT_TRUE(overlap(R"({"tensor": {"blocks": [1, 4]}})", R"({"tensor": {"blocks": [4, 5]}})"));
  EXPECT_FALSE(overlap(R"({"block": {"blocks": [1]}})", R"({"block": {"blocks": [2]}})"));
  EXPECT_FALSE(overlap(R"("block")", R"("tensor")"));
  EXPECT_FALSE(overlap(R"("type")", R"({"type": ["q"], "per": "block"})"));
  EXPECT_TRUE(overlap(R"("type")", R"({"type": ["q"], "per": "model"})"));
  EXPECT_FALSE(overlap(R"("head")", R"({"head": {"types": ["q"]}})"));
  EXPECT_FALSE(overlap(R"({"head": {"types": ["k"]}})", R"({"head": {"types": ["q"]}})"));
  EXPECT_FALSE(overlap(R"("part")", R"({"part": {"per": "block"}})"));
  EXPECT_TRUE(overlap(R"("part")", R"({"part": {"per": "model"}})"));
}

TEST(GranularityEntry, OverlapIsByBitPosition) {
  const auto overlap = [](const char* a, const char* b) {
    EXPECT_EQ(Overlap(Parse(a), Parse(b)), Overlap(Parse(b), Parse(a)));
    return Overlap(Parse(a), Parse(b));
  };
  EXPECT_FALSE(overlap(R"("block")", R"({"block": {"bits": "each"}})"));
  EXPECT_TRUE(overlap(R"({"block": {"bits": [3]}})", R"({"block": {"bits": "each"}})"));
  EXPECT_TRUE(overlap(R"({"block": {"bits": [3, 4]}})", R"({"block": {"bits": [4]}})"));
  EXPECT_FALSE(overlap(R"({"block": {"bits": [3]}})", R"({"block": {"bits": [4]}})"));
  EXPECT_FALSE(overlap(R"({"block": {"blocks": [0], "bits": "each"}})",
                       R"({"block": {"blocks": [1], "bits": "each"}})"));
  EXPECT_TRUE(overlap(R"("bit")", R"({"bit": {"positions": [0]}})"));
  EXPECT_FALSE(overlap(R"("bit")", R"({"model": {"bits": "each"}})"));
}

TEST(GranularityEntry, OverlapOfPatternsIsByNameAndPattern) {
  const auto overlap = [](const char* a, const char* b) {
    EXPECT_EQ(Overlap(Parse(a), Parse(b)), Overlap(Parse(b), Parse(a)));
    return Overlap(Parse(a), Parse(b));
  };
  EXPECT_FALSE(overlap(R"({"regex": {"match": "a"}})", R"({"regex": {"match": "b"}})"));
  EXPECT_TRUE(overlap(R"({"regex": {"match": "a"}})", R"({"regex": {"match": "b", "name": "a"}})"));
  EXPECT_TRUE(overlap(R"({"regex": {"match": "a"}})", R"({"regex": {"match": "a", "name": "b"}})"));
  EXPECT_FALSE(
      overlap(R"({"regex": {"match": "a"}})", R"({"regex": {"match": "a", "bits": [1]}})"));
  EXPECT_FALSE(overlap(R"({"regex": {"match": "a", "bits": [0]}})",
                       R"({"regex": {"match": "a", "bits": [1]}})"));
  EXPECT_TRUE(overlap(R"({"regex": {"match": "a", "bits": "each"}})",
                      R"({"regex": {"match": "b", "name": "a.bit9"}})"));
}

}  // namespace
}  // namespace bitquake
