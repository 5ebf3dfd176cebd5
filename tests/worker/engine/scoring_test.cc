#include "worker/engine/scoring.h"

#include <gmock/gmock.h>

#include <cmath>

namespace bitquake {
namespace {

Score Scored(std::vector<float> logits, int label) {
  const at::Tensor row = at::tensor(logits).view({1, -1});
  Score score;
  ScoreLogits(row, {label}, absl::MakeSpan(&score, 1));
  return score;
}

TEST(Scoring, PredictsTheLowestClassOfEquals) {
  EXPECT_EQ(Scored({1, 3, 3, 2}, 0).prediction, 1);
  EXPECT_EQ(Scored({0, 0, 0}, 2).prediction, 0);
  EXPECT_EQ(Scored({-0.0f, 0.0f}, 0).prediction, 0);
  EXPECT_EQ(Scored({-5, -3, -4}, 0).prediction, 1);
}

TEST(Scoring, TopFiveHoldsFiveClassesAlsoAmongEquals) {
  for (int label = 0; label < 7; ++label) {
    EXPECT_EQ(Scored({2, 2, 2, 2, 2, 2, 2}, label).top5, label < 5) << label;
  }
  EXPECT_TRUE(Scored({6, 5, 4, 3, 2, 1}, 4).top5);
  EXPECT_FALSE(Scored({6, 5, 4, 3, 2, 1}, 5).top5);
  EXPECT_TRUE(Scored({1, 2, 3}, 0).top5);
}

TEST(Scoring, LogitsThatAreNotFiniteHitNothing) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    for (int at = 0; at < 3; ++at) {
      std::vector<float> logits = {3, 2, 1};
      logits[at] = bad;
      EXPECT_EQ(Scored(logits, 0).prediction, kNotFinite);
      EXPECT_FALSE(Scored(logits, 0).top5);
    }
  }
}

TEST(Scoring, CountsHowATrialDiffersFromGolden) {
  const std::vector<int> labels = {0, 1, 2, 3, 4, 5};
  const std::vector<Score> golden = {{0, true}, {1, true}, {2, true},
                                     {9, true}, {9, true}, {9, false}};
  //                                right       sdc         due
  const std::vector<Score> trial = {{0, true},
                                    {7, true},
                                    {kNotFinite, false},
                                    // corrected, sdc, due
                                    {3, true},
                                    {8, false},
                                    {kNotFinite, false}};
  const TrialOutcome outcome = CompareWithGolden(trial, golden, labels);
  EXPECT_EQ(outcome.images, 6);
  EXPECT_EQ(outcome.top1, 2);
  EXPECT_EQ(outcome.top5, 3);
  EXPECT_EQ(outcome.golden_top1, 3);
  EXPECT_EQ(outcome.golden_top5, 5);
  EXPECT_EQ(outcome.sdc, 3);
  EXPECT_EQ(outcome.due, 2);
  EXPECT_EQ(outcome.right_to_wrong, 2);
  EXPECT_EQ(outcome.wrong_to_right, 1);
}

TEST(Scoring, BitmapsSayWhichImagesAreRightAndWhichAreAsGolden) {
  const std::vector<int> labels = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  const std::vector<Score> golden = {{0, true}, {1, true}, {2, true}, {9, true},          {9, true},
                                     {9, true}, {6, true}, {7, true}, {kNotFinite, false}};
  const std::vector<Score> trial = {{0, true}, {7, true}, {kNotFinite, false},
                                    {3, true}, {9, true}, {8, false},
                                    {6, true}, {6, true}, {kNotFinite, false}};
  TrialOutcome outcome = CompareWithGolden(trial, golden, labels);
  EXPECT_EQ(outcome.correct.items(), 0) << "only when asked";
  MarkImages(trial, golden, labels, outcome);
  std::string correct, same;
  for (size_t i = 0; i < labels.size(); ++i) {
    correct += outcome.correct.Get(static_cast<int64_t>(i)) ? '1' : '0';
    same += outcome.same.Get(static_cast<int64_t>(i)) ? '1' : '0';
  }
  EXPECT_EQ(correct, "100100100");
  EXPECT_EQ(same, "100010100");
  EXPECT_EQ(outcome.correct.Count(), outcome.top1);
  EXPECT_EQ(outcome.same.Count(), outcome.images - outcome.sdc - outcome.due);
}

TEST(Scoring, DigestShowsPredictionsAndTopFiveHits) {
  const std::vector<int> labels = {0, 1};
  const std::vector<Score> golden = {{0, true}, {1, true}};
  const auto digest = [&](std::vector<Score> trial) {
    return CompareWithGolden(trial, golden, labels).digest;
  };
  EXPECT_EQ(digest({{0, true}, {1, true}}), digest({{0, true}, {1, true}}));
  EXPECT_NE(digest({{0, true}, {2, true}}), digest({{0, true}, {3, true}}));
  EXPECT_NE(digest({{0, true}, {2, true}}), digest({{0, true}, {2, false}}));
}

}  // namespace
}  // namespace bitquake
