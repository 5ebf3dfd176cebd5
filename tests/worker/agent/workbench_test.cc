#include "worker/agent/workbench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/agent/bench.h"

namespace bitquake {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class WorkbenchTest : public BenchTest {
 protected:
  std::shared_ptr<const OpenModel> Model() { return workbench_.Model("vit").value(); }

  absl::StatusOr<std::shared_ptr<const OpenImages>> TryImages(const std::string& more = "") {
    const Campaign campaign = ParseCampaign(kCampaign + more, "test").value();
    return workbench_.Images(campaign, Model()->snapshot.architecture.preprocessing,
                             [] { return false; });
  }
  std::shared_ptr<const OpenImages> Images(const std::string& more = "") {
    return TryImages(more).value();
  }

  Evaluator* EvaluatorOf(const std::string& campaign, const std::string& format = "int8") {
    EvaluatorOptions options;
    options.format = NumberFormat::FromName(format).value();
    options.chunk = 16;
    return workbench_.EvaluatorFor(campaign, *Model(), options).value();
  }
};

TEST_F(WorkbenchTest, AReplacedModelIsOpenedAnewAndGetsAnEvaluatorOfItsOwn) {
  const auto first = Model();
  EXPECT_EQ(Model(), first) << "unchanged";
  EvaluatorOf("c");
  EvaluatorOf("c");
  EXPECT_EQ(script_.created.size(), 1u);
  WriteModel(/*seed=*/2);
  const auto second = Model();
  EXPECT_NE(second->digest, first->digest);
  EXPECT_EQ(second->digest, SnapshotDigest(folder_.Path("models/vit")).value());
  EvaluatorOf("c");
  EXPECT_EQ(script_.created.size(), 2u);
}

TEST_F(WorkbenchTest, TheSameModelWrittenAgainKeepsItsEvaluator) {
  const auto first = Model();
  EvaluatorOf("c");
  WriteModel(/*seed=*/1);
  EXPECT_NE(Model(), first);
  EXPECT_EQ(Model()->digest, first->digest);
  EvaluatorOf("c");
  EXPECT_EQ(script_.created.size(), 1u);
}

TEST_F(WorkbenchTest, AModelThatChangesWhileAnEvaluatorReadsItIsRefused) {
  WorkbenchOptions options = Options();
  options.create_evaluator = [this](const ModelSnapshot& model, const EvaluatorOptions& wanted) {
    WriteModel(/*seed=*/2);
    return FakeEvaluators(&script_)(model, wanted);
  };
  Workbench workbench(options);
  const auto model = workbench.Model("vit").value();
  const auto evaluator = workbench.EvaluatorFor("c", *model, {});
  EXPECT_EQ(evaluator.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(evaluator.status().message()), HasSubstr("changed while it was read"));
  EXPECT_EQ(script_.alive, 0);
}

TEST_F(WorkbenchTest, AModelThatComesAsCodeMustBeAllowed) {
  folder_.Write("models/vit/model.ts", "code");
  EXPECT_EQ(Model()->snapshot.script_path, "") << "of a network of ours, code is not looked at";
  folder_.Write("models/vit/config.json",
                R"({"architecture": "net", "num_classes": 7, "pretrained_cfg": {
                    "input_size": [3, 8, 8], "mean": [0, 0, 0], "std": [1, 1, 1]}})");
  const absl::Status refused = workbench_.Model("vit").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("--allow-torchscript"));

  WorkbenchOptions options = Options();
  options.allow_torchscript = true;
  Workbench workbench(options);
  const auto model = workbench.Model("vit");
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_TRUE(workbench.EvaluatorFor("c", **model, {}).ok());
  EXPECT_TRUE(script_.options.back().allow_torchscript);
}

TEST_F(WorkbenchTest, AModelThatCameLaterIsFound) {
  EXPECT_EQ(workbench_.Model("late").status().code(), absl::StatusCode::kNotFound);
  folder_.Write("models/late/config.json", "{");
  EXPECT_FALSE(workbench_.Model("late").ok());
  WriteModel(/*seed=*/3, "late");
  EXPECT_TRUE(workbench_.Model("late").ok());
}

TEST_F(WorkbenchTest, AReplacedDataSetIsOpenedAnew) {
  const auto first = Images();
  EXPECT_EQ(Images(), first) << "unchanged";
  EXPECT_EQ(first->labels.size(), static_cast<size_t>(kImages));
  WriteData("set/a.tar", kImages - 2);
  const auto second = Images();
  EXPECT_NE(second->digest, first->digest);
  EXPECT_EQ(second->labels.size(), static_cast<size_t>(kImages - 2));
  EXPECT_EQ(second->pixels->images(), kImages - 2);
  ASSERT_TRUE(first->Fold(0).ok()) << "who holds the old one goes on with it";
  EXPECT_EQ(first->pixels->images(), kImages);
}

TEST_F(WorkbenchTest, ADataSetThatGrowsByAShardIsOpenedAnew) {
  EXPECT_EQ(Images()->labels.size(), 9u);
  WriteData("set/b.tar", 3);
  EXPECT_EQ(Images()->labels.size(), 12u);
}

TEST_F(WorkbenchTest, CampaignsThatSplitAlikeShareTheirPixels) {
  const auto two = Images();
  const auto other = TryImages("images: {first: 4}\n").value();
  EXPECT_NE(two, other);
  EXPECT_EQ(two->pixels, other->pixels);
}

TEST_F(WorkbenchTest, TheFirstImagesAreThoseInTheShardsOrder) {
  const auto images = Images("images: {first: 4}\n");
  ASSERT_EQ(images->labels.size(), 4u);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(images->labels[i], Label(i));
  }
  std::vector<int64_t> all;
  for (const auto& fold : images->folds) {
    all.insert(all.end(), fold.begin(), fold.end());
  }
  EXPECT_THAT(all, ::testing::UnorderedElementsAre(0, 1, 2, 3));
  EXPECT_EQ(Images("images: {first: 9}\n")->labels.size(), 9u);
  const auto more = TryImages("images: {first: 10}\n");
  EXPECT_EQ(more.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(more.status().message()),
              AllOf(HasSubstr("first 10"), HasSubstr("'set' has only 9")));
}

TEST_F(WorkbenchTest, AFoldHasTheLabelsAndPixelsOfItsImages) {
  const auto images = Images();
  ASSERT_EQ(images->folds.size(), 2u);
  const FoldImages fold = images->Fold(1).value();
  EXPECT_EQ(fold.fold, 1);
  ASSERT_EQ(fold.labels.size(), images->folds[1].size());
  for (size_t i = 0; i < fold.labels.size(); ++i) {
    const int64_t image = images->folds[1][i];
    EXPECT_EQ(fold.labels[i], Label(static_cast<int>(image)));
    EXPECT_EQ(fold.pixels[i], images->pixels->Pixels(image)->data());
  }
  EXPECT_EQ(images->Fold(2).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(WorkbenchTest, ABrokenImageIsNamedAndMayBeMended) {
  WriteData("set/a.tar", kImages, /*broken=*/3);
  EXPECT_THAT(std::string(TryImages().status().message()), HasSubstr("a.tar: 3"));
  WriteData("set/a.tar", kImages);
  EXPECT_TRUE(TryImages().ok());
}

TEST_F(WorkbenchTest, TheEvaluatorUsedLongestAgoIsEvicted) {
  const char* const four[] = {"a", "b", "c", "d"};
  for (const char* campaign : four) {
    EvaluatorOf(campaign);
  }
  EXPECT_EQ(script_.alive, 4);
  EvaluatorOf("a");
  EXPECT_EQ(script_.created.size(), 4u);
  EvaluatorOf("e");
  EXPECT_EQ(script_.alive, 4) << "no more are resident";
  for (const char* campaign : {"a", "c", "d", "e"}) {
    EvaluatorOf(campaign);
  }
  EXPECT_EQ(script_.created.size(), 5u);
  EvaluatorOf("b");
  EXPECT_EQ(script_.created.size(), 6u) << "b had gone";
  workbench_.DropEvaluators();
  EXPECT_EQ(script_.alive, 0);
}

TEST_F(WorkbenchTest, AnEvaluatorBelongsToItsCampaignAndFormat) {
  Evaluator* const first = EvaluatorOf("a", "int8");
  EXPECT_NE(EvaluatorOf("a", "int4"), first);
  EXPECT_NE(EvaluatorOf("b", "int8"), first);
  EXPECT_EQ(EvaluatorOf("a", "int8"), first);
  EXPECT_THAT(script_.created, ::testing::ElementsAre("int8", "int4", "int8"));
}

TEST_F(WorkbenchTest, AnEvaluatorThatCouldNotBeMadeIsTriedAgain) {
  script_.create = absl::InvalidArgumentError("weights do not fit");
  EXPECT_EQ(workbench_.EvaluatorFor("c", *Model(), {}).status(), script_.create);
  script_.create = absl::OkStatus();
  EXPECT_TRUE(workbench_.EvaluatorFor("c", *Model(), {}).ok());
}

}  // namespace
}  // namespace bitquake
