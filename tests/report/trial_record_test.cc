#include "common/report/trial_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace bitquake {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

FoldMeasurement Fold(int number) {
  FoldMeasurement fold;
  fold.fold = number;
  fold.counts = {20, 11, 15, 18, 19, 6, 1, 20};
  fold.right_to_wrong = 8;
  fold.wrong_to_right = 1;
  fold.digest = "0d";
  fold.device_kind = fold.golden_device_kind = "cpu A";
  fold.golden_digest = "9e";
  fold.correct = fold.same = Bitmap(20);
  fold.correct.Set(17);
  fold.attention_digest = "ad";
  return fold;
}

TrialMeasurement Measurement() {
  TrialMeasurement measured;
  measured.sum = {40, 22, 30, 36, 38, 12, 2, 40};
  measured.flips = 3;
  measured.flips_per_bit = {1, 0, 2};
  measured.faults_digest = "fa";
  measured.folds = {Fold(2), Fold(5)};
  return measured;
}

TEST(Differences, AreNoneOfTheSame) {
  EXPECT_THAT(Differences(Measurement(), Measurement()), IsEmpty());
}

TEST(Differences, EveryCountAndDigestCounts) {
  const std::vector<std::pair<std::function<void(TrialMeasurement&)>, std::string>> changes = {
      {[](auto& m) { m.faults_digest = "fb"; }, "faults_digest is fa stored, fb now"},
      {[](auto& m) { m.flips = 4; }, "flips is 3 stored, 4 now"},
      {[](auto& m) {
         m.flips_per_bit = {1, 1, 1};
       },
       "flips_per_bit is 1 0 2 stored, 1 1 1 now"},
      {[](auto& m) { ++m.sum.images; }, "images is 40 stored, 41 now"},
      {[](auto& m) { --m.sum.due; }, "due is 2 stored, 1 now"},
      {[](auto& m) { ++m.folds[1].counts.images; }, "fold 5: images is 20 stored, 21 now"},
      {[](auto& m) { ++m.folds[1].counts.top1; }, "fold 5: top1 is 11 stored, 12 now"},
      {[](auto& m) { ++m.folds[1].counts.top5; }, "fold 5: top5 is 15 stored, 16 now"},
      {[](auto& m) { ++m.folds[0].counts.golden_top1; },
       "fold 2: golden_top1 is 18 stored, 19 now"},
      {[](auto& m) { ++m.folds[0].counts.golden_top5; },
       "fold 2: golden_top5 is 19 stored, 20 now"},
      {[](auto& m) { ++m.folds[0].counts.sdc; }, "fold 2: sdc is 6 stored, 7 now"},
      {[](auto& m) { m.folds[0].counts.inferences = 0; }, "fold 2: inferences is 20 stored, 0 now"},
      {[](auto& m) { ++m.folds[0].right_to_wrong; }, "fold 2: right_to_wrong is 8 stored, 9 now"},
      {[](auto& m) { ++m.folds[0].wrong_to_right; }, "fold 2: wrong_to_right is 1 stored, 2 now"},
      {[](auto& m) { m.folds[0].digest = "0e"; }, "fold 2: digest is 0d stored, 0e now"},
      {[](auto& m) { m.folds[0].golden_digest = ""; },
       "fold 2: golden_digest is 9e stored, none now"},
      {[](auto& m) { m.folds[0].correct.Set(0); }, "fold 2: correct is 000002 stored, 010002 now"},
      {[](auto& m) { m.folds[0].same.Set(19); }, "fold 2: same is 000000 stored, 000008 now"},
      {[](auto& m) { m.folds[0].attention_digest = "ae"; },
       "fold 2: attention_digest is ad stored, ae now"},
  };
  for (const auto& [change, line] : changes) {
    TrialMeasurement now = Measurement();
    change(now);
    EXPECT_THAT(Differences(Measurement(), now), ElementsAre(line));
  }
}

TEST(Differences, AFoldThatIsMissingDiffers) {
  TrialMeasurement now = Measurement();
  now.folds.pop_back();
  EXPECT_THAT(Differences(Measurement(), now),
              testing::Contains(HasSubstr("fold 5: images is 20 stored, 0 now")));
  EXPECT_THAT(Differences(now, Measurement()),
              testing::Contains(HasSubstr("fold 5: images is 0 stored, 20 now")));
}

TEST(Differences, ADeviceOfAnotherKindIsNoneButIsTold) {
  TrialMeasurement stored = Measurement();
  EXPECT_THAT(OtherDeviceKinds(stored, Measurement()), IsEmpty());
  stored.folds[0].device_kind = "gpu B";
  stored.folds[1].golden_device_kind = "gpu B";
  EXPECT_THAT(Differences(stored, Measurement()), IsEmpty());
  EXPECT_THAT(OtherDeviceKinds(stored, Measurement()), ElementsAre("gpu B"));
}

TEST(TrialRecord, ComesBackFromJson) {
  const auto measured = TrialMeasurementFromJson(ToJson(Measurement()));
  ASSERT_TRUE(measured.ok()) << measured.status();
  EXPECT_THAT(Differences(Measurement(), *measured), IsEmpty());
  EXPECT_EQ(ToJson(*measured), ToJson(Measurement()));

  const TrialSetup setup = {"{\"name\": \"c\"}", "d",    "m",        "e",         16,    "int8", 2,
                            "blocks.1",          1e-300, "bit_flip", 4294967295u, {0, 3}};
  const auto back = TrialSetupFromJson(ToJson(setup));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(ToJson(*back), ToJson(setup));
  EXPECT_EQ(back->resolved_json, setup.resolved_json);
  EXPECT_EQ(back->data_digest, "d");
  EXPECT_EQ(back->model, "m");
  EXPECT_EQ(back->model_digest, "e");
  EXPECT_EQ(back->chunk, 16);
  EXPECT_EQ(back->format, "int8");
  EXPECT_EQ(back->granularity_index, 2);
  EXPECT_EQ(back->target, "blocks.1");
  EXPECT_EQ(back->ber, 1e-300);
  EXPECT_EQ(back->fault, "bit_flip");
  EXPECT_EQ(back->trial, 4294967295u);
  EXPECT_THAT(back->folds, ElementsAre(0, 3));
}

TEST(TrialRecord, OtherTextIsRefused) {
  for (const char* text : {"", "{", "[]", "{}", "{\"folds\": 3}"}) {
    EXPECT_EQ(TrialSetupFromJson(text).status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(TrialMeasurementFromJson(text).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace bitquake
