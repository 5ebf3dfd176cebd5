#include "common/base/suggest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bitquake {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Suggest, FindsTypingErrors) {
  const std::vector<std::string> fields = {"trials", "models", "dataset", "ber"};
  EXPECT_THAT(NearestNames("trails", fields), ElementsAre("trials"));  // two letters swapped
  EXPECT_THAT(NearestNames("ebr", fields), ElementsAre("ber"));
  EXPECT_THAT(NearestNames("trial", fields), ElementsAre("trials"));    // one missing
  EXPECT_THAT(NearestNames("modeels", fields), ElementsAre("models"));  // one too many
  EXPECT_THAT(NearestNames("bxr", fields), ElementsAre("ber"));         // one wrong
}

TEST(Suggest, IgnoresCaseAndKindOfDash) {
  EXPECT_THAT(NearestNames("PER-DECADE", {"per_decade"}), ElementsAre("per_decade"));
}

TEST(Suggest, NamesTheNearestFirst) {
  EXPECT_THAT(NearestNames("blocks.11", {"blocks.1", "blocks.111", "blocks.11x", "blocks.11"}, 2),
              ElementsAre("blocks.11", "blocks.1"));
}

TEST(Suggest, KeepsQuietWhenNothingIsNear) {
  EXPECT_THAT(NearestNames("zzz", {"trials", "models"}), IsEmpty());
  EXPECT_EQ(DidYouMean("zzz", {"trials", "models"}), "");
  EXPECT_EQ(DidYouMean("x", {}), "");
}

TEST(Suggest, SpeaksInWords) {
  EXPECT_EQ(DidYouMean("trails", {"trials"}), "; did you mean 'trials'?");
  EXPECT_EQ(DidYouMean("int1", {"int8", "int4"}), "; did you mean 'int8' or 'int4'?");
}

TEST(Suggest, FindsPartsOfNamesForAPattern) {
  const std::vector<std::string> names = {"blocks.0.attn.qkv.weight", "blocks.1.mlp.fc1.weight"};
  EXPECT_EQ(NearPartsOrExamples("^atn\\.qkv", names), "; did you mean 'attn.qkv'?");
  EXPECT_EQ(NearPartsOrExamples("weigth$", names), "; did you mean 'weight'?");
  EXPECT_EQ(NearPartsOrExamples("zzzzzz", names),
            "; names are like 'blocks.0.attn.qkv.weight', 'blocks.1.mlp.fc1.weight'");
  EXPECT_EQ(NearPartsOrExamples("^$", {"a", "b", "c", "d"}), "; names are like 'a', 'b', 'c'");
  EXPECT_EQ(NearPartsOrExamples("x", {}), "");
}

TEST(Suggest, DoesNotCompareHugeNames) {
  const std::string huge(100'000, 'x');
  EXPECT_THAT(NearestNames(huge, {huge}), IsEmpty());
  EXPECT_THAT(NearestNames("x", {huge}), IsEmpty());
}

}  // namespace
}  // namespace bitquake
