#include "common/model/attention_distance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/model/snapshot.h"
#include "tests/model/test_snapshot.h"

namespace bitquake {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

template <typename Network>
absl::StatusOr<PatchAttention> Find(const Network& network) {
  const auto snapshot =
      OpenSnapshot(WriteSnapshot(ConfigJson(network), RandomTensors(network, /*seed=*/1)));
  EXPECT_TRUE(snapshot.ok()) << snapshot.status();
  return FindPatchAttention(snapshot->architecture);
}

TEST(PatchAttention, OfAViTIsThatOfItsBlocksAndGrid) {
  TestVit vit;
  for (const bool distilled : {false, true}) {
    vit.distilled = distilled;
    const auto found = Find(vit);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(found->blocks, 3);
    EXPECT_EQ(found->heads, 2);
    EXPECT_EQ(found->prefix_tokens, distilled ? 2 : 1);
    EXPECT_EQ(found->grid, 2);
    EXPECT_EQ(found->patch, 4);
  }
  const auto deep = Find(TestDeepVit());
  ASSERT_TRUE(deep.ok()) << deep.status();
  EXPECT_EQ(deep->heads, 4);
  EXPECT_EQ(deep->prefix_tokens, 1);
}

TEST(PatchAttention, IsRefusedWithTheReasonWhereThereIsNone) {
  const auto swin = Find(TestSwin());
  EXPECT_EQ(swin.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(swin.status().message(), AllOf(HasSubstr("swin"), HasSubstr("windows")));
  Architecture script;
  script.name = "resnet18";
  script.network = ScriptShape();
  EXPECT_THAT(FindPatchAttention(script).status().message(),
              AllOf(HasSubstr("resnet18"), HasSubstr("TorchScript")));
}

TEST(AttentionDistances, AreSummedHeadByHead) {
  const AttentionDistances sum = SumOf({{2, {{1, 2}, {3, 4}}}, {2, {{10, 20}, {30, 40}}}});
  EXPECT_EQ(sum.heads, 2);
  ASSERT_EQ(sum.sums.size(), 2u);
  EXPECT_EQ(sum.sums[1].mad, 33);
  EXPECT_EQ(sum.sums[1].renormalised, 44);
  EXPECT_TRUE(SumOf({}).sums.empty());
}

TEST(AttentionDistances, DigestsShowEveryFigure) {
  const AttentionDistances distances = {2, {{1, 2}, {3, 4}}};
  EXPECT_EQ(DigestOf(distances), DigestOf({2, {{1, 2}, {3, 4}}}));
  EXPECT_NE(DigestOf(distances), DigestOf({1, {{1, 2}, {3, 4}}}));
  EXPECT_NE(DigestOf(distances), DigestOf({2, {{1, 2}, {3, 5}}}));
  EXPECT_NE(DigestOf(distances), DigestOf({2, {{0, 2}, {3, 4}}}));
  EXPECT_EQ(DigestOf({}), "");
}

}  // namespace
}  // namespace bitquake
