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
  for (const char* name : {"model", "block", "tensor", "type", "head"}) {
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
}

}  // namespace
}  // namespace bitquake
